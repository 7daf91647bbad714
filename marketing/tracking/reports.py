"""Providers' reports about messages: from e-mail services by django-anymail, from Twilio by its status callback.

They come in any order, late and twice. What is at fault for good is suppressed; who complains is not written to again.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.timezone import now

from cloudpos.api.transactions import use_case
from customers.models import Purpose
from customers.services import CustomerNotFound, append_own, lock_customer
from marketing.channels.suppressions import suppress
from marketing.models_campaigns import Campaign
from marketing.models_messages import CampaignMessage
from marketing.models_messaging import Suppression
from marketing.tracking.recording import note_state, note_time

COMPLAINT_SOURCE = "complaint to the mail provider"
UNSUBSCRIBE_SOURCE = "unsubscribed at the mail provider"
State = CampaignMessage.State


@dataclass(frozen=True, slots=True)
class Report:
    """`kind`: delivered, bounced, failed, opened, clicked, unsubscribed or complained.

    `address`: whose it was, where the provider says so. `is_permanent`: the address will never work.
    """

    merchant_id: uuid.UUID
    message_id: uuid.UUID
    kind: str
    at: datetime
    address: str = ""
    is_permanent: bool = False
    reason: str = ""


_STATES = {"delivered": State.DELIVERED, "bounced": State.BOUNCED, "failed": State.FAILED}
_TIMES = {"opened": ("opened_at",), "clicked": ("opened_at", "clicked_at")}


@use_case
def take_report(report: Report) -> bool:
    """Write down what a provider says. Returns whether there is such a message; repeated, it changes nothing more."""
    row = (
        CampaignMessage.objects.for_merchant(report.merchant_id)
        .filter(pk=report.message_id)
        .values_list("customer_id", "campaign_id")
        .first()
    )
    if row is None:
        return False
    customer_id, campaign_id = row
    who: Any = {"merchant_id": report.merchant_id, "message_id": report.message_id}
    channel, consent_channel = (
        Campaign.objects.for_merchant(report.merchant_id)
        .values_list("channel", "consent_channel")
        .get(pk=campaign_id)
    )
    # Consent before anything else: its customer's row is locked first, as everywhere.
    if report.kind in ("complained", "unsubscribed"):
        source = COMPLAINT_SOURCE if report.kind == "complained" else UNSUBSCRIBE_SOURCE
        _withdraw(report.merchant_id, customer_id, consent_channel, source)
        note_time(**who, column=f"{report.kind}_at", at=report.at)
    if report.kind in _STATES:
        note_state(**who, state=_STATES[report.kind], at=report.at, reason=report.reason)
    for column in _TIMES.get(report.kind, ()):
        note_time(**who, column=column, at=report.at)
    if report.address and (report.kind == "complained" or report.is_permanent):
        _suppress(report, channel)
    return True


def _withdraw(merchant_id: uuid.UUID, customer_id: uuid.UUID, channel: str, source: str) -> None:
    try:
        customer = lock_customer(merchant_id=merchant_id, customer_id=customer_id)
    except CustomerNotFound:
        return
    append_own(customer, {channel: {Purpose.MARKETING.value: False}}, source=source)


def _suppress(report: Report, channel: str) -> None:
    reason = Suppression.Reason.COMPLAINT if report.kind == "complained" else Suppression.Reason.BOUNCE
    suppress(merchant_id=report.merchant_id, channel=channel, addresses=[report.address], reason=reason.value)


# --- E-mail services ----------------------------------------------------------------------------------------

_EMAIL_KINDS = {
    "delivered": "delivered", "bounced": "bounced", "rejected": "bounced", "failed": "failed", "opened": "opened",
    "clicked": "clicked", "unsubscribed": "unsubscribed", "complained": "complained",
}  # fmt: skip
# Of anymail's reasons, those of an address that will never work. `blocked`, `spam` and `timed_out` are about today's mail.
_PERMANENT = frozenset({"invalid", "bounced"})


def hear_email_service(sender: Any, event: Any, esp_name: str, **_: Any) -> None:
    """django-anymail's `tracking` signal. What is no message of a campaign's is left alone."""
    kind = _EMAIL_KINDS.get(event.event_type)
    ids = _ids(event.metadata or {})
    if kind is None or ids is None:
        return
    is_bounce = kind == "bounced"
    reason = event.reject_reason or ("bounced" if is_bounce else "")
    take_report(
        Report(
            *ids,
            kind=kind,
            at=_moment(event.timestamp),
            address=event.recipient or "",
            is_permanent=is_bounce and _never_works(esp_name, event),
            reason=reason if kind in ("bounced", "failed") else "",
        )
    )


def _never_works(service: str, event: Any) -> bool:
    """Of a bounce: whether there is no such address. anymail calls a full mailbox the same; services have their own words."""
    said, by_anymail = event.esp_event, event.reject_reason in _PERMANENT
    match service:
        case "Brevo":
            return by_anymail and said["event"] != "soft_bounce"
        case "Postmark":
            return by_anymail and (said["RecordType"] != "Bounce" or said.get("Inactive") is True)
        case "Resend":
            return bool(said["data"].get("bounce", {}).get("type") == "Permanent")
        case "SendGrid":
            # Of a bounce anymail gives no reason; one that is only blocked says so by its type.
            return by_anymail or (said["event"], said.get("type")) == ("bounce", "bounce")
        case "SparkPost":
            (bounce,) = said["msys"].values()
            return bounce.get("bounce_class") in ("10", "30")
    return by_anymail


def _ids(metadata: dict[str, Any]) -> tuple[uuid.UUID, uuid.UUID] | None:
    try:
        return uuid.UUID(str(metadata["merchant"])), uuid.UUID(str(metadata["message"]))
    except (KeyError, ValueError):
        return None


def _moment(said: datetime | None) -> datetime:
    """A provider's clock may be ahead."""
    at = now()
    return at if said is None or said.tzinfo is None else min(said.astimezone(UTC), at)


# --- Twilio -------------------------------------------------------------------------------------------------

_TWILIO_KINDS = {"delivered": "delivered", "read": "delivered", "undelivered": "bounced", "failed": "bounced"}
# https://www.twilio.com/docs/api/errors: unknown number; landline or unreachable carrier.
_NUMBER_AT_FAULT = frozenset({"30005", "30006", "21211", "21614"})


def hear_twilio(*, merchant_id: uuid.UUID, message_id: uuid.UUID, form: dict[str, str]) -> bool:
    """A status callback whose signature was verified. Returns whether it was about a message."""
    kind = _TWILIO_KINDS.get(form.get("MessageStatus", ""))
    if kind is None:
        return False
    code = form.get("ErrorCode", "")[:10]
    return take_report(
        Report(
            merchant_id,
            message_id,
            kind=kind,
            at=now(),
            address=form.get("To", "")[:40],
            is_permanent=kind == "bounced" and code in _NUMBER_AT_FAULT,
            reason=f"twilio_{code}" if code and kind == "bounced" else "",
        )
    )
