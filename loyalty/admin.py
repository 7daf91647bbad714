"""The loyalty program, which owners shape, and its ledger, which nobody edits."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone
from unfold.decorators import display

from cloudpos.tenancy.backoffice.pages import StoreFilter, TenantModelAdmin, TenantTabularInline
from cloudpos.tenancy.formats import count, moment, money, signed
from cloudpos.tenancy.roles import Role
from customers.admin import SearchesByCustomer, customer_link, link, numbers
from loyalty.models import Enrollment, LedgerEntry, Program, Tier

ENTRY_LABELS = {
    "Earned": "success",
    "Bonus": "success",
    "Redeemed": "info",
    "Adjusted": "warning",
    "Transferred": "primary",
    "Reversed": "danger",
    "Expired": "danger",
}


class TierInline(TenantTabularInline):
    model = Tier
    add_role = edit_role = delete_role = Role.MANAGER
    fields = ["name", "code", "threshold", "multiplier"]
    ordering = ["threshold"]
    verbose_name_plural = "Tiers, from the first to the highest"


@admin.register(Program)
class ProgramAdmin(TenantModelAdmin):
    add_role = edit_role = Role.MANAGER
    list_display = ["name", "rate", "rounding", "tier_count", "is_active"]
    list_select_related = ["merchant"]
    inlines = [TierInline]
    fieldsets = [
        (None, {"fields": [("name", "is_active")]}),
        ("What customers earn", {"fields": [("points_per_unit", "rounding")]}),
        ("What points are called", {"fields": [("point_name", "points_name")]}),
    ]
    empty_icon = "loyalty"
    empty_title = "No loyalty program yet"
    empty_text = "Say how many points a purchase earns and which tiers there are; customers join with their next purchase."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(n_tiers=Count("tiers"))

    @display(description="Earns")
    def rate(self, program: Program) -> str:
        points = f"{program.points_per_unit.normalize():f}"
        name = program.point_name if program.points_per_unit == 1 else program.points_name
        return f"{points} {name} per {money(1, program.merchant.currency)}"

    @display(description="Tiers")
    def tier_count(self, program: Any) -> int:
        return program.n_tiers


@admin.register(Enrollment)
class EnrollmentAdmin(SearchesByCustomer, TenantModelAdmin):
    list_display = ["who", "tier_name", "points", "qualifying", "enrolled_at", "last_activity_at"]
    list_select_related = ["customer", "merchant", "program"]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-pk"]
    fields = [("who", "program"), ("tier_name", "points"), ("qualifying", "enrolled_at"), "last_activity_at"]
    readonly_fields = ["who", "tier_name", "points", "qualifying"]
    empty_icon = "badge"
    empty_title = "Nobody is enrolled yet"
    empty_text = "A customer joins the program with their first purchase."

    @display(description="Customer")
    def who(self, account: Enrollment) -> str:
        return customer_link(account.customer)

    @display(description="Tier", ordering="tier")
    def tier_name(self, account: Enrollment) -> str:
        return account.tier.capitalize() or "–"

    @display(description="Balance", ordering="balance")
    def points(self, account: Enrollment) -> str:
        return numbers(count(account.balance))

    @display(description="Spend towards tiers", ordering="qualifying_spend")
    def qualifying(self, account: Enrollment) -> str:
        return numbers(money(account.qualifying_spend, account.merchant.currency))


@admin.register(LedgerEntry)
class LedgerEntryAdmin(SearchesByCustomer, TenantModelAdmin):
    customer_field = "enrollment__customer"
    list_display = ["when", "who", "kind", "change", "balance", "description", "sale"]
    list_select_related = ["enrollment__customer", "purchase"]
    list_filter = ["type", StoreFilter]
    search_fields = ["description"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-pk"]
    fields = [
        ("who", "kind"),
        ("change", "balance_before", "balance_after"),
        ("occurred_at", "recorded_at"),
        ("sale", "transaction_id"),
        "description",
    ]
    readonly_fields = ["who", "kind", "change", "sale", "recorded_at"]
    empty_icon = "toll"
    empty_title = "No points were given or taken yet"
    empty_text = "Every change of a balance is one line here, and no line ever changes."

    @display(description="When", ordering="occurred_at")
    def when(self, entry: LedgerEntry) -> str:
        return moment(entry.occurred_at, get_current_timezone())

    @display(description="Customer")
    def who(self, entry: LedgerEntry) -> str:
        return customer_link(entry.enrollment.customer)

    @display(description="Kind", ordering="type", label=ENTRY_LABELS)
    def kind(self, entry: LedgerEntry) -> str:
        return entry.get_type_display()

    @display(description="Points", ordering="points")
    def change(self, entry: LedgerEntry) -> str:
        return numbers(signed(entry.points))

    @display(description="Balance after")
    def balance(self, entry: LedgerEntry) -> str:
        return numbers(count(entry.balance_after))

    @display(description="Purchase")
    def sale(self, entry: LedgerEntry) -> str:
        return link("customers_purchase", entry.purchase) if entry.purchase else "–"
