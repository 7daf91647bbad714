"""A loyalty program: its settings, its ladder of tiers, and how both changed."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel
from loyalty.models_tiers import QUALIFYING_CONSTRAINTS, Qualifying
from loyalty.rules import POINTS_PER_ENTRY_MAX

EXPIRY_MONTHS_MAX = 120
GRACE_DAYS_MAX = 365
PENDING_DAYS_MAX = 365
# Of categories, of articles, of stores.
POLICY_LIST_MAX = 500
NAME_CHARS_MAX = 100


def _names(help_text: str) -> ArrayField:
    return ArrayField(
        models.CharField(max_length=NAME_CHARS_MAX), default=list, blank=True, help_text=help_text
    )


class Program(Qualifying, TenantModel):
    """A merchant's loyalty program. One is active at a time."""

    class Rounding(models.TextChoices):
        DOWN = "down", "Down to whole points"
        HALF_UP = "half_up", "To the nearest, half up"
        UP = "up", "Up to whole points"

    class Expiry(models.TextChoices):
        NONE = "none", "Never"
        AFTER_EARNING = "after_earning", "Some months after they were earned"
        AFTER_INACTIVITY = "after_inactivity", "After some months without a purchase or a redemption"

    class Returns(models.TextChoices):
        PROPORTIONAL = "proportional", "Take back what the returned goods had earned"
        KEEP = "keep", "Let the customer keep the points"

    class Shortfall(models.TextChoices):
        WITHIN_BALANCE = "within_balance", "Take what is there: the balance never goes below zero"
        UNLIMITED = "unlimited", "Let the balance go below zero: later points fill it first"

    name = models.CharField(max_length=100, default="Loyalty")
    point_name = models.CharField(max_length=30, default="point")
    points_name = models.CharField(max_length=30, default="points")
    points_per_unit = models.DecimalField(
        max_digits=10,
        decimal_places=4,
        default=Decimal(1),
        help_text="Points per unit of the merchant's currency",
    )
    rounding = models.CharField(max_length=10, choices=Rounding.choices, default=Rounding.DOWN)
    earns_on_tax = models.BooleanField(default=True, help_text="The tax in a purchase's amount earns too")
    earns_on_discount = models.BooleanField(
        default=False, help_text="A purchase earns as if its discount had not been given"
    )
    categories_in = _names("Only these categories earn, and the articles below; empty: all")
    categories_out = _names("These categories earn nothing")
    skus_in = _names("Only these articles (SKU) earn, and the categories above; empty: all")
    skus_out = _names("These articles (SKU) earn nothing")
    store_ids = ArrayField(
        models.UUIDField(), default=list, blank=True, help_text="Stores that take part; empty: all of them"
    )
    pending_days = models.PositiveSmallIntegerField(
        default=0, help_text="A purchase's points can be spent after so many days, each to its end"
    )
    returns = models.CharField(max_length=20, choices=Returns.choices, default=Returns.PROPORTIONAL)
    shortfall = models.CharField(max_length=20, choices=Shortfall.choices, default=Shortfall.WITHIN_BALANCE)
    expiry = models.CharField(max_length=20, choices=Expiry.choices, default=Expiry.NONE)
    expiry_months = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Points last at least this long, to the end of the day"
    )
    expiry_month_end = models.BooleanField(default=False, help_text="They last to the end of that month")
    grace_days = models.PositiveSmallIntegerField(
        default=0, help_text="How long points last that a cancelled redemption gives back after their time"
    )
    redeem_value = models.DecimalField(
        max_digits=10,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="Money per point, in the merchant's currency; empty: points buy no money off",
    )
    redeem_points_min = models.IntegerField(
        default=1, help_text="The fewest points that are redeemed at once"
    )
    is_active = models.BooleanField(default=True)
    revision = models.IntegerField(
        default=1, editable=False, help_text="Number of the newest of its versions"
    )
    tiers_revision = models.IntegerField(
        default=1, editable=False, help_text="The revision that every member's tier has been brought up to"
    )
    promotions_revision = models.IntegerField(
        default=0, editable=False, help_text="Counts changes of its promotions"
    )
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "loyalty_programs"
        constraints = [
            unique_in_merchant("loyalty_programs"),
            models.UniqueConstraint(
                fields=["merchant"], name="loyalty_programs_one_active", condition=Q(is_active=True)
            ),
            models.CheckConstraint(
                condition=Q(points_per_unit__gte=0, points_per_unit__lte=10_000),
                name="loyalty_programs_rate_bounds",
            ),
            models.CheckConstraint(
                condition=Q(expiry="none", expiry_months__isnull=True)
                | Q(
                    expiry__in=["after_earning", "after_inactivity"],
                    expiry_months__gte=1,
                    expiry_months__lte=EXPIRY_MONTHS_MAX,
                ),
                name="loyalty_programs_expiry_months",
            ),
            models.CheckConstraint(
                condition=Q(grace_days__lte=GRACE_DAYS_MAX), name="loyalty_programs_grace_bounds"
            ),
            models.CheckConstraint(
                condition=Q(pending_days__lte=PENDING_DAYS_MAX), name="loyalty_programs_pending_bounds"
            ),
            models.CheckConstraint(
                condition=Q(redeem_value__isnull=True) | Q(redeem_value__gt=0),
                name="loyalty_programs_redeem_value_positive",
            ),
            models.CheckConstraint(
                condition=Q(redeem_points_min__gte=1, redeem_points_min__lte=POINTS_PER_ENTRY_MAX),
                name="loyalty_programs_redeem_points_min_bounds",
            ),
            *QUALIFYING_CONSTRAINTS,
        ]

    def __str__(self) -> str:
        return self.name


