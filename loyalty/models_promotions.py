"""Promotions, and the points that they have given: facts, never derived again."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel, TenantPart
from customers.models import Customer, Purchase

PROMOTION_POINTS_MAX = 1_000_000
MULTIPLIER_MAX = 100
PRIORITY_MAX = 1_000
LIST_MAX = 200
VISITS_MAX = 1_000
BIRTHDAY_DAYS_MAX = 90
CAP_MAX = 1_000_000_000


def _one_to(name: str, most: int) -> Q:
    return Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": 1, f"{name}__lte": most})


class Promotion(TenantModel):
    """More points for some purchases, for some time. An empty condition is none."""

    class Kind(models.TextChoices):
        MULTIPLIER = "multiplier", "Multiplied points"
        BONUS = "bonus", "A bonus of points"

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        ENDED = "ended", "Ended"

    class CapPeriod(models.TextChoices):
        TOTAL = "total", "In total"
        DAY = "day", "Each day"

    program = TenantForeignKey(
        "loyalty.Program", on_delete=models.PROTECT, related_name="promotions", db_index=False
    )
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=500, blank=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    multiplier = models.DecimalField(
        max_digits=6, decimal_places=3, null=True, blank=True, help_text="2 doubles the points"
    )
    points = models.IntegerField(null=True, blank=True, help_text="The bonus")
    status = models.CharField(max_length=6, choices=Status.choices, default=Status.DRAFT)

    starts_at = models.DateTimeField(null=True, blank=True, help_text="Empty: from its activation on")
    ends_at = models.DateTimeField(
        null=True, blank=True, help_text="The first instant at which it is over; empty: open-ended"
    )
    weekdays = ArrayField(
        models.SmallIntegerField(),
        default=list,
        blank=True,
        help_text="1 (Monday) to 7 (Sunday); none chosen: every day",
    )
    opens = models.TimeField(null=True, blank=True, help_text="By the clock of the store")
    closes = models.TimeField(null=True, blank=True, help_text="May be after midnight: 22:00 to 02:00")
    stores = ArrayField(models.UUIDField(), default=list, blank=True, help_text="None chosen: all stores")
    tiers = ArrayField(
        models.CharField(max_length=20), default=list, blank=True, help_text="None chosen: all members"
    )
    segments = ArrayField(
        models.CharField(max_length=10), default=list, blank=True, help_text="None chosen: all customers"
    )
    categories = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    skus = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    min_quantity = models.DecimalField(
        max_digits=9,
        decimal_places=3,
        null=True,
        blank=True,
        help_text="At least so many of these items, for a bonus",
    )
    min_spend = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="Of what earns points, and of the items named when there are any",
    )
    first_purchase = models.BooleanField(default=False)
    birthday_days = models.SmallIntegerField(
        null=True, blank=True, help_text="0: on the birthday; 3: also three days before and after"
    )
    every_visit = models.IntegerField(null=True, blank=True, help_text="5: each fifth purchase")

    member_times = models.IntegerField(null=True, blank=True, help_text="The most times for one customer")
    member_points = models.IntegerField(null=True, blank=True, help_text="The most points for one customer")
    member_period = models.CharField(
        max_length=5, choices=CapPeriod.choices, default=CapPeriod.TOTAL, help_text="For one customer"
    )
    total_times = models.IntegerField(null=True, blank=True, help_text="The most times for all together")
    total_points = models.IntegerField(null=True, blank=True, help_text="The most points for all together")
    # Counted while there is a total cap. Sales lock the row for it, after their customer.
    used_times = models.IntegerField(default=0, editable=False)
    used_points = models.BigIntegerField(default=0, editable=False)

    priority = models.SmallIntegerField(default=0, help_text="The higher comes first")
    exclusive = models.BooleanField(default=False, help_text="No other promotion beside it")
    version = models.IntegerField(default=1, editable=False)
    actor_id = models.UUIDField(null=True, blank=True, editable=False, help_text="Who changed it last")
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "loyalty_promotions"
        constraints = [
            unique_in_merchant("loyalty_promotions"),
            *tenant_references("loyalty_promotions", "program"),
            models.CheckConstraint(
                condition=Q(
                    kind="multiplier", multiplier__gt=1, multiplier__lte=MULTIPLIER_MAX, points__isnull=True
                )
                | Q(kind="bonus", multiplier__isnull=True, points__gte=1, points__lte=PROMOTION_POINTS_MAX),
                name="loyalty_promotions_value_of_kind",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "active", "paused", "ended"]),
                name="loyalty_promotions_status_known",
            ),
            models.CheckConstraint(
                condition=Q(status="draft") | Q(starts_at__isnull=False),
                name="loyalty_promotions_active_has_start",
            ),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True)
                | Q(ends_at__isnull=True)
                | Q(starts_at__lt=F("ends_at"))
                # Ended before it began.
                | Q(status="ended", starts_at=F("ends_at")),
                name="loyalty_promotions_window",
            ),
            models.CheckConstraint(
                condition=Q(opens__isnull=True, closes__isnull=True)
                | (Q(opens__isnull=False, closes__isnull=False) & ~Q(opens=F("closes"))),
                name="loyalty_promotions_hours",
            ),
            models.CheckConstraint(
                condition=Q(weekdays__contained_by=[1, 2, 3, 4, 5, 6, 7], weekdays__len__lte=7),
                name="loyalty_promotions_weekdays",
            ),
            models.CheckConstraint(
                condition=Q(
                    stores__len__lte=LIST_MAX,
                    tiers__len__lte=LIST_MAX,
                    segments__len__lte=LIST_MAX,
                    categories__len__lte=LIST_MAX,
                    skus__len__lte=LIST_MAX,
                ),
                name="loyalty_promotions_lists_bounded",
            ),
            models.CheckConstraint(
                condition=Q(min_quantity__isnull=True) | Q(kind="bonus", min_quantity__gt=0),
                name="loyalty_promotions_min_quantity",
            ),
            models.CheckConstraint(
                condition=Q(min_spend__isnull=True) | Q(min_spend__gt=0),
                name="loyalty_promotions_min_spend",
            ),
            models.CheckConstraint(
                condition=Q(birthday_days__isnull=True)
                | Q(birthday_days__gte=0, birthday_days__lte=BIRTHDAY_DAYS_MAX),
                name="loyalty_promotions_birthday_days",
            ),
            models.CheckConstraint(
                condition=Q(every_visit__isnull=True)
                | Q(every_visit__gte=2, every_visit__lte=VISITS_MAX, first_purchase=False),
                name="loyalty_promotions_every_visit",
            ),
            models.CheckConstraint(
                condition=_one_to("member_times", CAP_MAX)
                & _one_to("member_points", CAP_MAX)
                & _one_to("total_times", CAP_MAX)
                & _one_to("total_points", CAP_MAX),
                name="loyalty_promotions_caps_bounds",
            ),
            # However many tills at once: the last word on the total caps.
            models.CheckConstraint(
                condition=Q(used_times__gte=0, used_points__gte=0)
                & (Q(total_times__isnull=True) | Q(used_times__lte=F("total_times")))
                & (Q(total_points__isnull=True) | Q(used_points__lte=F("total_points"))),
                name="loyalty_promotions_total_caps_hold",
            ),
            models.CheckConstraint(
                condition=Q(priority__gte=-PRIORITY_MAX, priority__lte=PRIORITY_MAX),
                name="loyalty_promotions_priority_bounds",
            ),
        ]
        indexes = [models.Index(fields=["merchant", "created_at"], name="loyalty_promotions_time_idx")]

    def __str__(self) -> str:
        return self.name


class PromotionAward(TenantPart):
    """What a promotion gave for a purchase when it was recorded. Append-only, but that it moves in a merge."""

    promotion = TenantForeignKey(Promotion, on_delete=models.PROTECT, related_name="awards", db_index=False)
    customer = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="awards", db_index=False)
    purchase = TenantForeignKey(Purchase, on_delete=models.PROTECT, related_name="awards", db_index=False)
    entry = TenantForeignKey(
        "loyalty.LedgerEntry", on_delete=models.PROTECT, related_name="awards", db_index=False
    )
    points = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "loyalty_awards"
        constraints = [
            *tenant_references("loyalty_awards", "promotion", "customer", "purchase", "entry"),
            models.UniqueConstraint(fields=["merchant", "purchase", "promotion"], name="loyalty_awards_uniq"),
            models.UniqueConstraint(fields=["merchant", "entry"], name="loyalty_awards_entry_uniq"),
            models.CheckConstraint(condition=Q(points__gte=1), name="loyalty_awards_points_positive"),
        ]
        indexes = [
            # A customer's caps, and a merge.
            models.Index(
                fields=["merchant", "customer", "promotion", "occurred_at"],
                include=["points"],
                name="loyalty_awards_customer_idx",
            ),
            # What a promotion has given.
            models.Index(fields=["merchant", "promotion"], name="loyalty_awards_promotion_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.points} points"
