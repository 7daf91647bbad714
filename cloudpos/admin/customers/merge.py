"""Merging two records of one customer: choose, see what wins, confirm; and taking a merge apart."""

import uuid
from datetime import date
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from cloudpos.admin.customers.operation import back_to, operation_page, refused_when_closed
from cloudpos.api.errors import ApiError
from cloudpos.lifecycle.fields import UNITS
from cloudpos.lifecycle.merging import MergeReport, merge_customers
from cloudpos.lifecycle.unmerging import undo_merge
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import count, counted, day, phone
from cloudpos.tenancy.languages import language_name
from cloudpos.tenancy.models import Merchant, Store
from customers.admin import matching_customers
from customers.duplicates import find_alike
from customers.models import Channel, Customer, Purpose
from loyalty.models import Tier

if TYPE_CHECKING:
    from cloudpos.admin.customers.customer import CustomerAdmin

FOUND_MAX = 20
ALIKE_MAX = 5
UNIT_LABELS = {
    "name": "Name",
    "companyName": "Company",
    "taxId": "Tax number",
    "email": "E-mail",
    "phone": "Phone",
    "dateOfBirth": "Birthday",
    "gender": "Gender",
    "language": "Language",
    "homeStoreId": "Home store",
    "type": "Type",
    "status": "Status",
    "tags": "Tags",
    "notes": "Notes",
    "metadata": "Other data",
}
MOVED_LABELS = {
    "purchases": "Purchases",
    "returns": "Returns",
    "addresses": "Addresses",
    "consents": "Consent statements",
    "events": "Logged events",
}
# Fields whose values are codes.
CODED = {"gender", "type", "status"}


