"""What was sold and taken back. Immutable: a mistake is corrected by a return, never by an edit."""

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import Store, TenantForeignKey, TenantPart
from customers.models.customer import Customer

ITEMS_MAX = 500


class Purchase(TenantPart):
    """One sale at a store. (merchant, store, transaction_id) is unique forever: a till may send it any number of times.

    Only `customer` ever changes (a merge moves it), and `returned` by its returns; a database trigger refuses anything else.
    """

    customer = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="purchases", db_index=False)
    store = TenantForeignKey(Store, on_delete=models.PROTECT, related_name="+", db_index=False)
    transaction_id = models.CharField(max_length=100)
    amount = models.DecimalField(
        max_digits=12, decimal_places=2, help_text="What the customer paid, tax included"
    )
    tax = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    discount = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    currency = models.CharField(max_length=3)
    returned = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        default=Decimal(0),
        db_default=Decimal(0),
        editable=False,
        help_text="The sum of its returns, added up by the database",
    )
    payment_method = models.CharField(max_length=30, blank=True)
    channel = models.CharField(max_length=20, default="store")
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now, editable=False)
    content_hash = models.BinaryField(
        max_length=32, help_text="SHA-256 of what was sent: the same id with other content is refused"
    )
    receipt = models.JSONField(
        help_text="The answer as first given; given again when the till repeats itself"
    )

    class Meta:
        db_table = "purchases"
        constraints = [
            unique_in_merchant("purchases"),
            *tenant_references("purchases", "customer", "store"),
            models.UniqueConstraint(
                fields=["merchant", "store", "transaction_id"], name="purchases_transaction_uniq"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="purchases_amount_positive"),
        ]
        indexes = [
            models.Index(
                fields=["merchant", "customer", "occurred_at", "id"],
                include=["amount", "returned"],
                name="purchases_history_idx",
            ),
            models.Index(
                fields=["merchant", "occurred_at"],
                include=["id", "store", "customer", "amount", "returned"],
                name="purchases_window_idx",
            ),
            # Of nothing, or wholly returned: who has none of these bought something at their first and at their last visit.
            models.Index(
                fields=["merchant", "customer", "occurred_at"],
                name="purchases_void_idx",
                condition=Q(returned__gte=F("amount")),
            ),
        ]

    def __str__(self) -> str:
        return self.transaction_id


class PurchaseItem(TenantPart):
    purchase = TenantForeignKey(Purchase, on_delete=models.PROTECT, related_name="items", db_index=False)
    line = models.PositiveSmallIntegerField(help_text="From 1, as sent")
    sku = models.CharField(max_length=100, blank=True)
    name = models.CharField(max_length=200, blank=True)
    category = models.CharField(max_length=100, blank=True)
    quantity = models.DecimalField(max_digits=12, decimal_places=3)
    returned = models.DecimalField(
        max_digits=12,
        decimal_places=3,
        default=Decimal(0),
        db_default=Decimal(0),
        editable=False,
        help_text="Of the quantity, what came back, added up by the database",
    )
    unit_price = models.DecimalField(max_digits=12, decimal_places=4)
    tax = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))

    class Meta:
        db_table = "purchase_items"
        constraints = [
            *tenant_references("purchase_items", "purchase"),
            models.UniqueConstraint(fields=["merchant", "purchase", "line"], name="purchase_items_line_uniq"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="purchase_items_quantity_positive"),
        ]


class PurchaseReturn(TenantPart):
    """Goods or money given back for one purchase; the sum of its returns never exceeds the sale."""

    purchase = TenantForeignKey(Purchase, on_delete=models.PROTECT, related_name="returns", db_index=False)
    customer = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="returns", db_index=False)
    store = TenantForeignKey(Store, on_delete=models.PROTECT, related_name="+", db_index=False)
    transaction_id = models.CharField(max_length=100, help_text="The return's own number at the till")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    reason = models.CharField(max_length=200, blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now, editable=False)
    content_hash = models.BinaryField(max_length=32)
    receipt = models.JSONField()

    class Meta:
        db_table = "purchase_returns"
        constraints = [
            unique_in_merchant("purchase_returns"),
            *tenant_references("purchase_returns", "purchase", "customer", "store"),
            models.UniqueConstraint(
                fields=["merchant", "store", "transaction_id"], name="purchase_returns_transaction_uniq"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="purchase_returns_amount_positive"),
        ]
        indexes = [
            models.Index(fields=["merchant", "purchase"], name="purchase_returns_purchase_idx"),
            models.Index(fields=["merchant", "customer", "occurred_at"], name="purchase_returns_cust_idx"),
            models.Index(
                fields=["merchant", "occurred_at"],
                include=["store", "customer", "amount"],
                name="purchase_returns_time_idx",
            ),
        ]

    def __str__(self) -> str:
        return self.transaction_id


class PurchaseReturnItem(TenantPart):
    purchase_return = TenantForeignKey(
        PurchaseReturn, on_delete=models.PROTECT, related_name="items", db_index=False
    )
    line = models.PositiveSmallIntegerField(help_text="The line of the purchase that came back")
    quantity = models.DecimalField(max_digits=12, decimal_places=3)

    class Meta:
        db_table = "purchase_return_items"
        constraints = [
            *tenant_references("purchase_return_items", "purchase_return"),
            models.UniqueConstraint(
                fields=["merchant", "purchase_return", "line"], name="purchase_return_items_uniq"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="purchase_return_items_positive"),
        ]
