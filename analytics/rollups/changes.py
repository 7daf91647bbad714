"""Which days are not, or no longer, in the sums.

Whatever changes a day tells so by an event in the same transaction. Until the event is relayed it is found in the log;
the relay writes the day down in the transaction that marks the event as relayed. So at every instant each change is in the
sums, written down, or pending in the log, and one statement sees all three: no clock, and no order of commits.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from django.utils.timezone import now

from analytics.periods import Period, ranges_of, united
from analytics.rollups.database import rows, run
from customers.events import EventRef

# Events that change the sums of a day: of the two first kinds by the millions.
SALES = ("purchase.recorded", "purchase.returned")
POINTS = ("points.earned", "points.bonus", "points.redeemed", "points.expired")
PEOPLE = ("customer.merged", "customer.unmerged")
CHANGING = frozenset({*SALES, *POINTS, *PEOPLE})


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the purchases of a merchant are summed up, as of one instant.

    `changed` are the days whose sums do not hold; None when none do, because nothing was ever summed up or because a store's
    days begin at another hour now. `since` is when the earliest of the changes was recorded. The sums are ready once
    everything has been in them. Of two standings that are `mark`ed alike, nothing has changed from one to the other.
    """

    zones: dict[str, str]
    mark: str
    is_ready: bool = False
    members: int = 0
    changed: list[Period] | None = None
    since: datetime | None = None

    @property
    def is_summed_up(self) -> bool:
        """Whether there are any sums that hold."""
        return self.changed is not None


def standing(merchant_id: uuid.UUID) -> Standing:
    """One statement."""
    ((answer,),) = rows(_STANDING, {"merchant": merchant_id, "types": sorted(CHANGING)})
    found = orjson.loads(answer)
    zones = found["zones"]
    summed_up = found["rollup"]
    changes = found["changes"]
    since = [datetime.fromisoformat(change["since"]) for change in changes if change["since"]]
    if summed_up is None or any(zones.get(store, zone) != zone for store, zone in summed_up["zones"].items()):
        return Standing(zones, _mark(found))
    ranges = [
        Period(date.fromisoformat(change["first"]), date.fromisoformat(change["last"])) for change in changes
    ]
    return Standing(
        zones,
        _mark(found),
        is_ready=summed_up["is_ready"],
        members=summed_up["members"],
        changed=united(ranges),
        since=min(since, default=None),
    )


def _mark(found: dict[str, Any]) -> str:
    rollup = found["rollup"]
    return repr(
        (rollup and rollup["revision"], sorted(found["zones"].items()), found["written"], found["pending"])
    )


def note_changes(events: Sequence[EventRef]) -> int:
    """Write down the days that these events change, in the relay's transaction. Returns how many rows were written.

    A day may be written down any number of times.
    """
    by_merchant: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    for event in events:
        if event.type in CHANGING:
            by_merchant[event.merchant_id].append(event.id)
    return sum(
        note_changes_of(merchant_id=merchant_id, event_ids=ids) for merchant_id, ids in by_merchant.items()
    )


def note_changes_of(*, merchant_id: uuid.UUID, event_ids: Sequence[uuid.UUID]) -> int:
    """The same for one merchant's events of any types."""
    return run(_NOTE, {"merchant": merchant_id, "events": list(event_ids)})


def note_history(
    *,
    merchant_id: uuid.UUID,
    zones: dict[uuid.UUID, ZoneInfo],
    happened: Iterable[tuple[str, uuid.UUID, datetime]],
) -> int:
    """The same for what is written as history, whose events nobody relays: (type, store, instant) of each, in the caller's
    transaction.
    """
    days = {
        occurred_at.astimezone(zones[store_id]).date()
        for type, store_id, occurred_at in happened
        if type in CHANGING
    }
    return note_days(merchant_id=merchant_id, ranges=ranges_of(days))


def everything(merchant_id: uuid.UUID) -> list[Period]:
    """The days from the first to the last on which anything happened, with one more at each end for all zones of the world."""
    ((first, last),) = rows(_EXTENT, {"merchant": merchant_id})
    return [Period(first, last)] if first is not None else []


def note_days(*, merchant_id: uuid.UUID, ranges: Sequence[Period]) -> int:
    """Have these days summed up anew."""
    if not ranges:
        return 0
    return run(
        "INSERT INTO analytics_changed_days (merchant_id, first, last, changed_at)"
        " SELECT %(merchant)s, first, last, %(at)s"
        " FROM unnest(%(firsts)s::date[], %(lasts)s::date[]) AS changed (first, last)",
        {
            "merchant": merchant_id,
            "at": now(),
            "firsts": [days.first for days in ranges],
            "lasts": [days.last for days in ranges],
        },
    )


