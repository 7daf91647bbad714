"""Giving a customer a tier by hand, and taking it back."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import get_current_timezone, now
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from cloudpos.admin.customers.operation import back_to, operation_page, refused_when_closed
from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import day
from cloudpos.tenancy.models import Merchant
from customers.models import Customer
from loyalty.models import Enrollment, Tier, TierOverride
from loyalty.models_tiers import OVERRIDE_REASON_CHARS_MAX
from loyalty.rules.calendar import midnight
from loyalty.services.overrides import end_tier, give_tier, overrides_in_force

if TYPE_CHECKING:
    from cloudpos.admin.customers.customer import CustomerAdmin


class DayWidget(UnfoldAdminDateWidget):
    """A day by the browser's own calendar: the page has no script for another."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class TierForm(forms.Form):
    tier = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    mode = forms.ChoiceField(
        choices=[
            ("at_least", "At least this tier: purchases may reach a higher one"),
            ("exactly", "Exactly this tier, whatever purchases reach"),
        ],
        widget=UnfoldAdminSelectWidget,
        label="How",
    )
    last_day = forms.DateField(
        required=False,
        widget=DayWidget,
        label="Last day",
        help_text="Empty: until somebody takes it back",
    )
    reason = forms.CharField(
        max_length=OVERRIDE_REASON_CHARS_MAX,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Why, for your colleagues and the books"}),
    )

    def __init__(self, *args: Any, tiers: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tier"].choices = tiers  # type: ignore[attr-defined]

    def until(self) -> datetime | None:
        """The end of the last day."""
        last = self.cleaned_data["last_day"]
        if last is None:
            return None
        return midnight(last + timedelta(days=1), get_current_timezone())


def give(page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant) -> HttpResponse:
    if refused_when_closed(page, request, customer):
        return back_to(customer)
    tiers = list(
        Tier.objects.for_merchant(merchant)
        .filter(program__is_active=True)
        .order_by("threshold")
        .values_list("code", "name")
    )
    form = TierForm(request.POST or None, tiers=tiers, initial={"mode": "at_least", "tier": customer.tier})
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            given = give_tier(
                access=acting_for(request, merchant),
                customer_id=customer.pk,
                tier=said["tier"],
                mode=said["mode"],
                until=form.until(),
                reason=said["reason"],
            )
        except ApiError as refusal:
            form.add_error(None, refusal.detail)
        else:
            name = dict(tiers)[said["tier"]]
            page.log_change(request, customer, f"Tier {name} given: {said['reason']}")
            messages.success(
                request, f"{name} was given. The tier is now {dict(tiers).get(given.tier, 'none')}."
            )
            return back_to(customer, "points")
    return operation_page(
        page, request, customer, "tier_form", "Give a tier", form=form, holding=override_of(customer)
    )


def end(page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant) -> HttpResponse:
    """Take back what was given. POST only."""
    if refused_when_closed(page, request, customer):
        return back_to(customer)
    try:
        end_tier(access=acting_for(request, merchant), customer_id=customer.pk, reason="Taken back")
    except ApiError as refusal:
        messages.error(request, refusal.detail)
    else:
        page.log_change(request, customer, "Tier given by hand was taken back")
        messages.success(request, "Taken back: the tier follows the purchases again.")
    return back_to(customer, "points")


def override_of(customer: Customer) -> TierOverride | None:
    """The tier given by hand that counts now."""
    found = overrides_in_force(merchant_id=customer.merchant_id, customer_id=customer.pk, at=now())
    return found[-1] if found else None


def lasts_until(account: Enrollment | None) -> str:
    """The last day on which the account's tier cannot end by itself; empty: it does not."""
    if account is None or account.tier_until is None:
        return ""
    # Ends are midnights: the day before is the last one.
    return day(account.tier_until - timedelta(microseconds=1), get_current_timezone())
