"""How tiers are reached and kept, and those that a person has given by hand."""

from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel
from customers.models import Customer

TIER_MONTHS_MAX = 120
TIER_GRACE_DAYS_MAX = 365
BENEFITS_MAX = 10
BENEFIT_CHARS_MAX = 100
OVERRIDE_REASON_CHARS_MAX = 200


class Qualifying(models.Model):
    """The columns of a program that say what counts towards its tiers: see `loyalty.rules.Qualification`."""

    class Metric(models.TextChoices):
        SPEND = "spend", "Money spent"
        POINTS = "points", "Points earned by purchases"

    class Window(models.TextChoices):
        LIFETIME = "lifetime", "All purchases"
        ROLLING = "rolling", "Purchases of the last months"
        CALENDAR_YEAR = "calendar_year", "Purchases of the calendar year"

    class Downgrade(models.TextChoices):
        IMMEDIATE = "immediate", "As soon as what counts is too little"
        PERIOD_END = "period_end", "After another period without reaching it again"
        NEVER = "never", "Never"

    tier_metric = models.CharField(max_length=10, choices=Metric.choices, default=Metric.SPEND)
    tier_window = models.CharField(max_length=15, choices=Window.choices, default=Window.LIFETIME)
    tier_months = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How long a purchase counts, to the end of the day"
    )
    tier_downgrade = models.CharField(max_length=10, choices=Downgrade.choices, default=Downgrade.IMMEDIATE)
    tier_grace_days = models.PositiveSmallIntegerField(
        default=0, help_text="How much longer a tier is kept that is no longer reached"
    )

    class Meta:
        abstract = True


QUALIFYING_CONSTRAINTS = [
    models.CheckConstraint(
        condition=Q(tier_window="lifetime", tier_months__isnull=True, tier_downgrade="immediate")
        | Q(
            tier_window="rolling",
            # A comparison with nothing is neither true nor false, and would pass.
            tier_months__isnull=False,
            tier_months__gte=1,
            tier_months__lte=TIER_MONTHS_MAX,
        )
        | Q(tier_window="calendar_year", tier_months__isnull=True),
        name="loyalty_programs_tier_window",
    ),
    models.CheckConstraint(
        condition=Q(tier_grace_days=0)
        | (
            Q(tier_grace_days__lte=TIER_GRACE_DAYS_MAX)
            & ~Q(tier_window="lifetime")
            & ~Q(tier_downgrade="never")
        ),
        name="loyalty_programs_tier_grace",
    ),
    models.CheckConstraint(
        condition=Q(tier_metric__in=["spend", "points"])
        & Q(tier_downgrade__in=["immediate", "period_end", "never"]),
        name="loyalty_programs_tier_words",
    ),
]


class TierOverride(TenantModel):
    """A tier that a person gave. Never changed but for its ending; of two that hold at once the later counts.

    It hangs on the customer, not on the account, so that a merge moves it and its undo moves it back.
    """

    class Mode(models.TextChoices):
        AT_LEAST = "at_least", "At least this tier"
        EXACTLY = "exactly", "Exactly this tier"

    customer = TenantForeignKey(
        Customer, on_delete=models.PROTECT, related_name="tier_overrides", db_index=False
    )
    program = TenantForeignKey(
        "loyalty.Program", on_delete=models.PROTECT, related_name="tier_overrides", db_index=False
    )
    tier = models.CharField(max_length=20, help_text="Its code")
    mode = models.CharField(max_length=10, choices=Mode.choices)
    begins_at = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True, help_text="The first instant at which it is over")
    reason = models.CharField(max_length=OVERRIDE_REASON_CHARS_MAX)
    actor_id = models.UUIDField(null=True, blank=True)
    recorded_at = models.DateTimeField(default=now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it was taken back")
    ended_by = models.UUIDField(null=True, blank=True)
    end_reason = models.CharField(max_length=OVERRIDE_REASON_CHARS_MAX, blank=True)

    class Meta:
        db_table = "loyalty_tier_overrides"
        constraints = [
            unique_in_merchant("loyalty_tier_overrides"),
            *tenant_references("loyalty_tier_overrides", "customer", "program"),
            models.CheckConstraint(
                condition=Q(mode__in=["at_least", "exactly"]), name="loyalty_tier_overrides_mode"
            ),
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gt=F("begins_at")),
                name="loyalty_tier_overrides_until_later",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True, end_reason="")
                | Q(ended_at__gte=F("begins_at")),
                name="loyalty_tier_overrides_ended",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "customer"], name="loyalty_tier_overrides_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.get_mode_display()}: {self.tier}"
