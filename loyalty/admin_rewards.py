"""Rewards, which managers shape; holds and redemptions, which only tills write."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone, now
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from cloudpos.tenancy.backoffice.pages import StoreFilter, TenantForm, TenantModelAdmin
from cloudpos.tenancy.formats import count, moment, money
from cloudpos.tenancy.roles import Role
from customers.admin import SearchesByCustomer, customer_link, link, numbers
from loyalty.models import Hold, Redemption, Reward, Tier, Voucher
from loyalty.services.holds import state_of
from loyalty.services.rewards import archive_reward, create_reward, update_reward
from loyalty.services.vouchers import state_of as voucher_state_of

STATE_LABELS = {
    "Held": "info",
    "Captured": "success",
    "Released": "primary",
    "Lapsed": "warning",
    "Redeemed": "success",
    "Open": "info",
    "Used": "success",
    "Cancelled": "danger",
}


class RewardForm(TenantForm):
    tiers = forms.MultipleChoiceField(
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None chosen: members of every tier may have it",
    )

    class Meta:
        model = Reward
        fields = [
            "name",
            "description",
            "kind",
            "value",
            "sku",
            "points",
            "limit_per_member",
            "stock",
            "tiers",
            "valid_from",
            "valid_until",
            "is_active",
        ]
        labels = {
            "points": "Costs (points)",
            "sku": "Item (SKU)",
            "limit_per_member": "Times per member",
            "valid_from": "From",
            "valid_until": "Until",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "tiers" in self.fields:
            ladder = Tier.objects.for_merchant(self.instance.merchant_id).filter(program__is_active=True)
            self.fields["tiers"].choices = [  # type: ignore[attr-defined]
                (tier.code, tier.name) for tier in ladder
            ]

    def _post_clean(self) -> None:
        """The service checks and writes."""

    def said(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}


@admin.register(Reward)
class RewardAdmin(TenantModelAdmin):
    add_role = edit_role = delete_role = Role.MANAGER
    form = RewardForm
    list_display = ["name", "what", "cost", "left", "redeemed", "on_offer"]
    list_select_related = ["merchant"]
    list_filter = ["kind"]
    search_fields = ["name", "sku"]
    ordering = ["-created_at"]
    fieldsets = [
        (None, {"fields": ["name", "description", "is_active"]}),
        ("What it is", {"fields": [("kind", "points"), ("value", "sku")]}),
        (
            "Who may have it, and when",
            {"fields": [("limit_per_member", "stock"), "tiers", ("valid_from", "valid_until")]},
        ),
    ]
    empty_icon = "redeem"
    empty_title = "No rewards yet"
    empty_text = "Add what members can get for their points: money off, a percentage off, or a free item."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).filter(archived_at__isnull=True)
        return rows.annotate(n_redeemed=Count("redemptions", filter=Q(redemptions__state="redeemed")))

    def save_model(self, request: HttpRequest, obj: Reward, form: Any, change: bool) -> None:
        if change:
            saved = update_reward(merchant_id=obj.merchant_id, reward_id=obj.pk, changes=form.said())
        else:
            saved = create_reward(merchant_id=obj.merchant_id, values=form.said())
        obj.__dict__.update(saved.__dict__)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # Archived: what was redeemed stays, and keeps its name.
        return [str(reward) for reward in objs], {"rewards": len(objs)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Reward) -> None:
        archive_reward(merchant_id=obj.merchant_id, reward_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for reward in queryset:
            archive_reward(merchant_id=reward.merchant_id, reward_id=reward.pk)

    @display(description="What it is")
    def what(self, reward: Reward) -> str:
        if reward.value is None:
            return f"{reward.sku} for free"
        if reward.kind == Reward.Kind.PERCENTAGE:
            return f"{reward.value.normalize():f} % off"
        return f"{money(reward.value, reward.merchant.currency)} off"

    @display(description="Costs", ordering="points")
    def cost(self, reward: Reward) -> str:
        return numbers(count(reward.points))

    @display(description="Left")
    def left(self, reward: Reward) -> str:
        return numbers("–" if reward.stock is None else count(reward.stock - reward.taken))

    @display(description="Redeemed", ordering="n_redeemed")
    def redeemed(self, reward: Any) -> str:
        return numbers(count(reward.n_redeemed))

    @display(description="On offer", boolean=True)
    def on_offer(self, reward: Reward) -> bool:
        at = now()
        begun = reward.valid_from is None or reward.valid_from <= at
        return reward.is_active and begun and (reward.valid_until is None or at < reward.valid_until)


class SpendingPage(SearchesByCustomer):
    """What holds and redemptions show alike; nobody writes them here."""

    list_select_related = ["customer", "reward", "store", "merchant"]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"

    def row_title(self, row: Any) -> str:
        return f"{count(row.points)} points"

    @display(description="Customer")
    def who(self, row: Any) -> str:
        return customer_link(row.customer)

    @display(description="Points", ordering="points")
    def how_many(self, row: Any) -> str:
        return numbers(count(row.points))

    @display(description="Reward")
    def what(self, row: Any) -> str:
        return row.reward.name if row.reward else "–"

    @display(description="Ledger entry")
    def booked(self, row: Any) -> str:
        return link("loyalty_ledgerentry", row.entry) if row.entry else "–"

    @display(description="Number at the till")
    def number(self, row: Any) -> str:
        return row.transaction_id


@admin.register(Hold)
class HoldAdmin(SpendingPage, TenantModelAdmin):
    list_display = ["since", "who", "how_many", "what", "standing", "until", "store"]
    list_filter = ["state", StoreFilter]
    ordering = ["-created_at"]
    fields = [
        ("who", "standing"),
        ("how_many", "captured"),
        ("what", "booked"),
        ("since", "until"),
        ("closed", "number"),
    ]
    readonly_fields = [
        "who", "standing", "how_many", "captured", "what", "booked", "since", "until", "closed", "number",
    ]  # fmt: skip
    empty_icon = "lock_clock"
    empty_title = "No points are or were on hold"
    empty_text = "A till holds points while it closes a sale, and redeems or frees them moments later."

    @display(description="State", label=STATE_LABELS)
    def standing(self, hold: Hold) -> str:
        return str(Hold.State(state_of(hold, at=now())).label)

    @display(description="Redeemed of it")
    def captured(self, hold: Hold) -> str:
        return numbers(count(hold.captured_points))

    @display(description="Since", ordering="created_at")
    def since(self, hold: Hold) -> str:
        return moment(hold.created_at, get_current_timezone())

    @display(description="Until")
    def until(self, hold: Hold) -> str:
        return moment(hold.expires_at, get_current_timezone())

    @display(description="Closed")
    def closed(self, hold: Hold) -> str:
        return moment(hold.closed_at, get_current_timezone())


@admin.register(Voucher)
class VoucherAdmin(SearchesByCustomer, TenantModelAdmin):
    """Nobody writes them here; of a code its end is shown: who has it whole can use it."""

    list_select_related = ["customer", "reward", "store", "merchant"]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    list_display = ["since", "who", "what", "ending", "standing", "until", "store"]
    list_filter = ["state"]
    ordering = ["-given_at"]
    fields = [("who", "standing"), ("what", "ending"), ("since", "until"), ("used", "number")]
    readonly_fields = ["who", "standing", "what", "ending", "since", "until", "used", "number"]
    empty_icon = "redeem"
    empty_title = "No vouchers yet"
    empty_text = "Rewards that customers were given for no points, such as with a campaign."

    @display(description="Customer")
    def who(self, voucher: Voucher) -> str:
        return customer_link(voucher.customer)

    @display(description="Reward")
    def what(self, voucher: Voucher) -> str:
        return voucher.reward.name

    @display(description="Code ends in")
    def ending(self, voucher: Voucher) -> str:
        return voucher.code[-3:]

    @display(description="State", label=STATE_LABELS)
    def standing(self, voucher: Voucher) -> str:
        return str(Voucher.State(voucher_state_of(voucher, at=now())).label)

    @display(description="Given", ordering="given_at")
    def since(self, voucher: Voucher) -> str:
        return moment(voucher.given_at, get_current_timezone())

    @display(description="Until", ordering="expires_at")
    def until(self, voucher: Voucher) -> str:
        return moment(voucher.expires_at, get_current_timezone())

    @display(description="Used")
    def used(self, voucher: Voucher) -> str:
        return moment(voucher.used_at, get_current_timezone())

    @display(description="Number at the till")
    def number(self, voucher: Voucher) -> str:
        return voucher.transaction_id


@admin.register(Redemption)
class RedemptionAdmin(SpendingPage, TenantModelAdmin):
    list_display = ["when", "who", "how_many", "what", "off", "standing", "store"]
    list_filter = ["state", StoreFilter]
    ordering = ["-redeemed_at"]
    fields = [("who", "standing"), ("how_many", "off"), ("what", "booked"), ("when", "cancelled"), "number"]
    readonly_fields = ["who", "standing", "how_many", "off", "what", "booked", "when", "cancelled", "number"]
    empty_icon = "redeem"
    empty_title = "Nothing was redeemed yet"
    empty_text = "Rewards that members have had, and points on hold that became money off."

    @display(description="State", label=STATE_LABELS)
    def standing(self, redemption: Redemption) -> str:
        return redemption.get_state_display()

    @display(description="Money off")
    def off(self, redemption: Redemption) -> str:
        if redemption.discount is None:
            return "–"
        return numbers(money(redemption.discount, redemption.merchant.currency))

    @display(description="When", ordering="redeemed_at")
    def when(self, redemption: Redemption) -> str:
        return moment(redemption.redeemed_at, get_current_timezone())

    @display(description="Cancelled")
    def cancelled(self, redemption: Redemption) -> str:
        return moment(redemption.cancelled_at, get_current_timezone())
