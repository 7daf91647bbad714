"""The purchases of any days of their stores' clocks: how the statements about them begin."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from analytics.periods import ONE_DAY, Period

# Around the midnights that Python knows: PostgreSQL, which decides what day it is, may know other rules of summer time.
MARGIN = timedelta(hours=3)

# Parts `store`, `asked` and `sale`: the purchases whose day is in one of the ranges. Executed with `sales_of`.
SALES = """
WITH store AS MATERIALIZED (
    SELECT id, coalesce(nullif(timezone, ''), %(zone)s) AS zone FROM stores WHERE merchant_id = %(merchant)s
), asked AS MATERIALIZED (
    SELECT * FROM unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[], %(firsts)s::date[], %(lasts)s::date[])
        AS asked (begins, ends, first, last)
), sale AS MATERIALIZED (
    SELECT id, day, store_id, customer_id, amount, returned, discount FROM (
        SELECT purchase.id, purchase.store_id, purchase.customer_id, purchase.amount, purchase.returned,
            purchase.discount, asked.first, asked.last, (purchase.occurred_at AT TIME ZONE store.zone)::date AS day
        FROM asked
        JOIN purchases purchase ON purchase.merchant_id = %(merchant)s
            AND purchase.occurred_at >= asked.begins AND purchase.occurred_at < asked.ends
        JOIN store ON store.id = purchase.store_id
    ) near WHERE day BETWEEN first AND last
)"""


def sales_of(merchant_id: uuid.UUID, ranges: Sequence[Period], zones: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of SALES. `ranges` must not overlap; `zones` is by store, that of the others by "merchant"."""
    edges = [instants_of(days, set(zones.values())) for days in ranges]
    return {
        "merchant": merchant_id,
        "zone": zones["merchant"],
        "begins": [begin for begin, _ in edges],
        "ends": [end for _, end in edges],
        "firsts": [days.first for days in ranges],
        "lasts": [days.last for days in ranges],
    }


def instants_of(days: Period, zones: Collection[str]) -> tuple[datetime, datetime]:
    """Instants between which these days lie in every one of the zones, with some more at both ends."""
    clocks = [ZoneInfo(zone) for zone in zones]
    begin = min(datetime.combine(days.first, time.min, clock).astimezone(UTC) for clock in clocks)
    end = max(datetime.combine(days.last + ONE_DAY, time.min, clock).astimezone(UTC) for clock in clocks)
    return begin - MARGIN, end + MARGIN
