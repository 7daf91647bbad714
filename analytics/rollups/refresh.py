"""Writing the sums of what has changed: chunk by chunk, each a transaction, one process per merchant."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from django.utils.timezone import now

from analytics.periods import Period, ranges_of, united
from analytics.rollups.changes import everything, note_days, standing
from analytics.rollups.database import copy_rows, rows, run
from analytics.rollups.goods import number_articles, pack_goods, read_goods
from analytics.rollups.members import Members, pack_set
from analytics.rollups.sheets import Sheet, read_sheets
from analytics.rollups.spans import UNITS, first_of, span, spans
from analytics.statements import long_statements

# Read, summed up and committed at once: what a process that is killed has to do again, and the memory it takes.
DAYS_PER_CHUNK = 14
SPANS_PER_CHUNK = 20
# A week is over when it is everywhere.
SPAN_OVER_AFTER = timedelta(days=1)

Progress = Callable[[int], None]

DAY_COLUMNS = (
    "merchant_id", "scope_id", "day", "purchases", "buyers", "sold", "returned", "discount",
    "points_earned", "points_redeemed", "points_expired", "once", "again", "members", "goods", "revision",
)  # fmt: skip


@dataclass(slots=True)
class Rollup:
    """The row of a merchant, locked."""

    merchant_id: uuid.UUID
    zones: dict[str, str]
    members: int
    revision: int
    is_ready: bool

    def write(self) -> None:
        run(
            "UPDATE analytics_rollups SET zones = %(zones)s, members = %(members)s, revision = %(revision)s,"
            " is_ready = %(is_ready)s WHERE merchant_id = %(merchant)s",
            {
                "merchant": self.merchant_id,
                "zones": orjson.dumps(self.zones).decode(),
                "members": self.members,
                "revision": self.revision,
                "is_ready": self.is_ready,
            },
        )


def refresh(
    *,
    merchant_id: uuid.UUID,
    again: bool = False,
    seconds_max: float = math.inf,
    progress: Progress | None = None,
) -> int:
    """Sum up the days that have changed, then the weeks and months that are over. Returns how many days.

    `again` starts from nothing. Killed, or ended after `seconds_max`, the next run goes on where the last chunk was
    committed. Another process that is at it is not waited for: 0.
    """
    deadline = time.monotonic() + seconds_max
    done = 0
    while time.monotonic() < deadline:
        with long_statements():
            rollup = _lock(merchant_id, again=again)
            if rollup is None:
                return done
            days = _take_days(merchant_id)
            if days:
                _rebuild(rollup, days)
            elif not rollup.is_ready:
                rollup.is_ready = True
                rollup.write()
        again = False
        if not days:
            break
        done += len(days)
        if progress is not None:
            progress(len(days))
    while done and time.monotonic() < deadline:
        with long_statements():
            rollup = _lock(merchant_id)
            if rollup is None or not _sum_spans(rollup):
                break
    return done


def days_behind(merchant_id: uuid.UUID, *, again: bool = False) -> int:
    """How many days the next `refresh` sums up, at most."""
    found = None if again else standing(merchant_id).changed
    changed = everything(merchant_id) if found is None else found
    return sum(len(list(spans(days, "month"))) * 31 if found is None else days.days for days in changed)


def merchants_behind() -> list[uuid.UUID]:
    """Merchants with days that are not summed up, and those whose purchases never were."""
    return [merchant_id for (merchant_id,) in rows(_BEHIND)]


def _lock(merchant_id: uuid.UUID, *, again: bool = False) -> Rollup | None:
    """The merchant's row, None while another process has it. With zones of other days everything starts anew."""
    key = {"merchant": merchant_id}
    run(
        "INSERT INTO analytics_rollups (merchant_id, zones, members, revision, is_ready)"
        " VALUES (%(merchant)s, '{}', 0, 0, false) ON CONFLICT DO NOTHING",
        key,
    )
    found = rows(
        "SELECT zones::text, members, revision, is_ready FROM analytics_rollups WHERE merchant_id = %(merchant)s"
        " FOR UPDATE SKIP LOCKED",
        key,
    )
    if not found:
        return None
    ((counted_in, *figures),) = found
    rollup = Rollup(merchant_id, orjson.loads(counted_in), *figures)
    ((zones,),) = rows(_ZONES, key)
    zones = orjson.loads(zones)
    if (
        again
        or not rollup.zones
        or any(zones.get(store, zone) != zone for store, zone in rollup.zones.items())
    ):
        for table in ("days", "spans", "changed_days", *(["members", "articles"] if again else [])):
            run(f"DELETE FROM analytics_{table} WHERE merchant_id = %(merchant)s", key)
        if again:
            rollup.members = 0
        rollup.is_ready = False
        months = [month for days in everything(merchant_id) for month in spans(days, "month")]
        note_days(merchant_id=merchant_id, ranges=months)
    if again or zones != rollup.zones:
        rollup.zones = zones
        rollup.revision += 1
        rollup.write()
    return rollup


