"""The loyalty ledger: append-only entries, lots of points, and which debit took from which lot."""

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import Store, TenantForeignKey, TenantPart
from customers.models import Customer, Purchase, PurchaseReturn
from loyalty.models_program import Program as Program
from loyalty.models_program import ProgramVersion as ProgramVersion
from loyalty.models_program import Tier as Tier
from loyalty.models_tiers import TierOverride as TierOverride

POINTS_PER_ENTRY_MAX = 1_000_000_000


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
    """Points of one credit, used up by debits: earliest expiry first, then earliest earned, then id.

    Its table has no index of `id` alone: lots are found with their merchant, and each change of `remaining` writes to all.
    """

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
from loyalty.models_rewards import Voucher as Voucher  # noqa: E402
from loyalty.models_rollups import Rollup, RollupAccount, RollupDay, RollupLots, RollupSettlement  # noqa: E402, F401
