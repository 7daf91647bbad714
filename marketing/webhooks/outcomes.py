"""What came of attempts: written down, tried again by the schedule, and what it says of the endpoint.

Endpoints are written before deliveries, as everywhere: nobody waits for each other in a circle.
"""

import random
import uuid
from collections.abc import Sequence

from django.db import connection, transaction

from cloudpos.celery import enqueue
from cloudpos.ids import new_id
from marketing.models import Webhook, WebhookDelivery
from marketing.webhooks.claiming import FAILURES_IN_ROW_MAX
from marketing.webhooks.flights import Landed
from marketing.webhooks.schedule import pause_seconds

GONE = 410
FAILING_DAYS_MAX = 5
# The longest pause of the schedule and some: an endpoint that is rarely written to did not fail all the time in between.
SILENCE_HOURS_MAX = 36

TELL_TASK = "marketing.tasks.tell_owners_of_disabled_webhooks"

State = WebhookDelivery.State
Reason = Webhook.DisabledReason

_SUCCEEDED = """
UPDATE customer_webhooks SET failures_in_row = 0, failing_since = NULL,
    recovering_since = CASE WHEN failures_in_row >= %s THEN statement_timestamp() ELSE recovering_since END,
    next_drain_at = CASE WHEN failures_in_row >= %s THEN statement_timestamp() ELSE next_drain_at END
WHERE merchant_id = ANY(%s) AND id = ANY(%s) AND failures_in_row > 0
"""

_FAILED = """
UPDATE customer_webhooks SET failures_in_row = failures_in_row + failed.attempts,
    failing_since = CASE WHEN last_failure_at > statement_timestamp() - %s * interval '1 hour'
                    THEN coalesce(failing_since, statement_timestamp()) ELSE statement_timestamp() END,
    last_failure_at = statement_timestamp()
FROM unnest(%s::uuid[], %s::uuid[], %s::int[]) AS failed (merchant_id, id, attempts)
WHERE customer_webhooks.merchant_id = failed.merchant_id AND customer_webhooks.id = failed.id
"""

_DISABLE = """
UPDATE customer_webhooks SET is_enabled = false, disabled_at = statement_timestamp(),
    disabled_reason = CASE WHEN id = ANY(%(gone)s) THEN 'gone' ELSE 'failing' END, owners_told_at = NULL
WHERE merchant_id = ANY(%(merchants)s) AND id = ANY(%(failed)s) AND is_enabled
  AND (id = ANY(%(gone)s) OR failing_since <= statement_timestamp() - %(days)s * interval '1 day')
"""

# The claim's number of attempts is the fence: who lost the lease writes nothing.
_NOTE = """
WITH landed AS (
    SELECT * FROM unnest(
        %(merchants)s::uuid[], %(ids)s::uuid[], %(attempts)s::int[], %(states)s::text[], %(pauses)s::float[],
        %(statuses)s::int[], %(bodies)s::text[], %(errors)s::text[], %(durations)s::int[],
        %(starts)s::timestamptz[], %(log_ids)s::uuid[]
    ) AS landed (merchant_id, id, attempts, state, pause, status, body, error, duration, started_at, log_id)
),
noted AS (
    UPDATE webhook_deliveries delivery
    SET state = landed.state, step = step + 1, interruptions = 0, sent_at = landed.started_at,
        next_attempt_at = statement_timestamp() + landed.pause * interval '1 second',
        response_status = landed.status, response_body = landed.body, error = landed.error,
        duration_ms = landed.duration
    FROM landed
    WHERE delivery.merchant_id = landed.merchant_id AND delivery.id = landed.id
      AND delivery.state = 'sending' AND delivery.attempts = landed.attempts
    RETURNING delivery.webhook_id, landed.*
)
INSERT INTO webhook_attempts (id, merchant_id, delivery_id, webhook_id, number, started_at, duration_ms,
    response_status, response_body, error)
SELECT log_id, merchant_id, id, webhook_id, attempts, started_at, duration, status, body, error FROM noted
"""


def note(landed: Sequence[Landed]) -> int:
    """Write outcomes down, each unless its lease ran out. Returns how many were delivered."""
    if not landed:
        return 0
    with transaction.atomic():
        _judge_endpoints(landed)
        _write(landed)
    return sum(each.outcome.succeeded for each in landed)


def _judge_endpoints(landed: Sequence[Landed]) -> None:
    good = {each.delivery.webhook_id for each in landed if each.outcome.succeeded}
    bad: dict[tuple[uuid.UUID, uuid.UUID], int] = {}
    for each in landed:
        if not each.outcome.succeeded:
            key = (each.delivery.merchant_id, each.delivery.webhook_id)
            bad[key] = bad.get(key, 0) + 1
    merchants = list({each.delivery.merchant_id for each in landed})
    with connection.cursor() as cursor:
        if good:
            limit = FAILURES_IN_ROW_MAX
            cursor.execute(_SUCCEEDED, [limit, limit, merchants, sorted(good)])
        # Of a batch with both nobody knows which came last: it answers, so it is not failing.
        failed = sorted(key for key in bad if key[1] not in good)
        if not failed:
            return
        merchant_ids, webhook_ids = [key[0] for key in failed], [key[1] for key in failed]
        cursor.execute(_FAILED, [SILENCE_HOURS_MAX, merchant_ids, webhook_ids, [bad[key] for key in failed]])
        gone = [each.delivery.webhook_id for each in landed if each.outcome.status == GONE]
        cursor.execute(
            _DISABLE,
            {"gone": gone, "merchants": merchant_ids, "failed": webhook_ids, "days": FAILING_DAYS_MAX},
        )
        if cursor.rowcount:
            transaction.on_commit(lambda: enqueue(TELL_TASK), robust=True)


def _write(landed: Sequence[Landed]) -> None:
    states, pauses = [], []
    for each in landed:
        pause = None
        if not each.outcome.succeeded:
            pause = pause_seconds(
                step=each.delivery.step + 1, retry_after=each.outcome.retry_after, dice=random.random
            )
        pauses.append(pause)
        if each.outcome.succeeded:
            states.append(State.DELIVERED.value)
        else:
            states.append(State.FAILED.value if pause is None else State.PENDING.value)
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "merchants": [each.delivery.merchant_id for each in landed],
                "ids": [each.delivery.id for each in landed],
                "attempts": [each.delivery.attempts for each in landed],
                "states": states,
                "pauses": pauses,
                "statuses": [each.outcome.status for each in landed],
                "bodies": [each.outcome.body for each in landed],
                "errors": [each.outcome.error for each in landed],
                "durations": [each.outcome.duration_ms for each in landed],
                "starts": [each.started_at for each in landed],
                "log_ids": [new_id() for _ in landed],
            },
        )
