"""One HTTP request to a provider's API for each message of a group, all at the same time: bounded in time and bytes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from marketing.channels.outgoing import NOT_BEGUN, Outcome, Outgoing, by_status, is_over
from marketing.webhooks.schedule import read_retry_after

CONNECT_SECONDS_MAX = 5.0
TOTAL_SECONDS_MAX = 15.0
RESPONSE_BYTES_MAX = 20_000
AT_ONCE_MAX = 20
USER_AGENT = "CloudPOS-Messages/1.0"
# What was never sent for lack of a connection.
_NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)


class _TooLate(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Request:
    url: str
    content: bytes
    content_type: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """`body`: the JSON object of it, {} where it is none."""

    status: int
    body: dict[str, Any]
    retry_after: float | None


class HttpSender:
    """A provider's API. A subclass says what is asked and what the answer means."""

    who = "the provider"

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._client: httpx.AsyncClient | None = None

    def request(self, message: Outgoing) -> Request:
        raise NotImplementedError

    def outcome(self, answer: Answer) -> Outcome:
        raise NotImplementedError

    def open(self) -> None:
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(TOTAL_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            limits=httpx.Limits(max_connections=AT_ONCE_MAX, max_keepalive_connections=AT_ONCE_MAX),
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": USER_AGENT},
        )

    def close(self) -> None:
        if self._runner is not None:
            if self._client is not None:
                self._runner.run(self._client.aclose())
            self._runner.close()
        self._runner = self._client = None

    def send(self, messages: Sequence[Outgoing], *, until: float | None = None) -> list[Outcome]:
        assert self._runner is not None, "open() comes first"
        return self._runner.run(self._all(messages, until))

    async def _all(self, messages: Sequence[Outgoing], until: float | None) -> list[Outcome]:
        places = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(message: Outgoing) -> Outcome:
            async with places:
                return await self._one(message, until)

        return list(await asyncio.gather(*map(one, messages)))

    async def _one(self, message: Outgoing, until: float | None) -> Outcome:
        try:
            # Of the whole: a server that sends a byte a second keeps httpx's own limits happy.
            async with asyncio.timeout(TOTAL_SECONDS_MAX):
                answer = await self._ask(self.request(message), until)
        except _TooLate:
            return NOT_BEGUN
        except _NEVER_LEFT as error:
            return Outcome("retry", error=f"{self.who} cannot be reached ({type(error).__name__})")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, ValueError) as error:
            return Outcome("unknown", error=f"{self.who} gave no answer ({type(error).__name__})")
        if 300 <= answer.status < 400:
            return Outcome("refused", error=f"{self.who} answered {answer.status}")
        return self.outcome(answer)

    async def _ask(self, request: Request, until: float | None) -> Answer:
        assert self._client is not None
        headers = {**request.headers, "Content-Type": request.content_type}

        async def watch(step: str, _: Any) -> None:
            # There is a connection, for which one may have waited long, and nothing was said over it yet.
            if step.endswith(".send_request_headers.started") and is_over(until):
                raise _TooLate

        async with self._client.stream(
            "POST", request.url, content=request.content, headers=headers, extensions={"trace": watch}
        ) as response:
            body = b""
            try:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > RESPONSE_BYTES_MAX:
                        break
            except httpx.HTTPError:
                # A status that was given counts, however the rest of the answer ends.
                body = b""
            said = response.headers.get("retry-after")
            retry_after = read_retry_after(said, at=datetime.now(UTC)) if said else None
            return Answer(response.status_code, _object(body), retry_after)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body[:RESPONSE_BYTES_MAX])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def refused(answer: Answer, who: str) -> Outcome:
    return by_status(answer.status, who, retry_after=answer.retry_after)
