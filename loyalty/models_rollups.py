"""What the program's analytics read: the ledger summed up by day, exact up to a version of each account.

Derived, and derivable again at any time (`manage.py refresh_loyalty_analytics --again`), so without references. Written by
`loyalty.analytics_rollups` alone; see docs/adr/0013-program-analytics.md.
"""

import uuid

from django.db import models


class Rollup(models.Model):
    """How far one merchant's ledger is summed up. Its row is the lock of everybody who sums up."""

    merchant_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    zones = models.JSONField(
        default=dict, help_text="By store: the zone in whose days its entries were counted"
    )
    entries = models.BigIntegerField(default=0, help_text="Ledger entries that are summed up")
    accounts = models.IntegerField(default=0, help_text="Accounts that have a number here")
    revision = models.BigIntegerField(default=0, help_text="Grows with every change of the sums")

    class Meta:
        db_table = "loyalty_rollups"


class RollupAccount(models.Model):
    """Up to which of its versions an account is summed up. `number` stands for it in `RollupDay.members`."""

    enrollment_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant_id = models.UUIDField()
    version = models.IntegerField()
    number = models.IntegerField()

    class Meta:
        db_table = "loyalty_rollup_accounts"
        indexes = [models.Index(fields=["merchant_id"], name="loyalty_rollup_accounts_idx")]


class RollupDay(models.Model):
    """Entries of one type at one store (or none) on one of the store's days."""

    merchant_id = models.UUIDField()
    store_id = models.UUIDField(null=True)
    day = models.DateField()
    type = models.CharField(max_length=12)
    credited = models.BigIntegerField(help_text="Points")
    debited = models.BigIntegerField(help_text="Points, as a positive number")
    entries = models.BigIntegerField()
    members = models.BinaryField(
        help_text="Whose they were, four bytes each, some of them twice; empty where members did nothing"
    )

    class Meta:
        db_table = "loyalty_rollup_days"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "day", "type", "store_id"],
                name="loyalty_rollup_days_uniq",
                nulls_distinct=False,
            )
        ]


class RollupLots(models.Model):
    """What became of the points earned in a month, by the month in which it happened; months of the merchant's zone."""

    merchant_id = models.UUIDField()
    earned_in = models.DateField(help_text="First day of the month")
    month = models.DateField(help_text="First day of the month")
    opened = models.BigIntegerField()
    redeemed = models.BigIntegerField(help_text="Less what cancelled redemptions gave back")
    expired = models.BigIntegerField()
    removed = models.BigIntegerField(help_text="Taken back with returned purchases, or by an adjustment")

    class Meta:
        db_table = "loyalty_rollup_lots"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "earned_in", "month"], name="loyalty_rollup_lots_uniq"
            )
        ]


class RollupSettlement(models.Model):
    """Points earned at one store and spent at another (or the same), by the day on which they were spent."""

    merchant_id = models.UUIDField()
    day = models.DateField()
    earned_store_id = models.UUIDField(null=True)
    spent_store_id = models.UUIDField(null=True)
    points = models.BigIntegerField(help_text="Less what cancelled redemptions gave back")

    class Meta:
        db_table = "loyalty_rollup_settlements"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "day", "earned_store_id", "spent_store_id"],
                name="loyalty_rollup_settlements_uniq",
                nulls_distinct=False,
            )
        ]
