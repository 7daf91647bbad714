"""Read-only pages of what customers bought, said and did. The customer page itself is in `cloudpos.admin`."""

import json
import re
import uuid
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import get_current_timezone
from unfold.decorators import display

from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.backoffice.pages import StoreFilter, TenantModelAdmin, TenantTabularInline
from cloudpos.tenancy.formats import count, counted, moment, money, quantity
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


def event_words(type: str) -> str:
    """tier.changed as "Tier changed"."""
    return type.replace(".", " ").replace("_", " ").capitalize()


def in_words(data: Any) -> list[tuple[str, str]]:
    """(name, value) of what an event says, for people: without the ids that only machines follow."""
    if not isinstance(data, dict):
        return []
    found = []
    for key, value in data.items():
        if value in (None, "", [], {}) or key == "id" or key.endswith(("Id", "Ids")):
            continue
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value)):
            continue
        name = capfirst(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).replace("_", " ").lower())
        found.append((name, _value_in_words(value)))
    return found


def _value_in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, list):
        return ", ".join(_value_in_words(each) for each in value)
    text = str(value).replace("_", " ")
    return text.upper() if text == "vip" else text


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


@admin.register(Consent)
class ConsentAdmin(SearchesByCustomer, TenantModelAdmin):
    list_title, noun, nouns = "Consent log", "statement", "statements"
    list_display = ["when", "who", "channel", "purpose", "said", "where"]
    list_select_related = ["customer"]
    list_filter = ["channel", "purpose", "state", CustomerFilter]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-occurred_at"]
    fields = [
        ("who", "said"),
        ("channel", "purpose"),
        ("where", "wording"),
        ("when", "recorded"),
        "address",
    ]
    readonly_fields = ["who", "said", "where", "wording", "when", "recorded", "address"]
    empty_icon = "verified_user"
    empty_title = "Nobody said anything about consent yet"
    empty_text = "Until a customer agrees, marketing is off for them."

    def row_title(self, row: Consent) -> str:
        return (
            f"{row.get_purpose_display()} by {row.get_channel_display()}: {row.get_state_display().lower()}"
        )

    @display(description="Where")
    def where(self, consent: Consent) -> str:
        return capfirst(consent.source) or "–"

    @display(description="Version of the wording")
    def wording(self, consent: Consent) -> str:
        return consent.wording_version or "–"

    @display(description="Recorded")
    def recorded(self, consent: Consent) -> str:
        return moment(consent.recorded_at, get_current_timezone())

    @display(description="When", ordering="occurred_at")
    def when(self, consent: Consent) -> str:
        return moment(consent.occurred_at, get_current_timezone())

    @display(description="Customer")
    def who(self, consent: Consent) -> str:
        return customer_link(consent.customer)

    @display(description="IP address")
    def address(self, consent: Consent) -> str:
        return consent.ip or "–"

    @display(description="Said", label={"Granted": "success", "Withdrawn": "danger"})
    def said(self, consent: Consent) -> str:
        return consent.get_state_display()


@admin.register(Event)
class EventAdmin(SearchesByCustomer, TenantModelAdmin):
    list_title, noun, nouns = "Activity", "entry", "entries"
    list_display = ["when", "what", "in_brief", "who", "store"]
    list_select_related = ["customer", "store"]
    list_filter = [StoreFilter, CustomerFilter]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-occurred_at"]
    fields = [("what", "who"), ("when", "recorded"), ("store", "passed_on"), "senders_id", "facts"]
    readonly_fields = ["what", "who", "when", "recorded", "passed_on", "senders_id", "facts"]
    empty_icon = "timeline"
    empty_title = "Nothing happened yet"
    empty_text = "What customers do and what changes about them is recorded here."

    def row_title(self, row: Event) -> str:
        return event_words(row.type)

    @display(description="In brief")
    def in_brief(self, event: Event) -> str:
        data = event.data if isinstance(event.data, dict) else {}
        if data.get("to") and "from" in data:
            return " → ".join(_value_in_words(data[side] or "none") for side in ("from", "to"))
        if isinstance(data.get("points"), int):
            return counted(data["points"], "point")
        if data.get("amount") and data.get("currency"):
            return money(Decimal(str(data["amount"])), data["currency"])
        return ", ".join(text for _, text in in_words(data)[:3]) or "–"

    @display(description="Recorded")
    def recorded(self, event: Event) -> str:
        return moment(event.recorded_at, get_current_timezone())

    @display(description="Sender's own number")
    def senders_id(self, event: Event) -> str:
        return event.external_id or "–"

    @display(description="When", ordering="occurred_at")
    def when(self, event: Event) -> str:
        return moment(event.occurred_at, get_current_timezone())

    @display(description="What")
    def what(self, event: Event) -> str:
        return event_words(event.type)

    @display(description="Customer")
    def who(self, event: Event) -> str:
        return customer_link(event.customer)

    @display(description="Passed on")
    def passed_on(self, event: Event) -> str:
        return (
            "Waiting" if event.dispatched_at is None else moment(event.dispatched_at, get_current_timezone())
        )

    @display(description="Facts")
    def facts(self, event: Event) -> str:
        rows = format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", in_words(event.data))
        text = json.dumps(event.data, indent=2, ensure_ascii=False, sort_keys=True)
        return format_html(
            '<dl class="cp-facts">{}</dl><details><summary class="cp-sub">As systems read it</summary>'
            '<pre class="cp-json">{}</pre></details>',
            rows,
            text,
        )
