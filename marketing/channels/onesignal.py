"""Push messages by OneSignal's API (https://documentation.onesignal.com/reference/push-notification).

The merchant's app names its user by our customer id (OneSignal.login): nothing of the customer is given away.
"""

from typing import Any

import orjson
from django.conf import settings

from marketing.channels.http import Answer, HttpSender, Request, refused
from marketing.channels.outgoing import Outcome, Outgoing


class OneSignalSender(HttpSender):
    who = "OneSignal"

    def __init__(self, *, app_id: str, key: str) -> None:
        super().__init__()
        self._app_id, self._authorization = app_id, f"Key {key}"

    def request(self, message: Outgoing) -> Request:
        said: dict[str, Any] = {
            "app_id": self._app_id,
            "target_channel": "push",
            "include_aliases": {"external_id": [str(message.customer_id)]},
            "headings": {"en": message.rendered.title},
            "contents": {"en": message.rendered.body},
            # Asked twice, it sends once.
            "idempotency_key": str(message.message_id),
        }
        if message.rendered.link:
            said["url"] = message.rendered.link
        return Request(
            f"{settings.ONESIGNAL_URL}/notifications",
            orjson.dumps(said),
            "application/json",
            {"Authorization": self._authorization},
        )

    def outcome(self, answer: Answer) -> Outcome:
        if not 200 <= answer.status < 300:
            return refused(answer, self.who)
        provider_id = answer.body.get("id")
        if answer.body.get("errors") and not provider_id:
            return Outcome("refused", error="OneSignal knows no device of this customer")
        return Outcome("sent", provider_id=str(provider_id or "")[:200])
