"""Where Twilio tells what became of a text message. Signed by the merchant's own auth token."""

import base64
import hashlib
import hmac
import uuid

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from marketing import encryption
from marketing.channels.settings import messaging_settings_of
from marketing.channels.twilio import status_url
from marketing.models_messaging import MessagingSettings
from marketing.tracking.reports import hear_twilio

FIELDS_MAX = 60


@csrf_exempt
@require_POST
def twilio_status(request: HttpRequest, merchant_id: uuid.UUID, message_id: uuid.UUID) -> HttpResponse:
    """POST /provider-events/twilio/{merchant}/{message}"""
    row = messaging_settings_of(merchant_id)
    if row.sms_provider != MessagingSettings.SmsProvider.TWILIO or not row.sms_secret_encrypted:
        raise Http404
    try:
        token = encryption.decrypt(bytes(row.sms_secret_encrypted))
    except encryption.SecretUnreadable:
        raise Http404 from None
    form = {name: request.POST[name] for name in list(request.POST)[:FIELDS_MAX]}
    expected = signature(token, status_url(str(merchant_id), str(message_id)), form)
    if not hmac.compare_digest(expected.encode(), request.headers.get("X-Twilio-Signature", "").encode()):
        return HttpResponseForbidden()
    hear_twilio(merchant_id=merchant_id, message_id=message_id, form=form)
    return HttpResponse(status=204)


def signature(token: bytes, url: str, form: dict[str, str]) -> str:
    """https://www.twilio.com/docs/usage/security#validating-requests: the URL, then names and values in order of the names."""
    said = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    # Twilio's choice; HMAC does not suffer from SHA-1's collisions.
    return base64.b64encode(hmac.digest(token, said.encode(), hashlib.sha1)).decode()