def _take_days(merchant_id: uuid.UUID) -> list[date]:
    """The earliest days that have changed, crossed off the list.

    What is written down after this statement stays; their purchases are read by later ones, which see all that is crossed off.
    """
    key = {"merchant": merchant_id}
    listed = rows(
        "SELECT id, first, last, changed_at FROM analytics_changed_days WHERE merchant_id = %(merchant)s", key
    )
    if not listed:
        return []
    taken: list[date] = []
    for days in united(Period(first, last) for _, first, last, _ in listed):
        taken.extend(list(days)[: DAYS_PER_CHUNK - len(taken)])
        if len(taken) == DAYS_PER_CHUNK:
            break
    # All days before the last one that is taken are taken: of a row only an end can be left.
    end = taken[-1]
    crossed = [id for id, first, _, _ in listed if first <= end]
    left = [
        (merchant_id, end + timedelta(days=1), last, at)
        for _, first, last, at in listed
        if first <= end < last
    ]
    run("DELETE FROM analytics_changed_days WHERE id = ANY(%(ids)s)", {"ids": crossed})
    copy_rows("analytics_changed_days", ("merchant_id", "first", "last", "changed_at"), left)
    return taken


def _rebuild(rollup: Rollup, days: Sequence[date]) -> None:
    merchant_id = rollup.merchant_id
    sheets = read_sheets(
        merchant_id=merchant_id, ranges=ranges_of(days), zones=rollup.zones, members=rollup.members
    )
    goods = read_goods(merchant_id=merchant_id, ranges=ranges_of(days), zones=rollup.zones)
    articles = number_articles(merchant_id, goods.called)
    rollup.members += len(sheets.fresh)
    rollup.revision += 1
    rollup.write()
    run(
        "DELETE FROM analytics_days WHERE merchant_id = %(merchant)s AND day = ANY(%(days)s)",
        {"merchant": merchant_id, "days": list(days)},
    )
    for unit in UNITS:
        run(
            "DELETE FROM analytics_spans WHERE merchant_id = %(merchant)s AND unit = %(unit)s AND first = ANY(%(firsts)s)",
            {"merchant": merchant_id, "unit": unit, "firsts": list({first_of(day, unit) for day in days})},
        )
    copy_rows(
        "analytics_members",
        ("merchant_id", "customer_id", "number"),
        [(merchant_id, customer_id, number) for customer_id, number in sheets.fresh.items()],
    )
    copy_rows(
        "analytics_days",
        DAY_COLUMNS,
        [
            (*row, pack_goods(goods.by_day.get((scope_id, day), {}), articles), rollup.revision)
            for scope_id, day, row in _day_rows(rollup, sheets.by_day)
        ],
    )


def _day_rows(
    rollup: Rollup, sheets: dict[tuple[uuid.UUID, date], Sheet]
) -> Iterable[tuple[uuid.UUID, date, tuple[Any, ...]]]:
    for (scope_id, day), sheet in sheets.items():
        sums, (once, again) = sheet.sums, sheet.members.sets()
        yield (
            scope_id,
            day,
            (
                rollup.merchant_id, scope_id, day, sums.purchases, once.bit_count(), sums.sold, sums.returned,
                sums.discount, sums.points_earned, sums.points_redeemed, sums.points_expired, pack_set(once),
                pack_set(again), sheet.members.pack(),
            ),
        )  # fmt: skip


def _sum_spans(rollup: Rollup) -> int:
    """Some weeks and months that are over and have no row. Returns how many."""
    today = now().astimezone(ZoneInfo(rollup.zones["merchant"])).date()
    missing = rows(
        _MISSING_SPANS,
        {"merchant": rollup.merchant_id, "over": today - SPAN_OVER_AFTER, "limit": SPANS_PER_CHUNK},
    )
    found = []
    for scope_id, unit, first in missing:
        whole = span(first, unit)
        packed = rows(
            "SELECT members FROM analytics_days"
            " WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s AND day BETWEEN %(first)s AND %(last)s",
            {
                "merchant": rollup.merchant_id,
                "scope": scope_id,
                "first": whole.first,
                "last": whole.last,
            },
        )
        members = Members.together([Members.unpack(part) for (part,) in packed])
        once, again = members.sets()
        found.append(
            (
                rollup.merchant_id, scope_id, unit, first, pack_set(once), pack_set(again), members.pack(),
                rollup.revision,
            )
        )  # fmt: skip
    copy_rows(
        "analytics_spans",
        ("merchant_id", "scope_id", "unit", "first", "once", "again", "members", "revision"),
        found,
    )
    return len(found)


_ZONES = """
SELECT jsonb_object_agg(coalesce(id::text, 'merchant'), zone)::text FROM (
    SELECT store.id, coalesce(nullif(store.timezone, ''), merchant.timezone) AS zone
    FROM stores store JOIN merchants merchant ON merchant.id = store.merchant_id WHERE merchant.id = %(merchant)s
    UNION ALL SELECT NULL, timezone FROM merchants WHERE id = %(merchant)s
) clock
"""

_BEHIND = """
SELECT id FROM merchants WHERE EXISTS (
    SELECT FROM analytics_changed_days changed WHERE changed.merchant_id = merchants.id
) OR NOT EXISTS (
    SELECT FROM analytics_rollups rollup WHERE rollup.merchant_id = merchants.id
) AND EXISTS (
    SELECT FROM purchases purchase WHERE purchase.merchant_id = merchants.id
)
"""

_MISSING_SPANS = """
SELECT summed.scope_id, summed.unit, summed.first
FROM (
    SELECT DISTINCT day.scope_id, unit, date_trunc(unit, day.day)::date AS first
    FROM analytics_days day, unnest(ARRAY['month', 'week']) AS unit
    WHERE day.merchant_id = %(merchant)s
) summed
LEFT JOIN analytics_spans span ON span.merchant_id = %(merchant)s AND span.scope_id = summed.scope_id
    AND span.unit = summed.unit AND span.first = summed.first
WHERE span.first IS NULL AND (summed.first + ('1 ' || summed.unit)::interval)::date <= %(over)s
LIMIT %(limit)s
"""
