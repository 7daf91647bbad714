"""The admin's list of accounts shows who joined last."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0007_entries_by_time")]

    operations = [
        migrations.AddIndex(
            model_name="enrollment",
            index=models.Index(fields=["merchant", "enrolled_at"], name="loyalty_enrollments_time_idx"),
        ),
    ]
