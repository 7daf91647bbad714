"""What of a purchase earns, where and from when on points can be spent, and whether they may be owed."""

import django.contrib.postgres.fields
from cloudpos.migration_operations import Together
from django.db import migrations, models
from django.db.models import Q


def names(help_text):
    return django.contrib.postgres.fields.ArrayField(
        base_field=models.CharField(max_length=100),
        blank=True,
        default=list,
        help_text=help_text,
        size=None,
    )


class Migration(migrations.Migration):
    dependencies = [("loyalty", "0014_merchant_by_reference")]

    operations = [
        Together(
            migrations.AddField(
                "program",
                "earns_on_tax",
                models.BooleanField(default=True, help_text="The tax in a purchase's amount earns too"),
            ),
            migrations.AddField(
                "program",
                "earns_on_discount",
                models.BooleanField(
                    default=False, help_text="A purchase earns as if its discount had not been given"
                ),
            ),
            migrations.AddField(
                "program",
                "categories_in",
                names("Only these categories earn, and the articles below; empty: all"),
            ),
            migrations.AddField("program", "categories_out", names("These categories earn nothing")),
            migrations.AddField(
                "program",
                "skus_in",
                names("Only these articles (SKU) earn, and the categories above; empty: all"),
            ),
            migrations.AddField("program", "skus_out", names("These articles (SKU) earn nothing")),
            migrations.AddField(
                "program",
                "store_ids",
                django.contrib.postgres.fields.ArrayField(
                    base_field=models.UUIDField(),
                    blank=True,
                    default=list,
                    help_text="Stores that take part; empty: all of them",
                    size=None,
                ),
            ),
            migrations.AddField(
                "program",
                "pending_days",
                models.PositiveSmallIntegerField(
                    default=0, help_text="A purchase's points can be spent after so many days, each to its end"
                ),
            ),
            migrations.AddField(
                "program",
                "returns",
                models.CharField(
                    choices=[
                        ("proportional", "Take back what the returned goods had earned"),
                        ("keep", "Let the customer keep the points"),
                    ],
                    default="proportional",
                    max_length=20,
                ),
            ),
            migrations.AddField(
                "program",
                "shortfall",
                models.CharField(
                    choices=[
                        ("within_balance", "Take what is there: the balance never goes below zero"),
                        ("unlimited", "Let the balance go below zero: later points fill it first"),
                    ],
                    default="within_balance",
                    max_length=20,
                ),
            ),
        ),
        migrations.AlterField(
            "program",
            "expiry",
            models.CharField(
                choices=[
                    ("none", "Never"),
                    ("after_earning", "Some months after they were earned"),
                    ("after_inactivity", "After some months without a purchase or a redemption"),
                ],
                default="none",
                max_length=20,
            ),
        ),
        migrations.RemoveConstraint("program", "loyalty_programs_expiry_months"),
        migrations.AddConstraint(
            "program",
            models.CheckConstraint(
                condition=Q(expiry="none", expiry_months__isnull=True)
                | Q(
                    expiry__in=["after_earning", "after_inactivity"],
                    expiry_months__gte=1,
                    expiry_months__lte=120,
                ),
                name="loyalty_programs_expiry_months",
            ),
        ),
        migrations.AddConstraint(
            "program",
            models.CheckConstraint(
                condition=Q(pending_days__lte=365), name="loyalty_programs_pending_bounds"
            ),
        ),
        migrations.AlterField(
            "enrollment",
            "balance",
            models.BigIntegerField(
                default=0,
                help_text="Points: the sum of the entries, and of the lots' remainders; below zero: owed",
            ),
        ),
        migrations.AddField(
            "enrollment",
            "debt_allowed",
            models.BooleanField(
                db_default=False,
                help_text="The program lets the balance go below zero, or it is there already",
            ),
        ),
        migrations.AddField(
            "enrollment",
            "inactive_at",
            models.DateTimeField(
                blank=True,
                null=True,
                help_text="When points that last while the member is active are over, unless there is activity before",
            ),
        ),
        migrations.RemoveConstraint("enrollment", "loyalty_enrollments_balance_positive"),
        Together(
            migrations.AddConstraint(
                "enrollment",
                models.CheckConstraint(
                    condition=Q(balance__gte=0) | Q(debt_allowed=True),
                    name="loyalty_enrollments_balance_positive",
                ),
            ),
            migrations.AddIndex(
                "enrollment",
                models.Index(
                    condition=Q(inactive_at__isnull=False),
                    fields=["merchant", "inactive_at"],
                    name="loyalty_enrollments_idle_idx",
                ),
            ),
            migrations.AddField(
                "lot",
                "available_at",
                models.DateTimeField(
                    blank=True, null=True, help_text="They can be spent from then on; empty: at once"
                ),
            ),
            migrations.AddField(
                "lot",
                "while_active",
                models.BooleanField(
                    db_default=False, help_text="They are over when the account's inactive_at is"
                ),
            ),
        ),
    ]
