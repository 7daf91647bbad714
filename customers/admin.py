"""Read-only pages of what customers bought, said and did. The customer page itself is in `cloudpos.admin`."""

import json
import uuid
from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone
from unfold.decorators import display

from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.backoffice.pages import StoreFilter, TenantModelAdmin, TenantTabularInline
from cloudpos.tenancy.formats import moment, money
from cloudpos.tenancy.models import Merchant, Store
from customers.models import (
    Consent,
    Customer,
    Event,
    Purchase,
    PurchaseItem,
    PurchaseReturn,
    PurchaseReturnItem,
)
from customers.search import prefix_query

CUSTOMERS_MATCHED_MAX = 200


def matching_customers(merchant: Merchant, text: str) -> QuerySet[Customer]:
    """Visible customers of `merchant` found by name, e-mail, phone or number, through the search index."""
    query = prefix_query(search_key=merchant.search_key, text=text)
    rows = Customer.objects.for_merchant(merchant).visible()
    return rows.filter(search__matches=query) if query else rows.none()


def customer_link(customer: Customer | None) -> SafeString | str:
    if customer is None:
        return "–"
    return link("customers_customer", customer)


def link(page: str, row: Any, text: str = "") -> SafeString:
    """A link to a row's own page, under its name."""
    url = reverse(f"admin:{page}_change", args=[row.pk])
    return format_html('<a class="cp-link" href="{}">{}</a>', url, text or str(row))


def numbers(text: str) -> str:
    """`text` right-aligned in its column."""
    return format_html('<span class="cp-number">{}</span>', text)


class CustomerFilter(SimpleListFilter):
    """Set by links from the customer page; offers nothing by itself."""

    title = "customer"
    parameter_name = "customer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        try:
            wanted = uuid.UUID(request.GET.get("customer", ""))
        except ValueError:
            return []
        found = (
            staff_access(request)
            .listed(Customer.objects.filter(pk=wanted).defer("search"), "merchant")
            .first()
        )
        return [(str(found.pk), found.display_name)] if found else []

    def has_output(self) -> bool:
        return self.value() is not None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        chosen = [key for key, _ in self.lookup_choices]
        return queryset.filter(**{f"{self.customer_field}__in": chosen}) if chosen else queryset.none()

    customer_field = "customer"


class SearchesByCustomer:
    """Search of rows that belong to a customer: by the customer, or by the row's own number at a till."""

    transaction_field = ""
    customer_field = "customer"

    def get_search_fields(self, request: HttpRequest) -> Any:
        # The search index is asked for one merchant at a time.
        return super().get_search_fields(request) if staff_access(request).current else ()  # type: ignore[misc]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        current = staff_access(request).current
        text = search_term.strip()
        if not text or current is None:
            return queryset, False
        found = list(matching_customers(current, text).values_list("pk", flat=True)[:CUSTOMERS_MATCHED_MAX])
        wanted = Q(**{f"{self.customer_field}__in": found})
        if self.transaction_field:
            stores = list(Store.objects.for_merchant(current).values_list("pk", flat=True))
            wanted |= Q(**{self.transaction_field: text, "store__in": stores})
        return queryset.filter(wanted), False


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
        return numbers(f"{item.quantity.normalize():f}")

    @display(description="Unit price")
    def price(self, item: PurchaseItem) -> str:
        return numbers(money(item.unit_price, item.purchase.currency))

    @display(description="Total")
    def total(self, item: PurchaseItem) -> str:
        return numbers(money(item.unit_price * item.quantity, item.purchase.currency))


class PurchaseReturnInline(TenantTabularInline):
    model = PurchaseReturn
    fields = readonly_fields = ["transaction_id", "occurred_at", "given_back", "reason"]
    ordering = ["occurred_at"]
    verbose_name_plural = "Returns"
    fk_name = "purchase"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("purchase")

    @display(description="Given back")
    def given_back(self, row: PurchaseReturn) -> str:
        return numbers(money(row.amount, row.purchase.currency))


