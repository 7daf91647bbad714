"""The list of a merchant's groups, and who is in one of them."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse

from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.analytics.people import Column, People, Person, people_shown
from cloudpos.admin.segments.lists import NAMES_MAX, change_list
from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import day
from cloudpos.tenancy.models import Merchant
from customers.models import Customer
from marketing.models import Segment
from marketing.segment_reading import find_segment, members_of, names_of, segments_of
from marketing.segment_services import SegmentNotFound, delete_segment, rebuild_segment
from marketing.segments.language import conditions
from marketing.segments.parsing import RuleRefused, parse_rule
from marketing.segments.wording import in_words

CONDITIONS_SHOWN = 3


@analytics_page("Customer groups", "list", folder="segments")
def groups_page(request: HttpRequest, merchant: Merchant) -> Shown:
    if request.method == "POST":
        return _act(request, merchant)
    names = names_of(merchant.pk)
    rows = [
        {"segment": segment, "said": _said(segment, names)}
        for segment in segments_of(merchant.pk).order_by("name")
    ]
    return {"rows": rows, "building": any(row["segment"].is_building for row in rows)}


def _said(segment: Segment, names: Any) -> str:
    """The first conditions of a rule in words."""
    if segment.kind == Segment.Kind.LIST:
        return "A list made by hand"
    try:
        found = [in_words(condition, names) for _, condition in conditions(parse_rule(segment.rule))]
    except RuleRefused:
        return "A rule that this version does not understand"
    more = len(found) - CONDITIONS_SHOWN
    return "; ".join(found[:CONDITIONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _act(request: HttpRequest, merchant: Merchant) -> HttpResponseRedirect:
    """Delete a group, or ask for a build."""
    segment = _found(merchant, request.POST.get("segment", ""))
    try:
        if request.POST.get("act") == "delete":
            delete_segment(merchant_id=merchant.pk, segment_id=segment.pk)
            messages.success(request, f"“{segment.name}” is deleted. Its customers are still there.")
        else:
            rebuild_segment(access=acting_for(request, merchant), segment_id=segment.pk)
            messages.success(request, f"Everybody is being asked again for “{segment.name}”.")
    except ApiError as refusal:
        messages.error(request, refusal.detail)
    return HttpResponseRedirect(reverse("groups_page"))


@analytics_page("Customers of a group", "members", folder="segments")
def group_members_page(request: HttpRequest, merchant: Merchant, segment_id: uuid.UUID) -> Shown:
    """Who is in it. Of a list also the place to put customers on it and take them off."""
    segment = _found(merchant, segment_id)
    is_list = segment.kind == Segment.Kind.LIST
    typed: dict[str, Any] = {}
    if request.method == "POST" and is_list:
        changed = change_list(request, merchant, segment)
        if not isinstance(changed, dict):
            return changed
        typed = changed

    def read(offset: int, limit: int) -> People:
        rows = (
            members_of(segment)
            .order_by("-entered_at", "customer_id")
            .values_list("customer_id", "entered_at")[offset : offset + limit]
        )
        since = dict(rows)
        customers = Customer.objects.for_merchant(merchant).defer("search").in_bulk(since)
        return People(
            total=segment.size,
            rows=[
                Person(customers[id_], [day(entered_at)], [entered_at])
                for id_, entered_at in since.items()
                if id_ in customers
            ],
        )

    shown = people_shown(
        request,
        merchant,
        columns=[Column("In the group since", "memberSince")],
        read=read,
        file_name="group",
    )
    if isinstance(shown, dict):
        note = (
            "The rule is being built: these are the customers of the one before."
            if segment.is_building
            else ""
        )
        export_url = f"{reverse('new_export_page')}?kind=customers&segmentId={segment.pk}"
        shown |= {"told": segment.name, "note": note, "export_url": export_url}
        shown |= {"is_list": is_list, "names_max": NAMES_MAX, **typed}
    return shown


def _found(merchant: Merchant, segment_id: uuid.UUID | str) -> Segment:
    try:
        return find_segment(merchant_id=merchant.pk, segment_id=uuid.UUID(str(segment_id)))
    except (ValueError, SegmentNotFound):
        raise Http404 from None
