"""The admin's logs of events and of consent show the newest first, however large the merchant is."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("customers", "0007_last_visit_statistics")]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["merchant", "occurred_at"], name="customer_events_time_idx"),
        ),
        migrations.AddIndex(
            model_name="consent",
            index=models.Index(fields=["merchant", "occurred_at"], name="customer_consents_time_idx"),
        ),
    ]
