"""How endpoints have been doing: worked out from the log of attempts, for one endpoint or for a page of them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connection

from marketing.models import Webhook

HOURS = 24
# Counting ends here: a page is no reason to read a backlog of a million.
WAITING_COUNTED_MAX = 10_000
ATTEMPTS_COUNTED_MAX = 100_000


class HealthState(StrEnum):
    NEW = "new"
    HEALTHY = "healthy"
    FAILING = "failing"
    RECOVERING = "recovering"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Failure:
    at: datetime
    status: int | None
    error: str


@dataclass(frozen=True)
class Health:
    """`attempts` and `succeeded` of the last 24 hours; `waiting` deliveries now."""

    state: HealthState
    attempts: int
    succeeded: int
    waiting: int
    last_failure: Failure | None

    @property
    def success_rate(self) -> float | None:
        """From 0 to 1; None: nothing was sent."""
        return self.succeeded / self.attempts if self.attempts else None

    def rendered(self) -> dict[str, Any]:
        failure = self.last_failure
        return {
            "state": self.state.value,
            "attempts": self.attempts,
            "succeeded": self.succeeded,
            "successRate": None if self.success_rate is None else round(self.success_rate, 4),
            "waiting": self.waiting,
            "lastFailure": failure and {"at": failure.at, "status": failure.status, "error": failure.error},
        }


_HEALTH = """
SELECT endpoint.id, recent.attempts, recent.succeeded, open.waiting, failure.started_at, failure.response_status, failure.error
FROM unnest(%(ids)s::uuid[]) AS endpoint (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS attempts, count(*) FILTER (WHERE response_status BETWEEN 200 AND 299) AS succeeded
    FROM (
        SELECT response_status FROM webhook_attempts
        WHERE merchant_id = %(merchant)s AND webhook_id = endpoint.id
          AND started_at > statement_timestamp() - %(hours)s * interval '1 hour'
        ORDER BY started_at DESC LIMIT %(attempts_max)s
    ) AS attempt
) AS recent
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting FROM (
        SELECT 1 FROM webhook_deliveries
        WHERE merchant_id = %(merchant)s AND webhook_id = endpoint.id AND state IN ('pending', 'sending')
        LIMIT %(waiting_max)s
    ) AS delivery
) AS open
LEFT JOIN LATERAL (
    SELECT started_at, response_status, error FROM webhook_attempts
    WHERE merchant_id = %(merchant)s AND webhook_id = endpoint.id AND error <> ''
    ORDER BY started_at DESC LIMIT 1
) AS failure ON true
"""


def health_of(webhooks: Sequence[Webhook]) -> dict[uuid.UUID, Health]:
    """The health of endpoints of one merchant, by their id. One query."""
    if not webhooks:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _HEALTH,
            {
                "ids": [webhook.pk for webhook in webhooks],
                "merchant": webhooks[0].merchant_id,
                "hours": HOURS,
                "attempts_max": ATTEMPTS_COUNTED_MAX,
                "waiting_max": WAITING_COUNTED_MAX,
            },
        )
        rows = {row[0]: row[1:] for row in cursor.fetchall()}
    return {webhook.pk: _health(webhook, *rows[webhook.pk]) for webhook in webhooks}


def _health(
    webhook: Webhook,
    attempts: int,
    succeeded: int,
    waiting: int,
    failed_at: datetime | None,
    status: int | None,
    error: str | None,
) -> Health:
    failure = Failure(failed_at, status, error or "") if failed_at else None
    if not webhook.is_enabled:
        state = HealthState.DISABLED
    elif webhook.failing_since is not None:
        state = HealthState.FAILING
    elif webhook.recovering_since is not None and waiting:
        state = HealthState.RECOVERING
    else:
        state = HealthState.HEALTHY if attempts or failure else HealthState.NEW
    return Health(state, attempts, succeeded, waiting, failure)
