"""Text messages by Twilio's API (https://www.twilio.com/docs/messaging/api/message-resource)."""

import base64
from urllib.parse import quote, urlencode

from django.conf import settings

from marketing.channels.http import Answer, HttpSender, Request, refused
from marketing.channels.outgoing import Outcome, Outgoing

# https://www.twilio.com/docs/api/errors: of the number, for good.
_NUMBER_AT_FAULT = {
    21211: "this is no phone number",
    21214: "this number cannot be reached",
    21217: "this is no phone number",
    21610: "they answered STOP",
    21614: "this number takes no text messages",
}
_LATER = frozenset({14107, 20429, 21611, 30001, 30022})


class TwilioSender(HttpSender):
    """`sender`: a number, a name, or the SID of a messaging service (MG...)."""

    who = "Twilio"

    def __init__(self, *, account: str, secret: str, sender: str) -> None:
        super().__init__()
        self._account, self._sender = account, sender
        self._authorization = "Basic " + base64.b64encode(f"{account}:{secret}".encode()).decode()

    def request(self, message: Outgoing) -> Request:
        sender = "MessagingServiceSid" if self._sender.startswith("MG") else "From"
        form = {sender: self._sender, "To": message.address, "Body": message.rendered.text}
        if not message.is_test and settings.PUBLIC_URL.startswith("https://"):
            form["StatusCallback"] = status_url(str(message.merchant_id), str(message.message_id))
        url = f"{settings.TWILIO_URL}/2010-04-01/Accounts/{quote(self._account, safe='')}/Messages.json"
        return Request(
            url,
            urlencode(form).encode(),
            "application/x-www-form-urlencoded",
            {"Authorization": self._authorization},
        )

    def outcome(self, answer: Answer) -> Outcome:
        if 200 <= answer.status < 300:
            return Outcome("sent", provider_id=str(answer.body.get("sid") or "")[:200])
        code = answer.body.get("code")
        if code in _NUMBER_AT_FAULT:
            return Outcome("refused", error=f"Twilio {code}: {_NUMBER_AT_FAULT[code]}", suppress=True)
        if code in _LATER:
            return Outcome("retry", error=f"Twilio {code}", retry_after=answer.retry_after)
        outcome = refused(answer, self.who)
        if isinstance(code, int) and not isinstance(code, bool):
            # Its words may quote the number.
            return Outcome(outcome.kind, error=f"Twilio {code}", retry_after=outcome.retry_after)
        return outcome


def status_url(merchant_id: str, message_id: str) -> str:
    """Where Twilio tells what became of a message."""
    return f"{settings.PUBLIC_URL}/provider-events/twilio/{merchant_id}/{message_id}"
