"""A rolling window without months passed the check: a comparison with nothing is neither true nor false."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("loyalty", "0017_promotions"),
        ("tenancy", "0001_initial"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="program",
            name="loyalty_programs_tier_window",
        ),
        migrations.AddConstraint(
            model_name="program",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("tier_downgrade", "immediate"),
                        ("tier_months__isnull", True),
                        ("tier_window", "lifetime"),
                    ),
                    models.Q(
                        ("tier_months__gte", 1),
                        ("tier_months__isnull", False),
                        ("tier_months__lte", 120),
                        ("tier_window", "rolling"),
                    ),
                    models.Q(("tier_months__isnull", True), ("tier_window", "calendar_year")),
                    _connector="OR",
                ),
                name="loyalty_programs_tier_window",
            ),
        ),
    ]