def merge(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    """Choose the other record, see field by field what would win, confirm."""
    if refused_when_closed(page, request, customer):
        return back_to(customer)
    source = _source(request, customer, merchant)
    if source is None:
        return _choose_source(page, request, customer, merchant)
    access = acting_for(request, merchant)
    from_source = [name for name in (request.POST or request.GET).getlist("from_source") if name in UNITS]
    confirmed = request.method == "POST" and "preview" not in request.POST
    try:
        report = merge_customers(
            access=access,
            customer_id=customer.pk,
            source_id=source.pk,
            from_source=from_source,
            preview=not confirmed,
        )
    except ApiError as refusal:
        messages.error(request, str(refusal.message))
        return back_to(customer)
    if confirmed:
        page.log_change(request, customer, f"Merged with customer {source.customer_number}")
        messages.success(request, f"Customer {source.customer_number} was merged into this one.")
        return back_to(customer)
    return operation_page(
        page,
        request,
        customer,
        "merge_form",
        "Merge customers",
        source=source,
        report=report,
        lines=_merge_lines(report, merchant),
        points_in_words=_points_in_words(report),
        consents=_consents_in_words(report),
        tiers=_tier_names(report, merchant),
        moved=[(MOVED_LABELS.get(key, key), n) for key, n in report.moved.items() if n],
        currency=merchant.currency,
    )


def undo(page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant) -> HttpResponse:
    """Take the merge named by the form apart again. POST only."""
    if refused_when_closed(page, request, customer):
        return back_to(customer)
    try:
        report = undo_merge(
            access=acting_for(request, merchant),
            customer_id=customer.pk,
            merge_id=uuid.UUID(request.POST.get("merge", "")),
        )
    except ValueError:
        messages.error(request, "There is no such merge.")
    except ApiError as refusal:
        messages.error(request, str(refusal.message))
    else:
        page.log_change(request, customer, "Merge undone")
        messages.success(request, "The merge was undone: the other record is its own customer again.")
        for line in report.not_restored:
            messages.warning(request, line)
    return back_to(customer)


def _points_in_words(report: MergeReport) -> list[str]:
    """What becomes of points, tier and expiry, for whoever wonders why the sum is not the sum."""
    mine, theirs, result = (report.points[side] for side in ("target", "source", "result"))
    lines = [
        f"Both balances are put together: {count(mine)} + {count(theirs)} = {count(mine + theirs)} points."
    ]
    more = result - mine - theirs
    if more > 0:
        lines.append(
            f"{counted(more, 'point')} more: the purchases of both become one history, which reaches higher tiers"
            f" earlier, so later purchases earn more. The balance is then {count(result)}."
        )
    elif more < 0:
        lines.append(
            f"{counted(-more, 'point')} less: in the order of one history some purchases earn at a lower tier."
            f" The balance is then {count(result)}."
        )
    lines.append(
        "The tier is that of the spend of both. Points expire when they would have without the merge."
    )
    return lines


def _consents_in_words(report: MergeReport) -> list[str]:
    return [
        f"{Purpose(choice.purpose).label} by {Channel(choice.channel).label}: "
        + ("allowed" if choice.result else "not allowed")
        for choice in report.consents
    ]


def _tier_names(report: MergeReport, merchant: Merchant) -> dict[str, str]:
    """The tier of each side, and after the merge, as the program calls it."""
    names = dict(
        Tier.objects.for_merchant(merchant).filter(program__is_active=True).values_list("code", "name")
    )
    return {side: names.get(code, capfirst(code)) for side, code in report.tier.items()}


def _merge_lines(report: MergeReport, merchant: Merchant) -> list[dict[str, Any]]:
    """The preview's table. `choosable` lines have something on both sides, and a person may say which wins."""
    stores = dict(Store.objects.for_merchant(merchant).values_list("pk", "name"))

    def shown(name: str, value: Any) -> str:
        if value in ("", None, [], {}):
            return ""
        if isinstance(value, (list, tuple)):
            return ", ".join(str(part) for part in value)
        if isinstance(value, dict):
            return ", ".join(f"{key}: {part}" for key, part in value.items())
        if name == "language":
            return language_name(str(value))
        if name in CODED:
            return capfirst(str(value).replace("_", " "))
        if name == "phone":
            return phone(value)
        return stores.get(value) or (day(value) if isinstance(value, date) else str(value))

    lines = []
    for choice in report.fields:
        target, source = shown(choice.field, choice.target), shown(choice.field, choice.source)
        if not target and not source:
            continue
        lines.append(
            {
                "name": choice.field,
                "label": UNIT_LABELS.get(choice.field, choice.field),
                "target": target,
                "source": source,
                "result": shown(choice.field, choice.result),
                "taken_from": choice.taken_from,
                "choosable": choice.field in UNITS and bool(target) and bool(source) and target != source,
                "differs": target != source,
            }
        )
    return lines


def _source(request: HttpRequest, customer: Customer, merchant: Merchant) -> Customer | None:
    """The record to merge in, named by id: one of the same merchant, or none."""
    try:
        wanted = uuid.UUID((request.POST or request.GET).get("source", ""))
    except ValueError:
        return None
    rows = Customer.objects.for_merchant(merchant).visible().defer("search").exclude(pk=customer.pk)
    found: Customer | None = rows.filter(pk=wanted).first()
    return found


def _choose_source(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    text = request.GET.get("q", "").strip()
    found: list[Customer] = []
    if text:
        found = list(
            matching_customers(merchant, text)
            .exclude(pk=customer.pk)
            .defer("search")
            .order_by("sort_name")[:FOUND_MAX]
        )
    alike = []
    for group in find_alike(merchant_id=merchant.pk, customer_id=customer.pk, limit=ALIKE_MAX):
        for candidate in group.customers:
            if candidate.traits.id != customer.pk:
                alike.append((candidate, ", ".join(group.likeness.reasons)))
    return operation_page(
        page,
        request,
        customer,
        "merge_choose",
        "Merge customers",
        text=text,
        found=found,
        alike=alike,
        currency=merchant.currency,
    )
