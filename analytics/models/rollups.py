"""Purchases summed up by day, week and month, with who bought.

Derived, and derivable again at any time (`manage.py refresh_rollups --again`), so without references. Written by
`analytics.rollups` alone; see docs/adr/0023-roll-ups.md. A scope is a store, or the merchant itself: all of its stores.
"""

import uuid

from django.db import models


class PurchaseRollup(models.Model):
    """How one merchant's purchases are summed up. Its row is the lock of whoever sums up."""

    merchant_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    zones = models.JSONField(
        default=dict, help_text="By store: the zone in whose days its purchases were counted"
    )
    members = models.IntegerField(default=0, help_text="Customers that have a number")
    revision = models.BigIntegerField(default=0, help_text="Grows with every change of the sums")
    is_ready = models.BooleanField(default=False, help_text="Everything has been in the sums")

    class Meta:
        db_table = "analytics_rollups"


class ChangedDays(models.Model):
    """Days whose sums no longer hold, both ends included. Only ever added to and deleted: nobody waits for another's row."""

    id = models.BigAutoField(primary_key=True)
    merchant_id = models.UUIDField()
    first = models.DateField()
    last = models.DateField()
    changed_at = models.DateTimeField(help_text="When the earliest of the changes was recorded")

    class Meta:
        db_table = "analytics_changed_days"
        indexes = [models.Index(fields=["merchant_id", "id"], name="analytics_changed_days_idx")]


class RollupMember(models.Model):
    """A customer who has bought: bit `number` of the sets. The numbers of a merchant are dense and never change hands."""

    pk = models.CompositePrimaryKey("merchant_id", "customer_id")
    merchant_id = models.UUIDField()
    customer_id = models.UUIDField()
    number = models.IntegerField()

    class Meta:
        db_table = "analytics_members"
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "number"], name="analytics_members_number_uniq")
        ]


class RollupDay(models.Model):
    """What happened in a scope on one day of its stores; nothing is no row. Money in cents."""

    pk = models.CompositePrimaryKey("merchant_id", "scope_id", "day")
    merchant_id = models.UUIDField()
    scope_id = models.UUIDField()
    day = models.DateField()
    purchases = models.IntegerField()
    buyers = models.IntegerField(help_text="Distinct, of purchases that were not wholly taken back")
    sold = models.BigIntegerField()
    returned = models.BigIntegerField(help_text="Given back on this day, whenever it was sold")
    discount = models.BigIntegerField()
    points_earned = models.BigIntegerField()
    points_redeemed = models.BigIntegerField()
    points_expired = models.BigIntegerField()
    once = models.BinaryField(help_text="The set of who bought")
    again = models.BinaryField(help_text="The set of who bought at least twice")
    members = models.BinaryField(help_text="Who bought how often for how much: analytics.rollups.members")
    goods = models.BinaryField(
        null=True, help_text="What was sold: analytics.rollups.goods; empty where that was not summed up yet"
    )
    revision = models.BigIntegerField()

    class Meta:
        db_table = "analytics_days"


class RollupSpan(models.Model):
    """Who bought in a whole week or month that is over. Without a row its days are read."""

    pk = models.CompositePrimaryKey("merchant_id", "scope_id", "unit", "first")
    merchant_id = models.UUIDField()
    scope_id = models.UUIDField()
    unit = models.CharField(max_length=5)
    first = models.DateField()
    once = models.BinaryField(help_text="The set of who bought")
    again = models.BinaryField(help_text="The set of who bought at least twice")
    members = models.BinaryField(help_text="As those of a day")
    revision = models.BigIntegerField()

    class Meta:
        db_table = "analytics_spans"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(unit__in=["week", "month"]), name="analytics_spans_unit"
            )
        ]
