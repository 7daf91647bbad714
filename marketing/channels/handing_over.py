"""Messages handed to another system of the merchant's, such as a letter shop: a signed POST as webhooks are.

Its receiver knows a repetition by `webhook-id` (Standard Webhooks), so what may have arrived is sent again, not left unknown.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from marketing.channels.outgoing import NOT_BEGUN, Outcome, Outgoing, is_over
from marketing.webhooks import sending, signing

EVENT = "campaign.message"
AT_ONCE_MAX = 20
_GONE_FOR_NOW = frozenset({408, 425, 429})


class WebhookSender:
    def __init__(self, *, url: str, secret: str) -> None:
        self._url, self._secret = url, secret
        self._runner: asyncio.Runner | None = None

    def open(self) -> None:
        self._runner = asyncio.Runner()

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
        self._runner = None

    def send(self, messages: Sequence[Outgoing], *, until: float | None = None) -> list[Outcome]:
        assert self._runner is not None, "open() comes first"
        return self._runner.run(self._all(messages, until))

    async def _all(self, messages: Sequence[Outgoing], until: float | None) -> list[Outcome]:
        places = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(message: Outgoing) -> Outcome:
            async with places:
                return NOT_BEGUN if is_over(until) else await self._one(message)

        return list(await asyncio.gather(*map(one, messages)))

    async def _one(self, message: Outgoing) -> Outcome:
        body = orjson.dumps(
            {
                "type": EVENT,
                "timestamp": datetime.now(UTC),
                "messageId": message.message_id,
                "customerId": message.customer_id,
                "isTest": message.is_test,
                "data": orjson.Fragment(message.rendered.body),
            }
        )
        name, timestamp = f"msg_{message.message_id.hex}", int(time.time())
        signature = signing.sign(secrets=[self._secret], message_id=name, timestamp=timestamp, body=body)
        answer = await sending.post(
            url=self._url,
            body=body,
            headers={
                "webhook-id": name,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature,
            },
        )
        if answer.succeeded:
            return Outcome("sent", provider_id=name)
        status = answer.status
        if status is None or status >= 500 or status in _GONE_FOR_NOW:
            return Outcome("retry", error=answer.error, retry_after=answer.retry_after)
        return Outcome("refused", error=answer.error)
