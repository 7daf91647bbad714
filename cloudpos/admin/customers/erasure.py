"""Erasing a customer's personal data, and the receipt of it."""

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from cloudpos.admin.customers.forms import EraseForm
from cloudpos.admin.customers.operation import operation_page
from cloudpos.api.errors import ApiError
from cloudpos.lifecycle.erasing import erase_customer
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.models import Merchant
from customers.models import Customer, Erasure

if TYPE_CHECKING:
    from cloudpos.admin.customers.customer import CustomerAdmin

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
    "loyaltyTierOverrides": "Tiers given by hand",
    "imports": "Rows of imported files",
    "externalIds": "IDs in other systems",
    "consentRequests": "Mails that asked for a consent",
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
    "end_reason": "why it was ended",
    "response_body": "what was answered",
    "moved": "what was moved",
    "all of it": "everything",
    "answers kept for Idempotency-Keys": "what the answers said",
    "names in the admin's history": "names",
}


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
    return operation_page(page, request, customer, "erase_form", "Erase personal data", form=form)


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
    return operation_page(
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
