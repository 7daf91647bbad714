"""The loyalty program, which managers shape, and its accounts and ledger, which nobody edits."""

from django.contrib import admin
from django.utils.timezone import get_current_timezone
from unfold.decorators import display

from cloudpos.tenancy.backoffice.pages import StoreFilter, TenantModelAdmin
from cloudpos.tenancy.formats import count, moment, money, signed
from customers.admin import CustomerFilter, SearchesByCustomer, customer_link, link, numbers
from loyalty.admin_program import ProgramAdmin
from loyalty.admin_promotions import PromotionAdmin
from loyalty.admin_rewards import HoldAdmin, RedemptionAdmin, RewardAdmin, VoucherAdmin
from loyalty.models import Enrollment, LedgerEntry

# Registered where they are written.
__all__ = [
    "EnrollmentAdmin",
    "HoldAdmin",
    "LedgerEntryAdmin",
    "ProgramAdmin",
    "PromotionAdmin",
    "RedemptionAdmin",
    "RewardAdmin",
    "VoucherAdmin",
]

ENTRY_LABELS = {
    "Earned": "success",
    "Bonus": "success",
    "Redeemed": "info",
    "Adjusted": "warning",
    "Transferred": "primary",
    "Reversed": "danger",
    "Expired": "danger",
}


@admin.register(Enrollment)
class EnrollmentAdmin(SearchesByCustomer, TenantModelAdmin):
    list_title, noun, nouns = "Accounts", "account", "accounts"
    list_display = ["who", "tier_name", "points", "qualifying", "since", "last_activity"]
    list_select_related = ["customer", "merchant", "program"]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-enrolled_at"]
    fields = [("who", "program"), ("tier_name", "points"), ("qualifying", "since"), "last_activity"]
    readonly_fields = ["who", "tier_name", "points", "qualifying", "since", "last_activity"]
    empty_icon = "badge"
    empty_title = "Nobody is enrolled yet"
    empty_text = "A customer joins the program with their first purchase."

    def row_title(self, row: Enrollment) -> str:
        return row.customer.display_name

    @display(description="Member since", ordering="enrolled_at")
    def since(self, account: Enrollment) -> str:
        return moment(account.enrolled_at, get_current_timezone())

    @display(description="Last purchase or return")
    def last_activity(self, account: Enrollment) -> str:
        return moment(account.last_activity_at, get_current_timezone())

    @display(description="Customer")
    def who(self, account: Enrollment) -> str:
        return customer_link(account.customer)

    @display(description="Tier")
    def tier_name(self, account: Enrollment) -> str:
        return account.tier.capitalize() or "–"

    @display(description="Balance", ordering="balance")
    def points(self, account: Enrollment) -> str:
        return numbers(count(account.balance))

    @display(description="Net spend", ordering="net_spend")
    def qualifying(self, account: Enrollment) -> str:
        return numbers(money(account.net_spend, account.merchant.currency))


class EntryCustomerFilter(CustomerFilter):
    customer_field = "enrollment__customer"


@admin.register(LedgerEntry)
class LedgerEntryAdmin(SearchesByCustomer, TenantModelAdmin):
    list_title, noun, nouns = "Points ledger", "entry", "entries"
    customer_field = "enrollment__customer"
    list_display = ["when", "who", "kind", "change", "balance", "description", "sale"]
    list_select_related = ["enrollment__customer", "purchase"]
    list_filter = ["type", StoreFilter, EntryCustomerFilter]
    search_fields = ["description"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-occurred_at"]
    fields = [
        ("who", "kind"),
        ("change", "before", "balance"),
        ("when", "recorded"),
        ("sale", "number"),
        "description",
    ]
    readonly_fields = ["who", "kind", "change", "before", "balance", "when", "recorded", "sale", "number"]
    empty_icon = "toll"
    empty_title = "No points were given or taken yet"
    empty_text = "Every change of a balance is one line here, and no line ever changes."

    def row_title(self, row: LedgerEntry) -> str:
        return (
            f"{row.get_type_display()}: {signed(row.points)} {'point' if abs(row.points) == 1 else 'points'}"
        )

    @display(description="Recorded")
    def recorded(self, entry: LedgerEntry) -> str:
        return moment(entry.recorded_at, get_current_timezone())

    @display(description="Number at the till")
    def number(self, entry: LedgerEntry) -> str:
        return entry.transaction_id or "–"

    @display(description="Balance before")
    def before(self, entry: LedgerEntry) -> str:
        return numbers(count(entry.balance_before))

    @display(description="When", ordering="occurred_at")
    def when(self, entry: LedgerEntry) -> str:
        return moment(entry.occurred_at, get_current_timezone())

    @display(description="Customer")
    def who(self, entry: LedgerEntry) -> str:
        return customer_link(entry.enrollment.customer)

    @display(description="Kind", label=ENTRY_LABELS)
    def kind(self, entry: LedgerEntry) -> str:
        return entry.get_type_display()

    @display(description="Points")
    def change(self, entry: LedgerEntry) -> str:
        return numbers(signed(entry.points))

    @display(description="Balance after")
    def balance(self, entry: LedgerEntry) -> str:
        return numbers(count(entry.balance_after))

    @display(description="Purchase")
    def sale(self, entry: LedgerEntry) -> str:
        return link("customers_purchase", entry.purchase) if entry.purchase else "–"
