"""The loyalty program, which owners shape, and its ledger, which nobody edits."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone
from unfold.decorators import display

from cloudpos.tenancy.backoffice.pages import (
    StoreFilter,
    TenantForm,
    TenantModelAdmin,
    TenantTabularInline,
    form_merchant_id,
)
from cloudpos.tenancy.formats import count, moment, money, signed
from cloudpos.tenancy.roles import Role
from customers.admin import CustomerFilter, SearchesByCustomer, customer_link, link, numbers
from loyalty.admin_rewards import HoldAdmin, RedemptionAdmin, RewardAdmin
from loyalty.models import (
    EXPIRY_MONTHS_MAX,
    GRACE_DAYS_MAX,
    POINTS_PER_ENTRY_MAX,
    Enrollment,
    LedgerEntry,
    Program,
    Tier,
)
from loyalty.rules import TierRule, to_cents
from loyalty.services import DEFAULT_TIERS, active_program, create_program, update_program
from loyalty.services.programs import InvalidTiers

# Registered where they are written.
__all__ = [
    "EnrollmentAdmin",
    "HoldAdmin",
    "LedgerEntryAdmin",
    "ProgramAdmin",
    "RedemptionAdmin",
    "RewardAdmin",
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


class FactorForm(TenantForm):
    """Shows factors as people write them: 1.25, not 1.250."""

    factors: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.factors:
            if self.initial.get(name) is not None:
                self.initial[name] = Decimal(f"{Decimal(self.initial[name]).normalize():f}")


class TierForm(FactorForm):
    factors = ("multiplier",)

    def _post_clean(self) -> None:
        """The service checks the ladder as a whole, and writes it."""


class TierInline(TenantTabularInline):
    model = Tier
    form = TierForm
    add_role = edit_role = delete_role = Role.MANAGER
    fields = ["name", "code", "threshold", "multiplier"]
    ordering = ["threshold"]
    verbose_name_plural = "Tiers, from the first to the highest"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _is_open(obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request, obj) and _is_open(obj)


class ProgramForm(FactorForm):
    factors = ("points_per_unit", "redeem_value")
    bounds = {
        "expiry_months": (1, EXPIRY_MONTHS_MAX),
        "grace_days": (0, GRACE_DAYS_MAX),
        "redeem_value": (Decimal("0.0001"), 1_000_000),
        "redeem_points_min": (1, POINTS_PER_ENTRY_MAX),
    }

    class Meta:
        model = Program
        fields = [
            "name",
            "points_per_unit",
            "rounding",
            "expiry",
            "expiry_months",
            "expiry_month_end",
            "grace_days",
            "redeem_value",
            "redeem_points_min",
            "point_name",
            "points_name",
        ]
        labels = {
            "points_per_unit": "Points per unit of currency",
            "expiry": "Points expire",
            "expiry_months": "After so many months",
            "expiry_month_end": "At the end of that month",
            "grace_days": "Days of grace",
            "redeem_value": "Money per point",
            "redeem_points_min": "Fewest points at once",
            "point_name": "One",
            "points_name": "Several",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (least, most) in self.bounds.items():
            if name in self.fields:
                self.fields[name].validators += [MinValueValidator(least), MaxValueValidator(most)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        months = cleaned.get("expiry_months")
        if cleaned.get("expiry") == Program.Expiry.NONE:
            cleaned["expiry_months"] = None
        elif months is None and "expiry_months" not in self.errors:
            self.add_error("expiry_months", "Say after how many months.")
        return cleaned

    def _post_clean(self) -> None:
        """The service writes: earlier purchases keep the rules of their time, so a change is a new version."""

    def said(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields}


@admin.register(Program)
class ProgramAdmin(TenantModelAdmin):
    list_title = "Program and tiers"
    add_role = edit_role = Role.MANAGER
    form = ProgramForm
    list_display = ["name", "rate", "rounding", "tier_count", "is_active"]
    list_select_related = ["merchant"]
    inlines = [TierInline]
    opens_single_row = True
    fieldsets = [
        (None, {"fields": ["name"]}),
        (
            "What customers earn",
            {
                "fields": [("points_per_unit", "rounding")],
                "description": "A change counts for purchases from now on. What was earned before stays as it is.",
            },
        ),
        (
            "How long points last",
            {
                "fields": [("expiry", "expiry_months"), ("expiry_month_end", "grace_days")],
                "description": "For points earned from now on: those that exist keep their time. A day counts to its end.",
            },
        ),
        (
            "What points are worth",
            {
                "fields": [("redeem_value", "redeem_points_min")],
                "description": "Leave the money empty when points buy no money off.",
            },
        ),
        ("What points are called", {"fields": [("point_name", "points_name")]}),
    ]
    empty_icon = "loyalty"
    empty_title = "No loyalty program yet"
    empty_text = "Say how many points a purchase earns and which tiers there are; customers join with their next purchase."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(n_tiers=Count("tiers"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        if not super().has_add_permission(request):
            return False
        match = request.resolver_match
        if match is None or not (match.url_name or "").startswith("loyalty_program_"):
            # Asked by the navigation of every page, which offers no "add".
            return True
        merchant_id = form_merchant_id(request)
        return merchant_id is not None and active_program(merchant_id) is None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _is_open(obj)

    def save_model(self, request: HttpRequest, obj: Program, form: Any, change: bool) -> None:
        """Saved together with its tiers, in save_related."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        program = form.instance
        tiers = [rule for formset in formsets for rule in tier_rules(formset)]
        for formset in formsets:
            formset.new_objects = formset.changed_objects = formset.deleted_objects = []
        said = {**form.said(), "actor_id": request.user.pk}
        if change:
            saved = update_program(merchant_id=program.merchant_id, tiers=tiers, **said)
        else:
            saved = create_program(merchant_id=program.merchant_id, tiers=tiers or DEFAULT_TIERS, **said)
        program.__dict__.update(saved.__dict__)

    @display(description="Earns")
    def rate(self, program: Program) -> str:
        points = f"{program.points_per_unit.normalize():f}"
        name = program.point_name if program.points_per_unit == 1 else program.points_name
        return f"{points} {name} per {money(1, program.merchant.currency)}"

    @display(description="Tiers")
    def tier_count(self, program: Any) -> int:
        return program.n_tiers


def tier_rules(formset: Any) -> list[TierRule]:
    """The ladder as it is to be after saving. Raises InvalidTiers for an amount that is no whole number of cents."""
    rules = []
    for form in formset.forms:
        data = getattr(form, "cleaned_data", {})
        if not data or data.get("DELETE"):
            continue
        try:
            threshold = to_cents(data["threshold"])
        except ValueError as exc:
            raise InvalidTiers(str(exc)) from None
        rules.append(TierRule(data["code"], data["name"], threshold, data["multiplier"]))
    return sorted(rules, key=lambda rule: rule.threshold_cents)


def _is_open(program: Any) -> bool:
    return not isinstance(program, Program) or program.is_active


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

    @display(description="Spend towards tiers", ordering="qualifying_spend")
    def qualifying(self, account: Enrollment) -> str:
        return numbers(money(account.qualifying_spend, account.merchant.currency))


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
