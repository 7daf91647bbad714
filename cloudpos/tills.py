"""Tills, acted out: a history of sales sent over HTTP as shops would send it, retried until each is answered.

Sales of one customer go out in the order of the history, by one till; customers are spread over `concurrency` tills.
Every sale carries its transactionId, so a till that got no answer sends it again without harm.
"""

import asyncio
import gzip
import json
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from cloudpos.tenancy.tokens import mint_access_token

ATTEMPTS_MAX = 30
TIMEOUT_SECONDS = 20
TOKEN_SECONDS = 600
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
FAILURES_KEPT_MAX = 20


@dataclass
class Summary:
    """What came back. Latencies in seconds, of answered requests; `failures` are the first few bad answers."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    retries: int = 0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """In milliseconds."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    @property
    def answered(self) -> int:
        return len(self.latencies)

    @property
    def accepted(self) -> int:
        """Sales that were new to the service."""
        return self.statuses[201]

    @property
    def repeated(self) -> int:
        """Sales that it knew already."""
        return self.statuses[200]

    @property
    def refused(self) -> int:
        return self.answered - self.accepted - self.repeated


def read_history(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a JSON-lines file (.gz or plain): bodies of `POST /purchases`, or of its returns (with `purchase`), each
    with `store` (a store's code) besides. Raises ValueError naming the first bad line."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                sale = json.loads(line)
                if not isinstance(sale, dict) or not sale["store"] or not sale["transactionId"]:
                    raise KeyError
            except (ValueError, KeyError):
                raise ValueError(
                    f"{path}, line {number}: expected a JSON object with store and transactionId"
                ) from None
            yield sale


def _customer_of(sale: Mapping[str, Any]) -> str:
    for name in ("customerId", "customerNumber", "email", "phone"):
        if sale.get(name):
            return str(sale[name])
    return str(sale.get("purchase") or sale["transactionId"])


class Tills:
    """Tills of one merchant, sending to `url` as the machine user `user_id`; `stores` maps a store's code to its id."""

    def __init__(
        self, *, url: str, user_id: uuid.UUID, stores: Mapping[str, uuid.UUID], concurrency: int
    ) -> None:
        self.base = f"{url.rstrip('/')}/api/v1"
        self.user_id = user_id
        self.stores = stores
        self.concurrency = concurrency
        self._token = ""
        self._token_until = 0.0

    def send(self, history: Iterable[Mapping[str, Any]], on_answer: Callable[[], None]) -> Summary:
        """Send all of it; `on_answer` is called after each answer, for a progress bar."""
        summary = Summary()
        queues: list[list[Mapping[str, Any]]] = [[] for _ in range(self.concurrency)]
        for sale in history:
            queues[zlib.crc32(_customer_of(sale).encode()) % self.concurrency].append(sale)
        started = time.perf_counter()
        asyncio.run(self._send_all(queues, summary, on_answer))
        summary.seconds = time.perf_counter() - started
        return summary

    async def _send_all(
        self, queues: list[list[Mapping[str, Any]]], summary: Summary, on_answer: Callable[[], None]
    ) -> None:
        limits = httpx.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False) as client:
            await asyncio.gather(*(self._one_till(client, queue, summary, on_answer) for queue in queues))

    async def _one_till(
        self,
        client: httpx.AsyncClient,
        queue: list[Mapping[str, Any]],
        summary: Summary,
        on_answer: Callable[[], None],
    ) -> None:
        for sale in queue:
            await self._deliver(client, sale, summary)
            on_answer()

    async def _deliver(self, client: httpx.AsyncClient, sale: Mapping[str, Any], summary: Summary) -> None:
        body = {key: value for key, value in sale.items() if key not in ("store", "purchase")}
        path = "/purchases"
        if "purchase" in sale:
            path = f"/purchases/{sale['purchase']}/returns"
            body = {
                k: v for k, v in body.items() if k not in ("customerId", "customerNumber", "email", "phone")
            }
        content = orjson.dumps(body, default=str)
        store_id = self.stores[sale["store"]]
        for attempt in range(ATTEMPTS_MAX):
            started = time.perf_counter()
            try:
                response = await client.post(
                    self.base + path, content=content, headers=self._headers(store_id)
                )
            except httpx.TransportError as exc:
                summary.retries += 1
                error = type(exc).__name__
                await asyncio.sleep(min(2.0, 0.1 * 2**attempt))
                continue
            if response.status_code in RETRIED_STATUSES:
                summary.retries += 1
                error = str(response.status_code)
                await asyncio.sleep(float(response.headers.get("Retry-After", 1)))
                continue
            summary.latencies.append(time.perf_counter() - started)
            summary.statuses[response.status_code] += 1
            if response.status_code not in (200, 201) and len(summary.failures) < FAILURES_KEPT_MAX:
                answer = response.json()
                summary.failures.append(
                    f"{sale['transactionId']}: {response.status_code} {answer.get('code')}: {answer.get('message')} "
                    f"{answer.get('errors') or ''}"
                )
            return
        summary.statuses[0] += 1
        summary.latencies.append(0.0)
        if len(summary.failures) < FAILURES_KEPT_MAX:
            summary.failures.append(
                f"{sale['transactionId']}: no answer after {ATTEMPTS_MAX} attempts ({error})"
            )

    def _headers(self, store_id: uuid.UUID) -> dict[str, str]:
        if time.monotonic() > self._token_until:
            self._token = mint_access_token(user_id=self.user_id)
            self._token_until = time.monotonic() + TOKEN_SECONDS
        return {
            "Authorization": f"Bearer {self._token}",
            "x-store-id": str(store_id),
            "Content-Type": "application/json",
        }
