"""What points are spent on: the catalogue of rewards, holds of a till that is closing a sale, redemptions, and vouchers."""

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import Store, TenantForeignKey, TenantModel
from customers.models import Customer

REWARD_POINTS_MAX = 1_000_000_000


class Reward(TenantModel):
    """Something that points buy. Archived, never deleted: redemptions keep pointing at it."""

    class Kind(models.TextChoices):
        FIXED = "fixed", "Money off"
        PERCENTAGE = "percentage", "Percentage off"
        FREE_ITEM = "free_item", "Free item"

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=500, blank=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    value = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="Money off in the merchant's currency, or per cent off; empty for a free item",
    )
    sku = models.CharField(max_length=100, blank=True, help_text="The item that is free")
    points = models.BigIntegerField(help_text="What it costs")
    limit_per_member = models.IntegerField(
        null=True, blank=True, help_text="How often one member may have it; empty: any number"
    )
    stock = models.IntegerField(
        null=True, blank=True, help_text="How often it can be had in all; empty: any number"
    )
    taken = models.IntegerField(
        default=0,
        editable=False,
        help_text="Redeemed and not cancelled, held at this moment, or given as a voucher",
    )
    tiers = models.JSONField(
        default=list, blank=True, help_text="Codes of the tiers that may have it; empty: all"
    )
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(
        null=True, blank=True, help_text="The first instant at which it is over"
    )
    is_active = models.BooleanField(default=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = models.PositiveIntegerField(
        default=1, db_default=1, editable=False, help_text="Of what a manager writes: not of its stock"
    )
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "loyalty_rewards"
        constraints = [
            unique_in_merchant("loyalty_rewards"),
            models.CheckConstraint(
                condition=Q(points__gte=1, points__lte=REWARD_POINTS_MAX),
                name="loyalty_rewards_points_bounds",
            ),
            models.CheckConstraint(
                condition=Q(kind="fixed", value__gt=0, sku="")
                | Q(kind="percentage", value__gt=0, value__lte=Decimal(100), sku="")
                | (Q(kind="free_item", value__isnull=True) & ~Q(sku="")),
                name="loyalty_rewards_value_of_kind",
            ),
            models.CheckConstraint(
                condition=Q(taken__gte=0) & (Q(stock__isnull=True) | Q(taken__lte=F("stock"))),
                name="loyalty_rewards_stock_holds",
            ),
            models.CheckConstraint(
                condition=Q(limit_per_member__isnull=True) | Q(limit_per_member__gte=1),
                name="loyalty_rewards_limit_positive",
            ),
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True)
                | Q(valid_until__isnull=True)
                | Q(valid_from__lt=F("valid_until")),
                name="loyalty_rewards_window",
            ),
        ]
        indexes = [models.Index(fields=["merchant", "created_at"], name="loyalty_rewards_time_idx")]

    def __str__(self) -> str:
        return self.name


