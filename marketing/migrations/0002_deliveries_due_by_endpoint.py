"""Due deliveries are taken endpoint by endpoint: the index starts with the endpoint."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("marketing", "0001_initial")]

    operations = [
        migrations.RemoveIndex(model_name="webhookdelivery", name="webhook_deliveries_due_idx"),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                fields=["merchant", "webhook", "next_attempt_at"],
                name="webhook_deliveries_due_idx",
                condition=Q(state__in=["pending", "sending"]),
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["state"], name="webhook_deliveries_open_idx", condition=Q(state="sending")),
        ),
    ]
