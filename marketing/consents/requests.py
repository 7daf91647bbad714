"""Double opt-in: a mail with a link, and the consent that following it is."""

import hashlib
import logging
import uuid
from datetime import datetime, timedelta

from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.utils.timezone import now

from cloudpos.api.errors import BadRequest, Conflict
from cloudpos.api.transactions import use_case
from cloudpos.celery import enqueue
from customers.models import Channel, Customer
from customers.services import CustomerNotFound, append_own, find_customer, lock_customer
from marketing.consents.links import confirmation_url
from marketing.models_consents import CONFIRM_WITHIN, ConsentRequest

logger = logging.getLogger(__name__)

SEND_TASK = "marketing.tasks.send_consent_requests"
SOURCE = "double opt-in"
# Nobody's mailbox is filled by asking again and again.
REQUESTS_PER_DAY_MAX = 3
ATTEMPTS_MAX = 6
# A process that dies while it sends gives its mail up after this long.
LEASE = timedelta(minutes=2)
BATCH = 50


class NoEmailAddress(BadRequest):
    code = "no_email_address"
    message = "This customer has no e-mail address to write to."


class TooManyConsentRequests(Conflict):
    code = "too_many_consent_requests"
    message = f"This customer was asked {REQUESTS_PER_DAY_MAX} times within a day already."


class RequestNotConfirmable(Conflict):
    code = "consent_request_over"
    message = "This link is no longer valid. Ask for a new one."


@use_case
def ask_for_consent(
    *, merchant_id: uuid.UUID, customer_id: uuid.UUID, purpose: str, wording_version: str = ""
) -> ConsentRequest:
    """Queue the mail. Raises CustomerNotFound, NoEmailAddress and TooManyConsentRequests."""
    customer = lock_customer(merchant_id=merchant_id, customer_id=customer_id)
    if not customer.email:
        raise NoEmailAddress()
    lately = ConsentRequest.objects.for_merchant(merchant_id).filter(
        customer_id=customer.pk, created_at__gt=now() - timedelta(days=1)
    )
    if lately.count() >= REQUESTS_PER_DAY_MAX:
        raise TooManyConsentRequests()
    request: ConsentRequest = ConsentRequest.objects.create(
        merchant_id=merchant_id,
        customer=customer,
        purpose=purpose,
        wording_version=wording_version,
        address_hash=address_hash(customer),
    )
    transaction.on_commit(lambda: enqueue(SEND_TASK), robust=True)
    return request


def send_due(*, at: datetime) -> int:
    """Send what is due, each with a lease; returns how many were sent. A mail whose process died is sent again, never lost."""
    sent = 0
    while (request := _claim(at)) is not None:
        sent += _send(request, at)
    return sent


def _claim(at: datetime) -> ConsentRequest | None:
    with transaction.atomic():
        due = ConsentRequest.objects.filter(state=ConsentRequest.State.PENDING, next_attempt_at__lte=at)
        request: ConsentRequest | None = (
            due.select_for_update(skip_locked=True, of=("self",), no_key=True)
            .select_related("merchant")
            .order_by("next_attempt_at")
            .first()
        )
        if request is not None:
            request.attempts += 1
            request.next_attempt_at = at + LEASE
            request.save(update_fields=["attempts", "next_attempt_at"])
    return request


def _send(request: ConsentRequest, at: datetime) -> bool:
    pending = ConsentRequest.objects.for_merchant(request.merchant_id).filter(
        pk=request.pk, state=ConsentRequest.State.PENDING
    )
    try:
        customer = find_customer(merchant_id=request.merchant_id, id=request.customer_id)
        if address_hash(customer) != bytes(request.address_hash):
            raise CustomerNotFound()
    except CustomerNotFound:
        # Gone, or reads another mailbox by now.
        pending.update(state=ConsentRequest.State.FAILED, next_attempt_at=None)
        return False
    merchant = request.merchant.name.replace("\n", " ").replace("\r", " ")
    text = render_to_string(
        "emails/consent_request.txt",
        {
            "merchant": merchant,
            "days": CONFIRM_WITHIN.days,
            "url": confirmation_url(merchant_id=request.merchant_id, request_id=request.pk),
        },
    )
    try:
        EmailMessage(f"{merchant}: please confirm", text, to=[customer.email]).send()
    except OSError:
        # smtplib's errors are OSErrors. Their text may quote the address.
        logger.warning("consent_request_not_sent", extra={"consent_request_id": str(request.pk)})
        if request.attempts >= ATTEMPTS_MAX:
            pending.update(state=ConsentRequest.State.FAILED, next_attempt_at=None)
        else:
            pending.update(next_attempt_at=at + timedelta(minutes=2**request.attempts))
        return False
    pending.update(state=ConsentRequest.State.SENT, next_attempt_at=None, sent_at=at)
    return True


def read_request(*, merchant_id: uuid.UUID, request_id: uuid.UUID) -> ConsentRequest:
    """One that can be confirmed, or has been. Raises RequestNotConfirmable."""
    request: ConsentRequest | None = (
        ConsentRequest.objects.for_merchant(merchant_id)
        .select_related("merchant")
        .filter(pk=request_id, state__in=[ConsentRequest.State.SENT, ConsentRequest.State.CONFIRMED])
        .first()
    )
    if request is None or request.expires_at < now():
        raise RequestNotConfirmable()
    return request


@use_case
def confirm_request(*, merchant_id: uuid.UUID, request_id: uuid.UUID, ip: str | None) -> ConsentRequest:
    """The customer follows the link. Repeating it changes nothing: not even a withdrawal that came since.

    Raises RequestNotConfirmable, also for a customer whose address is another by now.
    """
    request = read_request(merchant_id=merchant_id, request_id=request_id)
    try:
        customer = lock_customer(merchant_id=merchant_id, customer_id=request.customer_id)
    except CustomerNotFound:
        raise RequestNotConfirmable() from None
    if address_hash(customer) != bytes(request.address_hash):
        raise RequestNotConfirmable()
    first = ConsentRequest.objects.for_merchant(merchant_id).filter(
        pk=request_id, state=ConsentRequest.State.SENT
    )
    if first.update(state=ConsentRequest.State.CONFIRMED, confirmed_at=now()):
        append_own(
            customer,
            {Channel.EMAIL.value: {request.purpose: True}},
            source=SOURCE,
            ip=ip,
            wording_version=request.wording_version,
        )
    return request


def address_hash(customer: Customer) -> bytes:
    return hashlib.blake2b(customer.email_key.encode(), digest_size=16).digest()
