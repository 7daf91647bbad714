"""What was sold and what came back."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.timezone import get_current_timezone
from unfold.decorators import display

from cloudpos.tenancy.backoffice.pages import StoreFilter, TenantModelAdmin, TenantTabularInline
from cloudpos.tenancy.formats import moment, money, quantity
from customers.admin.finding import CustomerFilter, SearchesByCustomer
from customers.admin.words import customer_link, link, numbers
from customers.models import Purchase, PurchaseItem, PurchaseReturn, PurchaseReturnItem


class PurchaseItemInline(TenantTabularInline):
    model = PurchaseItem
    fields = readonly_fields = ["name", "code", "category", "amount_of", "price", "total"]
    ordering = ["line"]
    verbose_name_plural = "Items"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("purchase")

    @display(description="SKU")
    def code(self, item: PurchaseItem) -> str:
        return item.sku

    @display(description="Quantity")
    def amount_of(self, item: PurchaseItem) -> str:
        return numbers(quantity(item.quantity))

    @display(description="Unit price")
    def price(self, item: PurchaseItem) -> str:
        return numbers(money(item.unit_price, item.purchase.currency))

    @display(description="Total")
    def total(self, item: PurchaseItem) -> str:
        return numbers(money(item.unit_price * item.quantity, item.purchase.currency))


class PurchaseReturnInline(TenantTabularInline):
    model = PurchaseReturn
    fields = readonly_fields = ["number", "when", "given_back", "reason"]
    ordering = ["occurred_at"]
    verbose_name_plural = "Returns"
    fk_name = "purchase"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("purchase")

    @display(description="Return")
    def number(self, row: PurchaseReturn) -> str:
        return link("customers_purchasereturn", row)

    @display(description="When")
    def when(self, row: PurchaseReturn) -> str:
        return moment(row.occurred_at, get_current_timezone())

    @display(description="Given back")
    def given_back(self, row: PurchaseReturn) -> str:
        return numbers(money(row.amount, row.purchase.currency))


@admin.register(Purchase)
class PurchaseAdmin(SearchesByCustomer, TenantModelAdmin):
    transaction_field = "transaction_id"
    list_display = ["when", "receipt_number", "buyer", "store", "paid", "paid_by", "channel_name"]
    list_select_related = ["customer", "store", "merchant"]
    list_filter = [StoreFilter, CustomerFilter]
    search_fields = ["transaction_id"]
    search_help_text = "Receipt number, or the customer's name, e-mail, phone or number"
    ordering = ["-occurred_at"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("receipt_number", "store"),
                    ("buyer", "when"),
                    ("paid_by", "channel_name"),
                ]
            },
        ),
        ("Amounts", {"fields": [("paid", "tax_paid", "discounted")]}),
    ]
    readonly_fields = [
        "receipt_number",
        "buyer",
        "when",
        "paid_by",
        "channel_name",
        "paid",
        "tax_paid",
        "discounted",
    ]
    empty_icon = "receipt_long"
    empty_title = "No purchases yet"
    empty_text = "A sale appears here as soon as a till has sent it."

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        if obj is None:
            return []
        returned = PurchaseReturn.objects.for_merchant(obj.merchant_id).filter(purchase=obj).exists()
        return [PurchaseItemInline, *([PurchaseReturnInline] if returned else [])]

    def row_title(self, row: Purchase) -> str:
        return f"Receipt {row.transaction_id}"

    @display(description="Receipt")
    def receipt_number(self, purchase: Purchase) -> str:
        return purchase.transaction_id

    @display(description="Paid by")
    def paid_by(self, purchase: Purchase) -> str:
        return capfirst(purchase.payment_method.replace("_", " ")) or "–"

    @display(description="Channel")
    def channel_name(self, purchase: Purchase) -> str:
        return capfirst(purchase.channel.replace("_", " ")) or "–"

    @display(description="When", ordering="occurred_at")
    def when(self, purchase: Purchase) -> str:
        return moment(purchase.occurred_at, get_current_timezone())

    @display(description="Customer")
    def buyer(self, purchase: Purchase) -> str:
        return customer_link(purchase.customer)

    @display(description="Paid")
    def paid(self, purchase: Purchase) -> str:
        return numbers(money(purchase.amount, purchase.currency))

    @display(description="Of this tax")
    def tax_paid(self, purchase: Purchase) -> str:
        return money(purchase.tax, purchase.currency)

    @display(description="Discount")
    def discounted(self, purchase: Purchase) -> str:
        return money(purchase.discount, purchase.currency)


class PurchaseReturnItemInline(TenantTabularInline):
    model = PurchaseReturnItem
    fields = readonly_fields = ["product", "sku", "pieces", "price"]
    ordering = ["line"]
    verbose_name_plural = "What came back"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # A line of a return names a line of its purchase by number.
        sold = PurchaseItem.objects.filter(
            merchant_id=OuterRef("merchant_id"),
            purchase_id=OuterRef("purchase_return__purchase_id"),
            line=OuterRef("line"),
        )
        return (
            super()
            .get_queryset(request)
            .select_related("purchase_return__purchase")
            .annotate(
                sold_name=Subquery(sold.values("name")[:1]),
                sold_sku=Subquery(sold.values("sku")[:1]),
                sold_price=Subquery(sold.values("unit_price")[:1]),
            )
        )

    @display(description="Product")
    def product(self, item: Any) -> str:
        return item.sold_name or item.sold_sku or f"Line {item.line}"

    @display(description="SKU")
    def sku(self, item: Any) -> str:
        return item.sold_sku or "–"

    @display(description="Quantity")
    def pieces(self, item: PurchaseReturnItem) -> str:
        return numbers(quantity(item.quantity))

    @display(description="Unit price")
    def price(self, item: Any) -> str:
        return numbers(money(item.sold_price, item.purchase_return.purchase.currency))


@admin.register(PurchaseReturn)
class PurchaseReturnAdmin(SearchesByCustomer, TenantModelAdmin):
    list_title, noun, nouns = "Returns", "return", "returns"
    transaction_field = "transaction_id"
    list_display = ["when", "number", "buyer", "of_purchase", "store", "given_back", "reason"]
    list_select_related = ["customer", "store", "purchase"]
    list_filter = [StoreFilter, CustomerFilter]
    search_fields = ["transaction_id"]
    search_help_text = "Return number, or the customer's name, e-mail, phone or number"
    ordering = ["-occurred_at"]
    inlines = [PurchaseReturnItemInline]
    fields = [("number", "store"), ("buyer", "of_purchase"), ("when", "given_back"), "reason"]
    readonly_fields = ["number", "buyer", "of_purchase", "when", "given_back"]
    empty_icon = "assignment_return"
    empty_title = "Nothing was returned"
    empty_text = "Returns that tills send appear here, each with the purchase it belongs to."

    def row_title(self, row: PurchaseReturn) -> str:
        return f"Return {row.transaction_id}"

    @display(description="Return")
    def number(self, row: PurchaseReturn) -> str:
        return row.transaction_id

    @display(description="When", ordering="occurred_at")
    def when(self, row: PurchaseReturn) -> str:
        return moment(row.occurred_at, get_current_timezone())

    @display(description="Customer")
    def buyer(self, row: PurchaseReturn) -> str:
        return customer_link(row.customer)

    @display(description="Purchase")
    def of_purchase(self, row: PurchaseReturn) -> str:
        return link("customers_purchase", row.purchase)

    @display(description="Given back")
    def given_back(self, row: PurchaseReturn) -> str:
        return numbers(money(row.amount, row.purchase.currency))