@admin.register(Purchase)
class PurchaseAdmin(SearchesByCustomer, TenantModelAdmin):
    transaction_field = "transaction_id"
    list_display = ["when", "transaction_id", "buyer", "store", "paid", "payment_method", "channel"]
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
                    ("transaction_id", "store"),
                    ("buyer", "occurred_at"),
                    ("payment_method", "channel"),
                ]
            },
        ),
        ("Amounts", {"fields": [("paid", "tax_paid", "discounted")]}),
    ]
    readonly_fields = ["buyer", "paid", "tax_paid", "discounted"]
    empty_icon = "receipt_long"
    empty_title = "No purchases yet"
    empty_text = "A sale appears here as soon as a till has sent it."

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        if obj is None:
            return []
        returned = PurchaseReturn.objects.for_merchant(obj.merchant_id).filter(purchase=obj).exists()
        return [PurchaseItemInline, *([PurchaseReturnInline] if returned else [])]

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
    fields = readonly_fields = ["line", "pieces"]
    ordering = ["line"]
    verbose_name_plural = "Lines of the purchase that came back"

    @display(description="Quantity")
    def pieces(self, item: PurchaseReturnItem) -> str:
        return f"{item.quantity.normalize():f}"


@admin.register(PurchaseReturn)
class PurchaseReturnAdmin(SearchesByCustomer, TenantModelAdmin):
    transaction_field = "transaction_id"
    list_display = ["when", "transaction_id", "buyer", "of_purchase", "store", "given_back", "reason"]
    list_select_related = ["customer", "store", "purchase"]
    list_filter = [StoreFilter, CustomerFilter]
    search_fields = ["transaction_id"]
    search_help_text = "Return number, or the customer's name, e-mail, phone or number"
    ordering = ["-occurred_at"]
    inlines = [PurchaseReturnItemInline]
    fields = [("transaction_id", "store"), ("buyer", "of_purchase"), ("occurred_at", "given_back"), "reason"]
    readonly_fields = ["buyer", "of_purchase", "given_back"]
    empty_icon = "assignment_return"
    empty_title = "Nothing was returned"
    empty_text = "Returns that tills send appear here, each with the purchase it belongs to."

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


@admin.register(Consent)
class ConsentAdmin(SearchesByCustomer, TenantModelAdmin):
    list_display = ["when", "who", "channel", "purpose", "said", "source"]
    list_select_related = ["customer"]
    list_filter = ["channel", "purpose", "state", CustomerFilter]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-pk"]
    fields = [
        ("who", "said"),
        ("channel", "purpose"),
        ("source", "wording_version"),
        ("occurred_at", "recorded_at"),
        "address",
    ]
    readonly_fields = ["who", "said", "recorded_at", "address"]
    empty_icon = "verified_user"
    empty_title = "Nobody said anything about consent yet"
    empty_text = "Until a customer agrees, marketing is off for them."

    @display(description="When", ordering="occurred_at")
    def when(self, consent: Consent) -> str:
        return moment(consent.occurred_at, get_current_timezone())

    @display(description="Customer")
    def who(self, consent: Consent) -> str:
        return customer_link(consent.customer)

    @display(description="IP address")
    def address(self, consent: Consent) -> str:
        return consent.ip or "–"

    @display(description="Said", ordering="state", label={"Granted": "success", "Withdrawn": "danger"})
    def said(self, consent: Consent) -> str:
        return consent.get_state_display()


@admin.register(Event)
class EventAdmin(SearchesByCustomer, TenantModelAdmin):
    list_display = ["when", "what", "who", "store", "passed_on"]
    list_select_related = ["customer", "store"]
    list_filter = [StoreFilter, CustomerFilter]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-pk"]
    fields = [("what", "who"), ("occurred_at", "recorded_at"), ("store", "passed_on"), "external_id", "facts"]
    readonly_fields = ["what", "who", "recorded_at", "passed_on", "facts"]
    empty_icon = "timeline"
    empty_title = "Nothing happened yet"
    empty_text = "What customers do and what changes about them is recorded here."

    @display(description="When", ordering="occurred_at")
    def when(self, event: Event) -> str:
        return moment(event.occurred_at, get_current_timezone())

    @display(description="What", ordering="type")
    def what(self, event: Event) -> str:
        return event.type.replace(".", " ").replace("_", " ").capitalize()

    @display(description="Customer")
    def who(self, event: Event) -> str:
        return customer_link(event.customer)

    @display(description="Passed on", boolean=True)
    def passed_on(self, event: Event) -> bool:
        return event.dispatched_at is not None

    @display(description="Facts")
    def facts(self, event: Event) -> str:
        text = json.dumps(event.data, indent=2, ensure_ascii=False, sort_keys=True)
        return format_html('<pre class="cp-json">{}</pre>', text)
