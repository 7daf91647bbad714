"""Telling customers' systems that points will soon be over: an event for each customer, and each instant and reason of an end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.statements import Statement
from customers.events import add_events_from
from loyalty.models import Program
from loyalty.services.expiry import key_prefix

EXPIRING_SOON = "points.expiring_soon"
# So many (account, instant) are looked at for a transaction.
CHUNK = 5_000

# Each along an index of what ends first. Points that last while their owner is active end with the account's time of inactivity.
_BY_TIME = f"""
SELECT enrollment_id, expires_at AS ends_at, sum(remaining) AS points FROM loyalty_lots
WHERE merchant_id = %s AND remaining > 0 AND expires_at > %s AND expires_at <= %s AND (expires_at, enrollment_id) > (%s, %s)
GROUP BY expires_at, enrollment_id ORDER BY expires_at, enrollment_id LIMIT {CHUNK}
"""  # noqa: S608
_BY_INACTIVITY = f"""
SELECT e.id AS enrollment_id, e.inactive_at AS ends_at, (
    SELECT sum(l.remaining) FROM loyalty_lots l
    WHERE l.merchant_id = e.merchant_id AND l.enrollment_id = e.id AND l.remaining > 0 AND l.while_active
) AS points
FROM loyalty_enrollments e
WHERE e.merchant_id = %s AND e.inactive_at > %s AND e.inactive_at <= %s AND (e.inactive_at, e.id) > (%s, %s)
ORDER BY e.inactive_at, e.id LIMIT {CHUNK}
"""  # noqa: S608
# Why points end, as the program's `expiry` has it; how such are found; and what tells their events from others of the instant.
_REASONS = (
    (Program.Expiry.AFTER_EARNING, _BY_TIME, ""),
    (Program.Expiry.AFTER_INACTIVITY, _BY_INACTIVITY, "/inactivity"),
)
# Sorted: two copies with the same events wait for each other, never for ever.
_EVENTS = """
SELECT (%s || substr(gen_random_uuid()::text, 16))::uuid AS id, e.customer_id, %s::timestamptz AS occurred_at,
    'expiring_soon/' || e.id || '/' || to_char(soon.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || %s
        AS external_id,
    jsonb_build_object('points', soon.points, 'reason', %s::text, 'expiresAt',
        to_char(soon.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS data
FROM soon
JOIN loyalty_enrollments e ON e.merchant_id = %s AND e.id = soon.enrollment_id
JOIN loyalty_programs p ON p.merchant_id = e.merchant_id AND p.id = e.program_id AND p.is_active
JOIN customers c ON c.merchant_id = e.merchant_id AND c.id = e.customer_id AND c.deleted_at IS NULL
WHERE soon.points > 0 ORDER BY soon.ends_at, soon.enrollment_id
"""
_ANSWER = """
SELECT (SELECT count(*) FROM happened_events), count(*), max(ends_at),
    (SELECT enrollment_id FROM soon ORDER BY ends_at DESC, enrollment_id DESC LIMIT 1) FROM soon
"""


def merchants_at_midnight(*, at: datetime) -> list[uuid.UUID]:
    """Merchants whose clocks show the first hour of a day: each once a day when asked every hour."""
    return [
        merchant_id
        for merchant_id, zone in Merchant.objects.order_by("pk").values_list("pk", "timezone")
        if at.astimezone(ZoneInfo(zone)).hour == 0
    ]


def announce_expiring(
    *, merchant_id: uuid.UUID, at: datetime, progress: Callable[[int], None] | None = None
) -> int:
    """Emit `points.expiring_soon` for what will be over within settings.POINTS_EXPIRING_SOON_DAYS. Returns how many.

    Each (account, instant, reason) is told once, whoever asks and how often; any number may run at once and be killed. What is
    missed today, or comes to be later, is told the next time. Who was told that their points end by inactivity, and is active
    after that, is told again before the new instant. `progress` gets the number looked at in each transaction.
    """
    days = settings.POINTS_EXPIRING_SOON_DAYS
    if not days:
        return 0
    return sum(
        _announce(merchant_id, at, at + timedelta(days=days), *reason, progress=progress)
        for reason in _REASONS
    )


def _announce(
    merchant_id: uuid.UUID,
    at: datetime,
    until: datetime,
    reason: str,
    soon: str,
    mark: str,
    *,
    progress: Callable[[int], None] | None,
) -> int:
    told = 0
    place = (at, uuid.UUID(int=0))
    while True:
        with transaction.atomic():
            statement = Statement()
            statement.add("soon", soon, [merchant_id, at, until, *place])
            statement.add("happened", _EVENTS, [key_prefix(at), at, mark, str(reason), merchant_id])
            add_events_from(
                statement, "happened", merchant_id=merchant_id, type=EXPIRING_SOON, at=at, once=True
            )
            new, looked_at, last_at, last_id = statement.execute(_ANSWER)
        told += new
        if progress is not None:
            progress(looked_at)
        if looked_at < CHUNK:
            return told
        place = (last_at, last_id)
