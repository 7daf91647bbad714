"""What can be done to a customer besides changing the profile. Each shows what it will do, and does it when confirmed."""

import uuid
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from cloudpos.admin.customers.forms import AskConsentForm, ConsentForm, PointsForm
from cloudpos.admin.customers.operation import back_to, operation_page, refused_when_closed
from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import count, signed
from cloudpos.tenancy.models import Merchant
from customers import services
from customers.models import Customer
from loyalty.models import Enrollment
from loyalty.services import post_points
from marketing.consents.requests import ask_for_consent

if TYPE_CHECKING:
    from cloudpos.admin.customers.customer import CustomerAdmin

# What is typed into the operation's own pages, so that a repeated press is recognised as one.
BACKOFFICE_ID = "backoffice-"


def adjust_points(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    if refused_when_closed(page, request, customer):
        return back_to(customer)
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
            return back_to(customer, "points")
    account = (
        Enrollment.objects.for_merchant(merchant)
        .filter(customer_id=customer.pk, program__is_active=True)
        .first()
    )
    return operation_page(page, request, customer, "points_form", "Adjust points", form=form, account=account)


def record_consent(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    if refused_when_closed(page, request, customer):
        return back_to(customer)
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
    return back_to(customer, "consent")


def ask_consent(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    """The mail of a double opt-in."""
    if refused_when_closed(page, request, customer):
        return back_to(customer)
    form = AskConsentForm(request.POST)
    if form.is_valid():
        try:
            asked = ask_for_consent(
                merchant_id=merchant.pk, customer_id=customer.pk, purpose=form.cleaned_data["purpose"]
            )
        except ApiError as refusal:
            messages.error(request, str(refusal.message))
        else:
            page.log_change(request, customer, f"Asked for consent by e-mail: {asked.get_purpose_display()}")
            messages.success(request, "The mail is on its way. The consent counts once its link is followed.")
    else:
        messages.error(request, "Say what to ask for.")
    return back_to(customer, "consent")


def remove(
    page: "CustomerAdmin", request: HttpRequest, customer: Customer, merchant: Merchant
) -> HttpResponse:
    if refused_when_closed(page, request, customer):
        return back_to(customer)
    if request.method == "POST":
        try:
            services.delete_customer(access=acting_for(request, merchant), customer_id=customer.pk)
        except ApiError as refusal:
            messages.error(request, str(refusal.message))
            return back_to(customer)
        page.log_change(request, customer, "Removed from lists")
        messages.success(request, f"{customer.display_name} was removed from all lists. The history is kept.")
        return HttpResponseRedirect(reverse("admin:customers_customer_changelist"))
    return operation_page(page, request, customer, "remove_form", "Remove from lists")