class Tier(TenantModel):
    """A step of the ladder: reached when what counts (money or points) reaches `threshold`; multiplies what sales earn."""

    program = TenantForeignKey(Program, on_delete=models.CASCADE, related_name="tiers", db_index=False)
    code = models.SlugField(max_length=20)
    name = models.CharField(max_length=50)
    threshold = models.DecimalField(max_digits=14, decimal_places=2)
    multiplier = models.DecimalField(max_digits=6, decimal_places=3, default=Decimal(1))
    benefits = models.JSONField(
        default=list, blank=True, help_text="What else members have of it: short texts"
    )

    class Meta:
        db_table = "loyalty_tiers"
        ordering = ["threshold"]
        constraints = [
            *tenant_references("loyalty_tiers", "program"),
            models.UniqueConstraint(fields=["merchant", "program", "code"], name="loyalty_tiers_code_uniq"),
            models.UniqueConstraint(
                fields=["merchant", "program", "threshold"], name="loyalty_tiers_threshold_uniq"
            ),
            models.CheckConstraint(condition=Q(threshold__gte=0), name="loyalty_tiers_threshold_positive"),
            models.CheckConstraint(
                condition=Q(multiplier__gt=0, multiplier__lte=100), name="loyalty_tiers_multiplier_bounds"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProgramVersion(TenantModel):
    """The rules of a program from `effective_from` on. Append-only: purchases keep the rules of their own time."""

    program = TenantForeignKey(Program, on_delete=models.PROTECT, related_name="versions", db_index=False)
    number = models.IntegerField(help_text="1, 2, 3 ...")
    effective_from = models.DateTimeField(null=True, blank=True, help_text="Empty: since ever")
    rules = models.JSONField(help_text="See loyalty.rules.Rules.as_json")
    actor_id = models.UUIDField(null=True, blank=True)
    recorded_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "loyalty_program_versions"
        constraints = [
            *tenant_references("loyalty_program_versions", "program"),
            models.UniqueConstraint(
                fields=["merchant", "program", "number"], name="loyalty_program_versions_uniq"
            ),
        ]
