"""The thresholds of the lifecycle segments: sentences with numbers in them, and what a change would do."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from analytics.overview import money as from_cents
from analytics.segments import Rules, Segment
from analytics.settings import Preview, change_settings, preview_settings, settings_of
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.analytics.threshold_form import ThresholdForm
from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.access import acting_for, staff_access
from cloudpos.tenancy.backoffice.pages import refused_fields
from cloudpos.tenancy.formats import money
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from customers.models import Customer


@analytics_page("Segment rules", "thresholds")
def thresholds_page(request: HttpRequest, merchant: Merchant) -> Shown:
    """As a part: what would come of the numbers that are typed. Nothing is saved then."""
    current = settings_of(merchant.pk)
    form = ThresholdForm(request.POST or None, current=current.rules)
    if "part" in request.GET:
        return _previewed(form, current.rules, merchant)
    # As with the API: a manager may look, an owner may change.
    may_change = staff_access(request).may(Role.OWNER)
    if form.is_bound and not may_change:
        raise PermissionDenied
    if form.is_bound and form.is_valid():
        try:
            changed = change_settings(access=acting_for(request, merchant), rules=form.rules())
        except ApiError as refusal:
            for message, field in refused_fields(refusal):
                form.add_error(field if field in form.fields else None, message)
        else:
            if changed is None:
                messages.info(request, "These are the rules that hold already.")
                return HttpResponseRedirect(reverse("thresholds_page"))
            messages.success(request, "Saved. Everybody's segment follows in the background.")
            return HttpResponseRedirect(reverse("recalculation_page"))
    return {
        "form": form,
        "may_change": may_change,
        "suggested_horizon_days": current.suggested_horizon_days,
    }


def _previewed(form: ThresholdForm, current: Rules, merchant: Merchant) -> dict[str, Any]:
    if not form.is_bound:
        rules = current
    elif form.is_valid():
        rules = form.rules()
    else:
        named = [(form.fields[name].label, errors) for name, errors in form.errors.items()]
        return {"refused": [f"{label}: {' '.join(map(str, errors))}" for label, errors in named]}
    try:
        found = preview_settings(merchant_id=merchant.pk, rules=rules)
    except ApiError as refusal:
        return {"refused": [message for message, _ in refused_fields(refusal)]}
    return {
        "segments": [
            (
                _name(segment),
                found.now[segment],
                found.then[segment],
                found.then[segment] - found.now[segment],
            )
            for segment in Segment
        ],
        "moves": [(_name(old), _name(new), n) for (old, new), n in found.moves.items()],
        "vip": _vip(found, merchant.currency),
        "notes": found.notes,
    }


def _name(segment: Segment) -> str:
    return str(Customer.Segment(segment.value).label)


def _vip(found: Preview, currency: str) -> tuple[str, str]:
    """From which 12-month value on a customer is VIP, now and then."""
    now, then = (
        "nobody" if cents is None else money(from_cents(cents), currency)
        for cents in (found.vip_cents_now, found.vip_cents_then)
    )
    return now, then
