"""How members moved between tiers, without reading everything that happened."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0009_cheap_match_keys"),
        ("tenancy", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("type", "tier.changed")),
                fields=["merchant", "occurred_at"],
                name="customer_events_tier_idx",
            ),
        ),
    ]
