"""Links and questions that a till hands to a customer, and the text messages that come back."""

import uuid
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Fields, Output
from cloudpos.api.views import ApiView
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from customers.models import Channel
from customers.services import find_customer
from marketing.consents import keywords, links
from marketing.consents.requests import ask_for_consent
from marketing.consents.serializers import ConfirmationInput, TextMessageInput

URL = {"type": "string", "format": "uri"}
LINKS = Fields(
    "ConsentLinks",
    {
        "preferences": {**URL, "description": "Their choices, to see and change; valid for 90 days."},
        "unsubscribe": {
            "type": "object",
            "properties": {"email": URL, "sms": URL},
            "required": ["email", "sms"],
            "description": "Of the List-Unsubscribe header (RFC 8058), or for a message's end. They do not expire.",
        },
    },
)
CONFIRMATION = Fields(
    "ConsentConfirmation",
    {
        "id": {"type": "string", "format": "uuid"},
        "state": {"type": "string", "enum": ["pending", "sent", "confirmed", "failed"]},
        "expiresAt": {"type": "string", "format": "date-time"},
    },
)
HEARD = Fields(
    "TextMessageHeard",
    {
        "keyword": {"type": ["string", "null"], "enum": ["stop", "start", "help", None]},
        "customerId": {"type": ["string", "null"], "format": "uuid"},
        "reply": {"type": "string", "description": "To be sent back; empty when nothing is due."},
    },
)


class ConsentLinksView(ApiView):
    """To be printed as a code on a receipt, or put into a message of another system."""

    roles = {"get": Role.CASHIER}
    outputs = {"get": LINKS}
    filters = {"get": NoParameters}
    summaries = {"get": "Make a customer's links to their preferences, without a log-in"}

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        merchant_id = request.access.merchant_id
        customer = find_customer(merchant_id=merchant_id, id=customer_id)
        who = {"merchant_id": merchant_id, "customer_id": customer.pk}
        return envelope.success(
            {
                "preferences": links.preferences_url(**who),
                "unsubscribe": {
                    channel: links.unsubscribe_url(**who, channel=channel)
                    for channel in (Channel.EMAIL.value, Channel.SMS.value)
                },
            }
        )


class ConsentConfirmationView(ApiView):
    """Double opt-in: the consent counts when the customer has followed the link in the mail."""

    roles = {"post": Role.CASHIER}
    inputs = {"post": ConfirmationInput}
    outputs = {"post": Output(CONFIRMATION, status=202)}
    summaries = {"post": "Ask a customer by e-mail to confirm a consent"}

    def post(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        data = self.input(ConfirmationInput)
        asked = ask_for_consent(
            merchant_id=request.access.merchant_id,
            customer_id=customer_id,
            purpose=data["purpose"],
            wording_version=data.get("wording_version") or "",
        )
        shown = {"id": asked.pk, "state": asked.state, "expiresAt": asked.expires_at}
        where = f"/api/v1/customers/{asked.customer_id}/consents"
        return envelope.accepted(shown, where, "The customer is asked by e-mail")


class TextMessagesView(ApiView):
    """Called by whatever receives text messages for the merchant. A repeated message changes nothing."""

    roles = {"post": Role.CASHIER}
    inputs = {"post": TextMessageInput}
    outputs = {"post": HEARD}
    summaries = {"post": "Hand on a text message of a customer: STOP, START or HELP"}

    def post(self, request: Any) -> HttpResponse:
        data = self.input(TextMessageInput)
        merchant_id = request.access.merchant_id
        merchant = Merchant.objects.values_list("name", flat=True).get(pk=merchant_id)
        heard = keywords.hear(
            merchant_id=merchant_id, merchant=merchant, phone=data["sender"], text=data["text"]
        )
        return envelope.success(
            {"keyword": heard.keyword, "customerId": heard.customer_id, "reply": heard.reply}
        )
