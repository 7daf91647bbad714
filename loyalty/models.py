"""The loyalty ledger: append-only entries, lots of points, and which debit took from which lot."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import Store, TenantForeignKey, TenantModel, TenantPart
from customers.models import Customer, Purchase, PurchaseReturn
from loyalty.models_tiers import QUALIFYING_CONSTRAINTS, Qualifying
from loyalty.models_tiers import TierOverride as TierOverride

POINTS_PER_ENTRY_MAX = 1_000_000_000
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


class Enrollment(TenantPart):
    """A customer's account in the program. The row that every ledger entry of the customer locks."""

    customer = TenantForeignKey(
        Customer, on_delete=models.PROTECT, related_name="enrollments", db_index=False
    )
    program = TenantForeignKey(Program, on_delete=models.PROTECT, related_name="enrollments", db_index=False)
    balance = models.BigIntegerField(
        default=0, help_text="Points: the sum of the entries, and of the lots' remainders; below zero: owed"
    )
    version = models.IntegerField(default=0, help_text="Number of the last ledger entry")
    tier = models.CharField(max_length=20, blank=True)
    net_spend = models.DecimalField(
        max_digits=14, decimal_places=2, default=Decimal(0), help_text="Of all purchases, less returns"
    )
    # The tier and what counts towards it are those of `tier_at`, and stay so until the instants below.
    qualifying_amount = models.DecimalField(
        max_digits=16,
        decimal_places=2,
        default=Decimal(0),
        db_default=Decimal(0),
        help_text="What counts towards tiers: money or points",
    )
    amount_until = models.DateTimeField(
        null=True, blank=True, help_text="The first instant at which the amount falls by itself; empty: never"
    )
    tier_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Before this the tier does not change by itself; empty: it never does",
    )
    tier_at = models.DateTimeField(null=True, blank=True)
    tier_revision = models.IntegerField(
        default=0, db_default=0, help_text="The program's revision by which they were worked out"
    )
    last_activity_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Time of the latest purchase or return; an earlier one arriving is late",
    )
    debt_allowed = models.BooleanField(
        db_default=False, help_text="The program lets the balance go below zero, or it is there already"
    )
    inactive_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When points that last while the member is active are over, unless there is activity before",
    )
    enrolled_at = models.DateTimeField(default=now)

    class Meta:
        db_table = "loyalty_enrollments"
        constraints = [
            unique_in_merchant("loyalty_enrollments"),
            *tenant_references("loyalty_enrollments", "customer", "program"),
            models.UniqueConstraint(
                fields=["merchant", "customer", "program"], name="loyalty_enrollments_uniq"
            ),
            models.CheckConstraint(
                condition=Q(balance__gte=0) | Q(debt_allowed=True),
                name="loyalty_enrollments_balance_positive",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "enrolled_at"], name="loyalty_enrollments_time_idx"),
            # Whose time of inactivity is over, for the sweep.
            models.Index(
                fields=["merchant", "inactive_at"],
                name="loyalty_enrollments_idle_idx",
                condition=Q(inactive_at__isnull=False),
            ),
            # Whose tier is to be reviewed.
            models.Index(
                fields=["merchant", "tier_until"],
                name="loyalty_enrollments_review_idx",
                condition=Q(tier_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.balance} points"

    @property
    def owed(self) -> int:
        """Points that the balance is below zero."""
        return max(0, -self.balance)


class LedgerEntry(TenantPart):
    """One change of a balance. A database trigger refuses UPDATE and DELETE: a mistake gets a counter-entry."""

    class Type(models.TextChoices):
        EARNED = "earned", "Earned"
        REDEEMED = "redeemed", "Redeemed"
        EXPIRED = "expired", "Expired"
        ADJUSTED = "adjusted", "Adjusted"
        REVERSED = "reversed", "Reversed"
        BONUS = "bonus", "Bonus"
        TRANSFERRED = "transferred", "Transferred"

    enrollment = TenantForeignKey(
        Enrollment, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    version = models.IntegerField(help_text="1, 2, 3 ... without gaps per enrollment")
    type = models.CharField(max_length=12, choices=Type.choices)
    points = models.BigIntegerField(help_text="Signed")
    balance_before = models.BigIntegerField()
    balance_after = models.BigIntegerField()
    description = models.CharField(max_length=500, blank=True)
    # What caused it: a sale or a return (references), a client's own transaction, a person with a reason.
    purchase = TenantForeignKey(
        Purchase, on_delete=models.PROTECT, related_name="entries", null=True, blank=True, db_index=False
    )
    purchase_return = TenantForeignKey(
        PurchaseReturn,
        on_delete=models.PROTECT,
        related_name="entries",
        null=True,
        blank=True,
        db_index=False,
    )
    reverses = TenantForeignKey(
        "self", on_delete=models.PROTECT, related_name="reversals", null=True, blank=True, db_index=False
    )
    transaction_id = models.CharField(max_length=100, blank=True)
    actor_id = models.UUIDField(null=True, blank=True)
    store = TenantForeignKey(
        Store, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    content_hash = models.BinaryField(
        max_length=32, null=True, help_text="SHA-256 of what a client sent under transaction_id"
    )
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "loyalty_transactions"
        verbose_name_plural = "ledger entries"
        constraints = [
            unique_in_merchant("loyalty_transactions"),
            *tenant_references(
                "loyalty_transactions", "enrollment", "purchase", "purchase_return", "reverses", "store"
            ),
            models.UniqueConstraint(
                fields=["merchant", "enrollment", "version"], name="loyalty_transactions_version_uniq"
            ),
            models.UniqueConstraint(
                fields=["merchant", "store", "type", "transaction_id"],
                name="loyalty_transactions_effect_uniq",
                condition=~Q(transaction_id=""),
            ),
            models.UniqueConstraint(
                fields=["merchant", "enrollment", "purchase"],
                name="loyalty_transactions_sale_earns_once",
                condition=Q(type="earned", purchase__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(balance_after=F("balance_before") + F("points")),
                name="loyalty_transactions_arithmetic",
            ),
            models.CheckConstraint(
                condition=~Q(points=0)
                & Q(points__gte=-POINTS_PER_ENTRY_MAX, points__lte=POINTS_PER_ENTRY_MAX),
                name="loyalty_transactions_points_bounds",
            ),
        ]
        indexes = [
            # What a period earned and redeemed, without reading the whole ledger.
            models.Index(
                fields=["merchant", "occurred_at"],
                include=["type", "points"],
                name="loyalty_transactions_time_idx",
            ),
            models.Index(
                fields=["merchant", "purchase"],
                name="loyalty_transactions_sale_idx",
                condition=Q(purchase__isnull=False),
            ),
            models.Index(
                fields=["merchant", "reverses"],
                name="loyalty_transactions_rev_idx",
                condition=Q(reverses__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.points:+d} {self.get_type_display()}"


class Lot(TenantPart):
    """Points of one credit, used up by debits: earliest expiry first, then earliest earned, then id."""

    enrollment = TenantForeignKey(Enrollment, on_delete=models.PROTECT, related_name="lots", db_index=False)
    entry = TenantForeignKey(LedgerEntry, on_delete=models.PROTECT, related_name="lots", db_index=False)
    purchase = TenantForeignKey(
        Purchase, on_delete=models.PROTECT, related_name="lots", null=True, blank=True, db_index=False
    )
    points = models.BigIntegerField()
    remaining = models.BigIntegerField()
    earned_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never")
    available_at = models.DateTimeField(
        null=True, blank=True, help_text="They can be spent from then on; empty: at once"
    )
    while_active = models.BooleanField(
        db_default=False, help_text="They are over when the account's inactive_at is"
    )

    class Meta:
        db_table = "loyalty_lots"
        constraints = [
            unique_in_merchant("loyalty_lots"),
            *tenant_references("loyalty_lots", "enrollment", "entry", "purchase"),
            models.CheckConstraint(
                condition=Q(points__gt=0, remaining__gte=0, remaining__lte=F("points")),
                name="loyalty_lots_remaining_bounds",
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant", "enrollment", "expires_at", "earned_at", "id"],
                name="loyalty_lots_open_idx",
                condition=Q(remaining__gt=0),
            ),
            models.Index(
                fields=["merchant", "purchase"],
                name="loyalty_lots_purchase_idx",
                condition=Q(purchase__isnull=False),
            ),
            # What is due, for the sweep.
            models.Index(
                fields=["merchant", "expires_at", "enrollment"],
                name="loyalty_lots_due_idx",
                condition=Q(remaining__gt=0, expires_at__isnull=False),
            ),
        ]


class Allocation(TenantPart):
    """How many points a debit took from a lot. Append-only like the entries."""

    entry = TenantForeignKey(
        LedgerEntry, on_delete=models.PROTECT, related_name="allocations", db_index=False
    )
    lot = TenantForeignKey(Lot, on_delete=models.PROTECT, related_name="allocations", db_index=False)
    points = models.BigIntegerField()
    expired = models.BooleanField(default=False, help_text="The entry is the lot's expiry")

    class Meta:
        db_table = "loyalty_allocations"
        constraints = [
            *tenant_references("loyalty_allocations", "entry", "lot"),
            models.UniqueConstraint(fields=["merchant", "entry", "lot"], name="loyalty_allocations_uniq"),
            models.UniqueConstraint(
                fields=["merchant", "lot"], name="loyalty_allocations_expires_once", condition=Q(expired=True)
            ),
            models.CheckConstraint(condition=Q(points__gt=0), name="loyalty_allocations_points_positive"),
        ]
        indexes = [models.Index(fields=["merchant", "lot"], name="loyalty_allocations_lot_idx")]


class Shortfall(TenantPart):
    """Points that a return or a correction should have taken back and could not, because they were spent or had expired.

    The balance never goes below zero (`within_balance`): the program bears the difference, and this says so. Negative
    `points` make good an earlier shortfall of the same purchase out of points it turned out to have earned.
    Append-only like the entries. For each purchase: sum of its entries - sum of its shortfalls = what the rules say.
    """

    enrollment = TenantForeignKey(
        Enrollment, on_delete=models.PROTECT, related_name="shortfalls", db_index=False
    )
    purchase = TenantForeignKey(Purchase, on_delete=models.PROTECT, related_name="shortfalls", db_index=False)
    purchase_return = TenantForeignKey(
        PurchaseReturn,
        on_delete=models.PROTECT,
        related_name="shortfalls",
        null=True,
        blank=True,
        db_index=False,
    )
    points = models.BigIntegerField()
    expired = models.BooleanField(
        default=False,
        help_text="They had expired, so they are gone already: no other points are taken for them",
    )
    recorded_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "loyalty_shortfalls"
        constraints = [
            *tenant_references("loyalty_shortfalls", "enrollment", "purchase", "purchase_return"),
            models.CheckConstraint(condition=~Q(points=0), name="loyalty_shortfalls_points_not_zero"),
        ]
        indexes = [models.Index(fields=["merchant", "purchase"], name="loyalty_shortfalls_sale_idx")]


# Their tables hang on those above.
from loyalty.models_promotions import Promotion as Promotion  # noqa: E402
from loyalty.models_promotions import PromotionAward as PromotionAward  # noqa: E402
from loyalty.models_rewards import Hold as Hold  # noqa: E402
from loyalty.models_rewards import Redemption as Redemption  # noqa: E402
from loyalty.models_rewards import Reward as Reward  # noqa: E402
from loyalty.models_rollups import Rollup, RollupAccount, RollupDay, RollupLots, RollupSettlement  # noqa: E402, F401
