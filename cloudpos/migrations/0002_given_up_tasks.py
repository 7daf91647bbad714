"""Who looks for tasks that were given up finds them without reading those that wait."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cloudpos", "0001_outbox")]

    operations = [
        migrations.AddIndex(
            model_name="eventtask",
            index=models.Index(
                fields=["merchant", "created_at"],
                name="event_tasks_given_up_idx",
                condition=models.Q(("next_attempt_at__isnull", True)),
            ),
        ),
    ]
