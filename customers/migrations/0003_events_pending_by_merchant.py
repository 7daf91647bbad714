"""The relay takes pending events merchant by merchant: its index starts with the merchant."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("customers", "0002_triggers")]

    operations = [
        migrations.RemoveIndex(model_name="event", name="customer_events_pending_idx"),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                fields=["merchant", "recorded_at"],
                name="customer_events_pending_idx",
                condition=models.Q(("dispatched_at", None)),
            ),
        ),
    ]
