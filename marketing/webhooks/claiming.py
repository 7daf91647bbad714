"""Taking due deliveries: leased one by one, a few for each endpoint, oldest first.

The limits hold for all processes together: claims follow each other, and what is in flight is counted in the rows.
See docs/adr/0027-webhook-deliveries.md.
"""

from django.db import connection, transaction

from marketing.webhooks.flights import Claimed

# A sender that died gives its deliveries up after this long; must exceed what an attempt takes. Doubled with each sender
# that died: a delivery that ends its sender again and again must not keep the others from being sent.
LEASE_SECONDS = 30
LEASE_DOUBLINGS_MAX = 7
IN_FLIGHT_PER_WEBHOOK_MAX = 4
IN_FLIGHT_MAX = 64
# An endpoint that failed so often in a row gets one place, and all of its kind together get a quarter: however many
# endpoints hang, the others have places.
FAILURES_IN_ROW_MAX = 4
IN_FLIGHT_PER_FAILING_MAX = 1
IN_FLIGHT_FAILING_MAX = 16
# What waited for an endpoint that was away reaches it at no more than ten a second.
DRAIN_SECONDS = 0.1

CLAIM_LOCK_KEY = 3_002_003

# `endpoint` is a loose index scan: one probe per endpoint with something open, however much that is.
_CLAIM = """
WITH RECURSIVE endpoint AS (
    (SELECT merchant_id, webhook_id FROM webhook_deliveries WHERE state IN ('pending', 'sending')
     ORDER BY merchant_id, webhook_id LIMIT 1)
    UNION ALL
    SELECT following.merchant_id, following.webhook_id
    FROM endpoint CROSS JOIN LATERAL (
        SELECT delivery.merchant_id, delivery.webhook_id FROM webhook_deliveries delivery
        WHERE delivery.state IN ('pending', 'sending')
          AND (delivery.merchant_id, delivery.webhook_id) > (endpoint.merchant_id, endpoint.webhook_id)
        ORDER BY delivery.merchant_id, delivery.webhook_id LIMIT 1
    ) AS following
),
flying AS MATERIALIZED (
    SELECT merchant_id, webhook_id, count(*) AS deliveries FROM webhook_deliveries
    WHERE state = 'sending' AND next_attempt_at > statement_timestamp()
    GROUP BY merchant_id, webhook_id
),
listening AS MATERIALIZED (
    SELECT webhook.merchant_id, webhook.id, webhook.url, webhook.recovering_since,
        ARRAY[webhook.secret_encrypted]
            || CASE WHEN webhook.previous_secret_until > statement_timestamp()
               THEN ARRAY[webhook.previous_secret_encrypted] ELSE '{}' END AS secrets,
        webhook.failures_in_row >= %(failures)s AS failing,
        coalesce(flying.deliveries, 0) AS flying,
        least(
            CASE WHEN webhook.failures_in_row >= %(failures)s THEN %(per_failing)s ELSE %(per_webhook)s END
                - coalesce(flying.deliveries, 0),
            CASE WHEN webhook.next_drain_at IS NULL THEN %(per_webhook)s
                 WHEN webhook.id = ANY(%(drained)s::uuid[]) THEN 1 ELSE 0 END
        ) AS places
    FROM endpoint
    JOIN customer_webhooks webhook
        ON webhook.merchant_id = endpoint.merchant_id AND webhook.id = endpoint.webhook_id
    LEFT JOIN flying
        ON flying.merchant_id = endpoint.merchant_id AND flying.webhook_id = endpoint.webhook_id
    WHERE webhook.is_enabled
),
next AS (
    SELECT listening.*, delivery.id AS delivery_id, delivery.next_attempt_at, delivery.created_at,
        row_number() OVER (PARTITION BY listening.failing ORDER BY delivery.next_attempt_at) AS turn
    FROM listening CROSS JOIN LATERAL (
        SELECT id, next_attempt_at, created_at FROM webhook_deliveries
        WHERE merchant_id = listening.merchant_id AND webhook_id = listening.id
          AND state IN ('pending', 'sending') AND next_attempt_at <= statement_timestamp()
        ORDER BY next_attempt_at LIMIT greatest(0, listening.places)
    ) AS delivery
),
due AS (
    SELECT next.* FROM next
    WHERE NOT failing
       OR turn <= %(failing_in_all)s - (SELECT coalesce(sum(flying), 0) FROM listening WHERE failing)
    ORDER BY next_attempt_at
    LIMIT greatest(0, least(%(places)s, %(in_all)s - (SELECT coalesce(sum(deliveries), 0) FROM flying)))
),
-- Who writes one of them right now has it: switched off, or its customer erased.
taken AS (
    SELECT merchant_id, id FROM webhook_deliveries
    WHERE (merchant_id, id) IN (SELECT merchant_id, delivery_id FROM due)
      AND state IN ('pending', 'sending') AND next_attempt_at <= statement_timestamp()
    FOR NO KEY UPDATE SKIP LOCKED
),
-- A lease that ran out: its sender died. That is an attempt too, of which nobody knows the end.
interrupted AS (
    INSERT INTO webhook_attempts
        (id, merchant_id, delivery_id, webhook_id, number, started_at, duration_ms, response_body, error)
    SELECT gen_random_uuid(), merchant_id, id, webhook_id, attempts, sent_at, 0, '', 'the sender ended in the middle'
    FROM webhook_deliveries
    WHERE state = 'sending' AND (merchant_id, id) IN (SELECT merchant_id, id FROM taken)
    ON CONFLICT DO NOTHING
)
UPDATE webhook_deliveries
SET state = 'sending', attempts = attempts + 1, sent_at = statement_timestamp(),
    interruptions = interruptions + CASE WHEN state = 'sending' THEN 1 ELSE 0 END,
    next_attempt_at = statement_timestamp() + interval '1 second' * %(lease)s
        * 2 ^ least(%(doublings)s, interruptions + CASE WHEN state = 'sending' THEN 1 ELSE 0 END)
FROM due JOIN taken ON taken.merchant_id = due.merchant_id AND taken.id = due.delivery_id
WHERE webhook_deliveries.merchant_id = taken.merchant_id AND webhook_deliveries.id = taken.id
RETURNING webhook_deliveries.merchant_id, webhook_deliveries.id, webhook_deliveries.webhook_id,
    webhook_deliveries.event_id, webhook_deliveries.attempts, webhook_deliveries.step, due.url, due.secrets,
    webhook_deliveries.body
"""

