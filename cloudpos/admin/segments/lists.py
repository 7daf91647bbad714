"""Lists that are kept by hand: made by name, filled with what people type, corrected row by row."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.api.errors import ApiError, FieldError
from cloudpos.api.fields import clean_line
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import counted
from cloudpos.tenancy.models import Merchant
from customers.naming import customers_named
from marketing.models import Segment
from marketing.segment_services import add_members, create_segment, remove_members, update_segment

NAMES_MAX = 1_000
NAME_CHARS_MAX = 100
NAME_MISSING = "Give the list a name."


@analytics_page("New list", "new_list", folder="segments")
def new_list_page(request: HttpRequest, merchant: Merchant) -> Shown:
    if request.method != "POST":
        return {}
    name = _name(request)
    if not name:
        return {"problem": NAME_MISSING}
    try:
        made = create_segment(access=acting_for(request, merchant), name=name, kind=Segment.Kind.LIST)
    except ApiError as refusal:
        return {"name": name, "problem": refusal.errors[0].message if refusal.errors else refusal.detail}
    return _members_of(made)


def change_list(request: HttpRequest, merchant: Merchant, segment: Segment) -> Shown:
    """What was asked for on the page of a list's customers: where to go then, or what is wrong with what was typed."""
    access = acting_for(request, merchant)
    try:
        match request.POST.get("act"):
            case "add":
                return _add(request, merchant, segment)
            case "remove":
                gone = remove_members(access=access, segment_id=segment.pk, customer_ids=[_customer(request)])
                messages.success(request, f"{counted(gone, 'customer')} taken off the list.")
            case "rename":
                if name := _name(request):
                    update_segment(access=access, segment_id=segment.pk, changes={"name": name})
                    messages.success(request, f"The list is called “{name}” now.")
                else:
                    messages.error(request, NAME_MISSING)
    except ApiError as refusal:
        messages.error(request, refusal.errors[0].message if refusal.errors else refusal.detail)
    return _members_of(segment)


def _add(request: HttpRequest, merchant: Merchant, segment: Segment) -> Shown:
    typed = request.POST.get("names", "")
    names = [line.strip() for line in typed.splitlines() if line.strip()]
    if len(names) > NAMES_MAX:
        return _again(typed, [FieldError(names[NAMES_MAX][:60], f"At most {NAMES_MAX} at once.")])
    access = acting_for(request, merchant)
    found, problems = customers_named(merchant_id=merchant.pk, country=access.country, names=names)
    if problems:
        return _again(typed, problems)
    came = add_members(access=access, segment_id=segment.pk, customer_ids=found)
    there = len(set(found)) - came
    already = f" {counted(there, 'customer')} had been on it before." if there else ""
    messages.success(request, f"{counted(came, 'customer')} put on the list.{already}")
    return _members_of(segment)


def _again(typed: str, problems: list[FieldError]) -> dict[str, Any]:
    return {
        "typed_names": typed,
        "refused": [{"name": problem.field, "message": problem.message} for problem in problems[:20]],
    }


def _name(request: HttpRequest) -> str:
    return clean_line(request.POST.get("name", ""))[:NAME_CHARS_MAX]


def _customer(request: HttpRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("customer", ""))
    except ValueError:
        # Nobody has it.
        return uuid.UUID(int=0)


def _members_of(segment: Segment) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("group_members_page", args=[segment.pk]))