class Hold(TenantModel):
    """Points that a till has reserved. Until `expires_at` nobody else spends them; then they are free, swept or not.

    It hangs on the customer, not on the account, so that a merge moves it and its undo moves it back. Nothing of
    it is in the ledger before it is captured.
    """

    class State(models.TextChoices):
        HELD = "held", "Held"
        CAPTURED = "captured", "Captured"
        RELEASED = "released", "Released"
        LAPSED = "lapsed", "Lapsed"

    customer = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="holds", db_index=False)
    reward = TenantForeignKey(
        Reward, on_delete=models.PROTECT, related_name="holds", null=True, blank=True, db_index=False
    )
    points = models.BigIntegerField()
    captured_points = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.HELD)
    entry = TenantForeignKey(
        "loyalty.LedgerEntry",
        on_delete=models.PROTECT,
        related_name="holds",
        null=True,
        blank=True,
        db_index=False,
        help_text="The entry that its capture wrote",
    )
    store = TenantForeignKey(Store, on_delete=models.PROTECT, related_name="+", db_index=False)
    actor_id = models.UUIDField()
    transaction_id = models.CharField(max_length=100)
    content_hash = models.BinaryField(
        max_length=32, help_text="SHA-256 of what a client sent under transaction_id"
    )
    created_at = models.DateTimeField(default=now, editable=False)
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "loyalty_holds"
        constraints = [
            unique_in_merchant("loyalty_holds"),
            *tenant_references("loyalty_holds", "customer", "reward", "entry", "store"),
            models.UniqueConstraint(
                fields=["merchant", "store", "transaction_id"], name="loyalty_holds_transaction_uniq"
            ),
            models.CheckConstraint(
                condition=Q(points__gte=1, points__lte=REWARD_POINTS_MAX), name="loyalty_holds_points_bounds"
            ),
            models.CheckConstraint(
                condition=Q(
                    state="captured",
                    captured_points__gte=1,
                    captured_points__lte=F("points"),
                    entry__isnull=False,
                )
                | (~Q(state="captured") & Q(captured_points=0, entry__isnull=True)),
                name="loyalty_holds_captured_once",
            ),
            models.CheckConstraint(
                condition=Q(state="held", closed_at__isnull=True)
                | (~Q(state="held") & Q(closed_at__isnull=False)),
                name="loyalty_holds_closed_at",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="loyalty_holds_expire_later"
            ),
        ]
        indexes = [
            # What an account has held: asked by every statement that opens one.
            models.Index(
                fields=["merchant", "customer", "expires_at"],
                include=["points"],
                name="loyalty_holds_open_idx",
                condition=Q(state="held"),
            ),
            # The sweep's queue.
            models.Index(fields=["expires_at"], name="loyalty_holds_due_idx", condition=Q(state="held")),
            models.Index(fields=["merchant", "customer", "created_at"], name="loyalty_holds_customer_idx"),
            # The catalogue's look at what a reward has lying about.
            models.Index(
                fields=["merchant", "reward", "expires_at"],
                name="loyalty_holds_reward_idx",
                condition=Q(state="held", reward__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.points} points"


class Redemption(TenantModel):
    """Points that became a reward or money off. Cancelled, they go back into the lots that they came from."""

    class State(models.TextChoices):
        REDEEMED = "redeemed", "Redeemed"
        CANCELLED = "cancelled", "Cancelled"

    customer = TenantForeignKey(
        Customer, on_delete=models.PROTECT, related_name="redemptions", db_index=False
    )
    reward = TenantForeignKey(
        Reward, on_delete=models.PROTECT, related_name="redemptions", null=True, blank=True, db_index=False
    )
    hold = TenantForeignKey(
        Hold, on_delete=models.PROTECT, related_name="redemptions", null=True, blank=True, db_index=False
    )
    entry = TenantForeignKey(
        "loyalty.LedgerEntry", on_delete=models.PROTECT, related_name="redemptions", db_index=False
    )
    points = models.BigIntegerField()
    discount = models.DecimalField(
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="Money off in the merchant's currency; empty when it depends on the basket",
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.REDEEMED)
    store = TenantForeignKey(Store, on_delete=models.PROTECT, related_name="+", db_index=False)
    actor_id = models.UUIDField()
    transaction_id = models.CharField(max_length=100)
    content_hash = models.BinaryField(max_length=32)
    redeemed_at = models.DateTimeField(default=now, editable=False)
    cancelled_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancelled_by = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "loyalty_redemptions"
        constraints = [
            unique_in_merchant("loyalty_redemptions"),
            *tenant_references("loyalty_redemptions", "customer", "reward", "hold", "entry", "store"),
            models.UniqueConstraint(
                fields=["merchant", "store", "transaction_id"], name="loyalty_redemptions_transaction_uniq"
            ),
            models.UniqueConstraint(fields=["merchant", "entry"], name="loyalty_redemptions_entry_uniq"),
            models.CheckConstraint(
                condition=Q(points__gte=1, points__lte=REWARD_POINTS_MAX),
                name="loyalty_redemptions_points_bounds",
            ),
            models.CheckConstraint(
                condition=Q(state="redeemed", cancelled_at__isnull=True)
                | Q(state="cancelled", cancelled_at__isnull=False),
                name="loyalty_redemptions_cancelled_at",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "redeemed_at"], name="loyalty_redemptions_time_idx"),
            models.Index(fields=["merchant", "customer", "redeemed_at"], name="loyalty_redempt_customer_idx"),
            models.Index(
                fields=["merchant", "reward"],
                name="loyalty_redemptions_reward_idx",
                condition=Q(state="redeemed", reward__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.points} points"


class Voucher(TenantModel):
    """A reward that a customer was given for no points. Who names its code at a till has it, once, until it expires.

    It counts for the reward's stock and the member's limit from when it is given until it has lapsed. What it is worth was
    promised: it stays so when its reward is changed, switched off or archived.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        USED = "used", "Used"
        LAPSED = "lapsed", "Lapsed"

    customer = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="vouchers", db_index=False)
    reward = TenantForeignKey(Reward, on_delete=models.PROTECT, related_name="vouchers", db_index=False)
    code = models.CharField(max_length=12, help_text="Without the hyphen that people see")
    cause = models.CharField(max_length=60, help_text="What it was given for: once for each")
    kind = models.CharField(max_length=10, choices=Reward.Kind.choices, help_text="The reward's, then")
    value = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    sku = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    given_at = models.DateTimeField(default=now, editable=False)
    expires_at = models.DateTimeField(help_text="The first instant at which it is over")
    used_at = models.DateTimeField(null=True, blank=True, editable=False)
    store = TenantForeignKey(
        Store, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    actor_id = models.UUIDField(null=True, blank=True, help_text="Who took it at the till")
    transaction_id = models.CharField(max_length=100, blank=True)

    class Meta:
        db_table = "loyalty_vouchers"
        constraints = [
            unique_in_merchant("loyalty_vouchers"),
            *tenant_references("loyalty_vouchers", "customer", "reward", "store"),
            models.UniqueConstraint(fields=["merchant", "code"], name="loyalty_vouchers_code_uniq"),
            models.UniqueConstraint(fields=["merchant", "cause"], name="loyalty_vouchers_given_once"),
            models.CheckConstraint(
                condition=Q(state="used", used_at__isnull=False, store__isnull=False)
                | Q(state__in=["open", "lapsed"], used_at=None, store=None),
                name="loyalty_vouchers_used_somewhere",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("given_at")), name="loyalty_vouchers_expire_later"
            ),
        ]
        indexes = [
            # The sweep's queue.
            models.Index(fields=["expires_at"], name="loyalty_vouchers_due_idx", condition=Q(state="open")),
            models.Index(fields=["merchant", "customer", "expires_at"], name="loyalty_vouchers_customer_idx"),
            models.Index(fields=["merchant", "given_at"], name="loyalty_vouchers_time_idx"),
            models.Index(
                fields=["merchant", "reward", "expires_at"],
                name="loyalty_vouchers_reward_idx",
                condition=Q(state="open"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reward}, {self.get_state_display().lower()}"
