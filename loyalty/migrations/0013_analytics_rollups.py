"""The ledger summed up by day, for the analytics of the program."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("loyalty", "0010_holds_and_rewards"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rollup",
            fields=[
                (
                    "merchant_id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "zones",
                    models.JSONField(
                        default=dict, help_text="By store: the zone in whose days its entries were counted"
                    ),
                ),
                ("entries", models.BigIntegerField(default=0, help_text="Ledger entries that are summed up")),
                ("accounts", models.IntegerField(default=0, help_text="Accounts that have a number here")),
                (
                    "revision",
                    models.BigIntegerField(default=0, help_text="Grows with every change of the sums"),
                ),
            ],
            options={
                "db_table": "loyalty_rollups",
            },
        ),
        migrations.CreateModel(
            name="RollupAccount",
            fields=[
                (
                    "enrollment_id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("merchant_id", models.UUIDField()),
                ("version", models.IntegerField()),
                ("number", models.IntegerField()),
            ],
            options={
                "db_table": "loyalty_rollup_accounts",
                "indexes": [models.Index(fields=["merchant_id"], name="loyalty_rollup_accounts_idx")],
            },
        ),
        migrations.CreateModel(
            name="RollupDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("merchant_id", models.UUIDField()),
                ("store_id", models.UUIDField(null=True)),
                ("day", models.DateField()),
                ("type", models.CharField(max_length=12)),
                ("credited", models.BigIntegerField(help_text="Points")),
                ("debited", models.BigIntegerField(help_text="Points, as a positive number")),
                ("entries", models.BigIntegerField()),
                (
                    "members",
                    models.BinaryField(
                        help_text="Whose they were, four bytes each, some of them twice; empty where members did nothing"
                    ),
                ),
            ],
            options={
                "db_table": "loyalty_rollup_days",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "day", "type", "store_id"),
                        name="loyalty_rollup_days_uniq",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RollupLots",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("merchant_id", models.UUIDField()),
                ("earned_in", models.DateField(help_text="First day of the month")),
                ("month", models.DateField(help_text="First day of the month")),
                ("opened", models.BigIntegerField()),
                ("redeemed", models.BigIntegerField(help_text="Less what cancelled redemptions gave back")),
                ("expired", models.BigIntegerField()),
                (
                    "removed",
                    models.BigIntegerField(
                        help_text="Taken back with returned purchases, or by an adjustment"
                    ),
                ),
            ],
            options={
                "db_table": "loyalty_rollup_lots",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "earned_in", "month"), name="loyalty_rollup_lots_uniq"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RollupSettlement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("merchant_id", models.UUIDField()),
                ("day", models.DateField()),
                ("earned_store_id", models.UUIDField(null=True)),
                ("spent_store_id", models.UUIDField(null=True)),
                ("points", models.BigIntegerField(help_text="Less what cancelled redemptions gave back")),
            ],
            options={
                "db_table": "loyalty_rollup_settlements",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "day", "earned_store_id", "spent_store_id"),
                        name="loyalty_rollup_settlements_uniq",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
    ]
