"""Which purchases came back as a whole: few, and asked for by each rule that looks at first and last visits instead of purchases."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("customers", "0018_returned")]

    operations = [
        AddIndexConcurrently(
            "purchase",
            models.Index(
                fields=["merchant", "customer", "occurred_at"],
                name="purchases_void_idx",
                condition=models.Q(returned__gte=models.F("amount")),
            ),
        ),
    ]