# Of `event`s of one merchant: the days that they change, each with when it was recorded. A return changes its own day and,
# since it may undo the purchase, those of the purchase and of its other returns; a merge moves purchases from one customer to
# another.
_CHANGED = """
happened AS (
    SELECT store_id, occurred_at, recorded_at FROM event
    WHERE type IN ('purchase.recorded', 'purchase.returned')
    UNION ALL
    SELECT purchase.store_id, purchase.occurred_at, event.recorded_at
    FROM event JOIN purchases purchase ON purchase.merchant_id = %(merchant)s
        AND purchase.id = (event.data ->> 'purchaseId')::uuid
    WHERE event.type = 'purchase.returned'
    UNION ALL
    SELECT returned.store_id, returned.occurred_at, event.recorded_at
    FROM event JOIN purchase_returns returned ON returned.merchant_id = %(merchant)s
        AND returned.purchase_id = (event.data ->> 'purchaseId')::uuid
    WHERE event.type = 'purchase.returned'
    UNION ALL
    SELECT entry.store_id, entry.occurred_at, event.recorded_at
    FROM event JOIN loyalty_transactions entry ON entry.merchant_id = %(merchant)s
        AND entry.id = (event.data ->> 'entryId')::uuid
    WHERE event.type LIKE 'points.%%'
    UNION ALL
    SELECT moved.store_id, moved.occurred_at, event.recorded_at
    FROM event CROSS JOIN LATERAL (
        SELECT store_id, occurred_at FROM purchases
        WHERE merchant_id = %(merchant)s AND customer_id = event.customer_id
        UNION ALL
        SELECT store_id, occurred_at FROM purchase_returns
        WHERE merchant_id = %(merchant)s AND customer_id = event.customer_id
    ) moved
    WHERE event.type IN ('customer.merged', 'customer.unmerged')
), changed AS (
    SELECT (happened.occurred_at AT TIME ZONE coalesce(nullif(store.timezone, ''), merchant.timezone))::date AS day,
        min(happened.recorded_at) AS since
    FROM happened
    JOIN merchants merchant ON merchant.id = %(merchant)s
    LEFT JOIN stores store ON store.merchant_id = %(merchant)s AND store.id = happened.store_id
    GROUP BY 1
)
"""

_EVENT = "SELECT id, type, data, customer_id, store_id, occurred_at, recorded_at FROM customer_events"

_NOTE = f"""
WITH event AS MATERIALIZED ({_EVENT} WHERE merchant_id = %(merchant)s AND id = ANY(%(events)s)), {_CHANGED}
INSERT INTO analytics_changed_days (merchant_id, first, last, changed_at)
SELECT %(merchant)s, day, day, since FROM changed
"""

# NULL is the merchant itself.
_STANDING = f"""
WITH event AS MATERIALIZED (
    {_EVENT} WHERE merchant_id = %(merchant)s AND dispatched_at IS NULL AND type = ANY(%(types)s)
), {_CHANGED}, written AS (
    SELECT id, first, last, changed_at FROM analytics_changed_days WHERE merchant_id = %(merchant)s
)
SELECT jsonb_build_object(
    'zones', (
        SELECT jsonb_object_agg(coalesce(id::text, 'merchant'), zone) FROM (
            SELECT store.id, coalesce(nullif(store.timezone, ''), merchant.timezone) AS zone
            FROM stores store JOIN merchants merchant ON merchant.id = store.merchant_id
            WHERE merchant.id = %(merchant)s
            UNION ALL SELECT NULL, timezone FROM merchants WHERE id = %(merchant)s
        ) clock
    ),
    'rollup', (
        SELECT jsonb_build_object('zones', zones, 'members', members, 'revision', revision,
            'is_ready', is_ready)
        FROM analytics_rollups WHERE merchant_id = %(merchant)s
    ),
    'changes', coalesce((
        SELECT jsonb_agg(jsonb_build_object('first', first, 'last', last, 'since', since)) FROM (
            SELECT first, last, min(changed_at) AS since FROM written GROUP BY 1, 2
            UNION ALL SELECT day, day, since FROM changed
        ) each
    ), '[]'),
    'written', (SELECT jsonb_build_array(count(*), max(id)) FROM written),
    'pending', (SELECT jsonb_build_array(count(*), sum(hashtextextended(id::text, 0))) FROM event)
)::text
"""

# Each by both ends of its index by time.
_EXTENT = """
SELECT min(first)::date - 1, max(last)::date + 1 FROM (
    SELECT min(occurred_at) AS first, max(occurred_at) AS last FROM purchases WHERE merchant_id = %(merchant)s
    UNION ALL
    SELECT min(occurred_at), max(occurred_at) FROM purchase_returns WHERE merchant_id = %(merchant)s
    UNION ALL
    SELECT min(occurred_at), max(occurred_at) FROM loyalty_transactions WHERE merchant_id = %(merchant)s
) extent
"""