# An endpoint that came back: what is due since before then goes one by one. When that is done, it is like any other.
_DRAIN = """
WITH ready AS (
    SELECT webhook.merchant_id, webhook.id, oldest.created_at < webhook.recovering_since AS waited
    FROM customer_webhooks webhook CROSS JOIN LATERAL (
        SELECT created_at FROM webhook_deliveries
        WHERE merchant_id = webhook.merchant_id AND webhook_id = webhook.id
          AND state IN ('pending', 'sending') AND next_attempt_at <= statement_timestamp()
        ORDER BY next_attempt_at LIMIT 1
    ) AS oldest
    WHERE webhook.next_drain_at <= statement_timestamp() AND webhook.is_enabled
)
UPDATE customer_webhooks
SET recovering_since = CASE WHEN ready.waited THEN recovering_since END,
    next_drain_at = CASE WHEN ready.waited THEN statement_timestamp() + %s * interval '1 second' END
FROM ready WHERE customer_webhooks.merchant_id = ready.merchant_id AND customer_webhooks.id = ready.id
RETURNING customer_webhooks.id
"""

_WAITS_FOR_DRAIN = """
SELECT EXISTS (
    SELECT 1 FROM customer_webhooks webhook
    WHERE webhook.next_drain_at IS NOT NULL AND webhook.is_enabled AND EXISTS (
        SELECT 1 FROM webhook_deliveries delivery
        WHERE delivery.merchant_id = webhook.merchant_id AND delivery.webhook_id = webhook.id
          AND delivery.state IN ('pending', 'sending') AND delivery.next_attempt_at <= statement_timestamp()
    )
)
"""


def claim(*, places: int) -> list[Claimed]:
    """Take up to `places` due deliveries for LEASE_SECONDS. Raises OperationalError when the database is away."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIM_LOCK_KEY])
        cursor.execute(_DRAIN, [DRAIN_SECONDS])
        drained = [webhook_id for (webhook_id,) in cursor.fetchall()]
        cursor.execute(
            _CLAIM,
            {
                "places": places,
                "drained": drained,
                "per_webhook": IN_FLIGHT_PER_WEBHOOK_MAX,
                "per_failing": IN_FLIGHT_PER_FAILING_MAX,
                "failures": FAILURES_IN_ROW_MAX,
                "failing_in_all": IN_FLIGHT_FAILING_MAX,
                "in_all": IN_FLIGHT_MAX,
                "lease": LEASE_SECONDS,
                "doublings": LEASE_DOUBLINGS_MAX,
            },
        )
        return [Claimed(*row) for row in cursor.fetchall()]


def waits_for_drain() -> bool:
    """Whether something is due at an endpoint that is being drained, and is only held back by that."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITS_FOR_DRAIN)
        (waits,) = cursor.fetchone()
        return bool(waits)
