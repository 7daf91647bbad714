"""Pages for customers, without a log-in: unsubscribing with one click (RFC 8058), preferences, confirming a consent.

A GET never changes anything: mail scanners follow links. No cookie is set or read, so there is no session that another site
could ride on; what counts is the signed link.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.timezone import now
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from cloudpos.api.errors import TooManyRequests
from cloudpos.api.throttling import client_address, throttle
from cloudpos.tenancy.models import Merchant
from customers.models import Channel, Preferences, Purpose
from customers.services import CustomerNotFound, find_customer, say_for_oneself
from marketing.consents import links
from marketing.consents.requests import RequestNotConfirmable, confirm_request, read_request
from marketing.tracking.recording import note_time

UNSUBSCRIBE_SOURCE = "unsubscribe link"
PREFERENCES_SOURCE = "preference page"
# What people call them.
CHANNELS = {
    Channel.EMAIL.value: "E-mails",
    Channel.SMS.value: "Text messages",
    Channel.PUSH.value: "Notifications of the app",
    Channel.PHONE.value: "Calls",
    Channel.MAIL.value: "Letters",
}
PER_WEEK = {
    "": "As many as you like",
    "1": "1 a week at most",
    "2": "2 a week at most",
    "5": "5 a week at most",
}
PER_WEEK_SAID = "perWeek"


@method_decorator([csrf_exempt, never_cache], name="dispatch")
class LinkView(View):
    """A page behind a signed link. Every subclass reads its token first."""

    http_method_names = ["get", "head", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            throttle(request)
            response = super().dispatch(request, *args, **kwargs)
        except TooManyRequests:
            return self.page("too_many", status=429)
        except links.LinkExpired:
            return self.page("expired", status=410)
        except (links.LinkInvalid, CustomerNotFound):
            return self.page("invalid", status=404)
        except RequestNotConfirmable:
            return self.page("expired", status=410)
        return response

    def page(self, name: str, status: int = 200, **context: Any) -> HttpResponse:
        response = render(self.request, f"consents/{name}.html", context, status=status)
        # The address is the key.
        response.headers["X-Robots-Tag"] = "noindex"
        return response


class UnsubscribeView(LinkView):
    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        link = links.read_unsubscribe(token)
        return self.page("unsubscribe", merchant=_merchant(link.merchant_id), what=_what(link.channel))

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """By a person's button or a mail program's `List-Unsubscribe=One-Click`, in either encoding of forms. Idempotent."""
        link = links.read_unsubscribe(token)
        try:
            say_for_oneself(
                merchant_id=link.merchant_id,
                customer_id=link.customer_id,
                data={link.channel: {Purpose.MARKETING.value: False}},
                source=UNSUBSCRIBE_SOURCE,
                ip=client_address(request.META),
            )
            preferences = links.preferences_url(merchant_id=link.merchant_id, customer_id=link.customer_id)
        except CustomerNotFound:
            # Erased: nothing is sent to them either.
            preferences = ""
        if link.message_id is not None:
            note_time(
                merchant_id=link.merchant_id, message_id=link.message_id, column="unsubscribed_at", at=now()
            )
        return self.page(
            "unsubscribed",
            merchant=_merchant(link.merchant_id),
            what=_what(link.channel),
            preferences=preferences,
        )


class PreferencesView(LinkView):
    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._shown(links.read_preferences(token), saved=False)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        link = links.read_preferences(token)
        data: dict[str, Any] = {
            channel: {Purpose.MARKETING.value: channel in request.POST} for channel in CHANNELS
        }
        per_week = request.POST.get(PER_WEEK_SAID, "")
        if per_week in PER_WEEK:
            data["max_messages_per_week"] = int(per_week) if per_week else None
        say_for_oneself(
            merchant_id=link.merchant_id,
            customer_id=link.id,
            data=data,
            source=PREFERENCES_SOURCE,
            ip=client_address(request.META),
        )
        return self._shown(link, saved=True)

    def _shown(self, link: links.Reference, *, saved: bool) -> HttpResponse:
        customer = find_customer(merchant_id=link.merchant_id, id=link.id)
        row = Preferences.objects.for_merchant(link.merchant_id).filter(customer_id=customer.pk).first()
        said = row.consents if row else {}
        most = "" if row is None or row.max_messages_per_week is None else str(row.max_messages_per_week)
        choices = dict(PER_WEEK)
        if most not in choices:
            choices[most] = f"{most} a week at most"
        return self.page(
            "preferences",
            merchant=_merchant(link.merchant_id),
            channels=[
                (name, label, said.get(name, {}).get(Purpose.MARKETING.value, False))
                for name, label in CHANNELS.items()
            ],
            per_week=[(value, label, value == most) for value, label in choices.items()],
            saved=saved,
        )


class ConfirmView(LinkView):
    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        link = links.read_confirmation(token)
        found = read_request(merchant_id=link.merchant_id, request_id=link.id)
        return self.page(
            "confirm", merchant=_merchant(link.merchant_id), is_done=found.confirmed_at is not None
        )

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        link = links.read_confirmation(token)
        found = confirm_request(
            merchant_id=link.merchant_id, request_id=link.id, ip=client_address(request.META)
        )
        preferences = links.preferences_url(merchant_id=link.merchant_id, customer_id=found.customer_id)
        return self.page("confirmed", merchant=_merchant(link.merchant_id), preferences=preferences)


def _merchant(merchant_id: Any) -> str:
    name = Merchant.objects.filter(pk=merchant_id).values_list("name", flat=True).first()
    if name is None:
        raise links.LinkInvalid
    return str(name)


def _what(channel: str) -> str:
    label = CHANNELS[channel]
    return label[0].lower() + label[1:]
