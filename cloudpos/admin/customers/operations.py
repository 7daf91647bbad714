"""What can be done to a customer besides changing the profile. Each shows what it will do, and does it when confirmed."""

import uuid
from datetime import date
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst

from cloudpos.admin.customers.forms import ConsentForm, EraseForm, PointsForm
from cloudpos.api.errors import ApiError
from cloudpos.lifecycle.erasing import erase_customer
from cloudpos.lifecycle.fields import UNITS
from cloudpos.lifecycle.merging import MergeReport, merge_customers
from cloudpos.lifecycle.unmerging import undo_merge
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import count, counted, day, phone, signed
from cloudpos.tenancy.models import Merchant, Store
from customers import services
from customers.admin import matching_customers
from customers.duplicates import find_alike
from customers.models import Customer, Erasure
from loyalty.models import Enrollment
from loyalty.services import post_points

if TYPE_CHECKING:
    from cloudpos.admin.customers.customer import CustomerAdmin

# What is typed into the operation's own pages, so that a repeated press is recognised as one.
BACKOFFICE_ID = "backoffice-"
FOUND_MAX = 20
ALIKE_MAX = 5


def adjust_points(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    if _refused_when_closed(page, request, customer):
        return _back(customer)
    form = PointsForm(request.POST or None, initial={"direction": "add", "token": uuid.uuid4().hex})
    if request.method == "POST" and form.is_valid():
        try:
            answer = post_points(
                access=acting_for(request, merchant),
                customer_id=customer.pk,
                type="adjusted",
                points=form.signed_points(),
                description=form.cleaned_data["reason"],
                transaction_id=BACKOFFICE_ID + form.cleaned_data["token"],
            )
        except ApiError as refusal:
            form.add_error(None, str(refusal.message))
        else:
            balance = answer.transaction["balance"]
            page.log_change(
                request, customer, f"Points {signed(form.signed_points())}: {form.cleaned_data['reason']}"
            )
            messages.success(
                request,
                f"Points adjusted by {signed(form.signed_points())}. The balance is now {count(balance)}.",
            )
            return _back(customer, "points")
    account = (
        Enrollment.objects.for_merchant(merchant)
        .filter(customer_id=customer.pk, program__is_active=True)
        .first()
    )
    return _page(page, request, customer, "points_form", "Adjust points", form=form, account=account)


def record_consent(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    if _refused_when_closed(page, request, customer):
        return _back(customer)
    form = ConsentForm(request.POST)
    if form.is_valid():
        try:
            statement = services.record_consent(
                access=acting_for(request, merchant), customer_id=customer.pk, data=form.cleaned_data
            )
        except ApiError as refusal:
            messages.error(request, str(refusal.message))
        else:
            page.log_change(request, customer, f"Consent recorded: {statement}")
            messages.success(request, f"Recorded. {statement}.")
    else:
        messages.error(request, "Say the channel, the purpose and where the customer said it.")
    return _back(customer, "consent")


def remove(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    if _refused_when_closed(page, request, customer):
        return _back(customer)
    if request.method == "POST":
        try:
            services.delete_customer(access=acting_for(request, merchant), customer_id=customer.pk)
        except ApiError as refusal:
            messages.error(request, str(refusal.message))
            return _back(customer)
        page.log_change(request, customer, "Removed from lists")
        messages.success(request, f"{customer.display_name} was removed from all lists. The history is kept.")
        return HttpResponseRedirect(reverse("admin:customers_customer_changelist"))
    return _page(page, request, customer, "remove_form", "Remove from lists")


def erase(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    """Also of a removed customer: being hidden is not being forgotten."""
    if customer.erased_at is not None:
        erasure = Erasure.objects.for_merchant(merchant).filter(customer_id=customer.pk).latest("erased_at")
        return _receipt(page, request, customer, erasure)
    form = EraseForm(request.POST or None, expected=customer.customer_number)
    if request.method == "POST" and form.is_valid():
        try:
            report = erase_customer(access=acting_for(request, merchant), customer_id=customer.pk)
        except ApiError as refusal:
            form.add_error(None, str(refusal.message))
        else:
            nobody = Customer.objects.for_merchant(merchant).get(pk=customer.pk)
            page.log_change(request, nobody, "Personal data erased")
            messages.success(request, "The personal data was erased. This is the receipt.")
            return _receipt(page, request, nobody, report.erasure)
    return _page(page, request, customer, "erase_form", "Erase personal data", form=form)


def merge(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    """Choose the other record, see field by field what would win, confirm."""
    if _refused_when_closed(page, request, customer):
        return _back(customer)
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
        return _back(customer)
    if confirmed:
        page.log_change(request, customer, f"Merged with customer {source.customer_number}")
        messages.success(request, f"Customer {source.customer_number} was merged into this one.")
        return _back(customer)
    return _page(
        page,
        request,
        customer,
        "merge_form",
        "Merge customers",
        source=source,
        report=report,
        lines=_merge_lines(report, merchant),
        points_in_words=_points_in_words(report),
        moved=[(MOVED_LABELS.get(key, key), n) for key, n in report.moved.items() if n],
        currency=merchant.currency,
    )


def undo(page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant) -> HttpResponse:
    """Take the merge named by the form apart again. POST only."""
    if _refused_when_closed(page, request, customer):
        return _back(customer)
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
    return _back(customer)


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
# The receipt is kept as data, under the names of the export.
TABLE_LABELS = {
    "customers": "The customer's record",
    "addresses": "Addresses",
    "preferences": "Preferences",
    "consents": "Consent statements",
    "purchases": "Purchases",
    "purchaseItems": "Items of purchases",
    "returns": "Returns",
    "returnItems": "Items of returns",
    "events": "Activity log",
    "eventTasks": "Background tasks",
    "webhookDeliveries": "Webhook deliveries",
    "loyaltyAccounts": "Loyalty accounts",
    "loyaltyTransactions": "Points ledger",
    "loyaltyLots": "Points by when they were earned",
    "loyaltyAllocations": "Which points were spent",
    "loyaltyShortfalls": "Points that could not be taken back",
    "merges": "Merged records",
    "erasures": "Earlier erasures",
    "storedAnswers": "Answers kept for repeated requests",
    "adminLog": "History of the back office",
}
COLUMN_LABELS = {
    "ip": "IP address",
    "data": "details",
    "external_id": "the sender's own number",
    "body": "what was sent",
    "response_body": "what was answered",
    "moved": "what was moved",
    "all of it": "everything",
    "answers kept for Idempotency-Keys": "what the answers said",
    "names in the admin's history": "names",
}


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
    return _page(
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


def _receipt(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, erasure: Erasure
) -> HttpResponse:
    erased = [
        (TABLE_LABELS.get(line["table"], line["table"]), _in_words(line["what"]), line["rows"])
        for line in erasure.receipt["erased"]
    ]
    kept = [
        (TABLE_LABELS.get(line["table"], line["table"]), line["reason"]) for line in erasure.receipt["kept"]
    ]
    return _page(
        page,
        request,
        customer,
        "erase_receipt",
        "Receipt of the erasure",
        erasure=erasure,
        erased=erased,
        kept=kept,
    )


def _in_words(columns: str) -> str:
    """The receipt names columns; a sentence stays as it is."""
    return capfirst(", ".join(COLUMN_LABELS.get(name, name) for name in columns.split(", ")))


def _refused_when_closed(page: "CustomerAdmin", request: HttpRequest, customer: Customer) -> bool:
    if page.has_change_permission(request, customer):
        return False
    messages.error(request, "This customer can no longer be changed.")
    return True


def _back(customer: Customer, tab: str = "") -> HttpResponse:
    url = reverse("admin:customers_customer_change", args=[customer.pk])
    return HttpResponseRedirect(f"{url}#{tab}" if tab else url)


def _page(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, template: str, title: str, **context: Any
) -> HttpResponse:
    request.current_app = page.admin_site.name  # type: ignore[attr-defined]
    return TemplateResponse(
        request,
        f"backoffice/customer/{template}.html",
        {
            **page.admin_site.each_context(request),
            "opts": page.opts,
            "original": customer,
            "customer": customer,
            "title": title,
            "has_view_permission": True,
            **context,
        },
    )
