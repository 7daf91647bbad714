"""Rows of other tables, one for each customer who has any: what the compiler joins to customers.

Everything begins with the merchant, and is limited to the customers that are asked about, where these are few.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db.models import Q, Value
from django.db.models.functions import Replace, Upper
from psycopg.types.json import Jsonb

from customers.models import Address
from marketing.segments.days import Clock, start_of
from marketing.segments.language import (
    Events,
    ExpiringPoints,
    HasAddress,
    InSegments,
    Span,
    Window,
)
from marketing.segments.passes import Passes
from marketing.segments.sql import Sql, joined


class Sources:
    """Those of one statement."""

    def __init__(
        self, merchant_id: uuid.UUID, clock: Clock, customer_ids: Sequence[uuid.UUID] | None
    ) -> None:
        self.merchant_id, self.clock = merchant_id, clock
        self.customer_ids = None if customer_ids is None else list(customer_ids)
        self.passes = Passes(clock, self._of, is_whole=customer_ids is None)

    def _of(self, alias: str) -> Sql:
        """The rows of the merchant, and of the customers that are asked about."""
        base = Sql(f"{alias}.merchant_id = %s", (self.merchant_id,))
        if self.customer_ids is None:
            return base
        return base + Sql(f" AND {alias}.customer_id = ANY(%s::uuid[])", (self.customer_ids,))

    def addresses(self, condition: HasAddress) -> Sql:
        return _addressed(condition) + " AND " + self._of('"customer_addresses"')

    def _window(self, sql: str, window: Window, zone: Any) -> Sql:
        first, following = self.clock.window(window, zone)
        parts = [
            Sql(f" AND {sql} {comparison} %s::timestamptz", (start_of(day, zone),))
            for comparison, day in ((">=", first), ("<", following))
            if day is not None
        ]
        return joined("", parts)

    def events(self, condition: Events) -> Sql:
        measure = {"count": "count(*)", "first": "min(e.occurred_at)", "last": "max(e.occurred_at)"}
        source = Sql(f"SELECT e.customer_id, {measure[condition.measure]} AS v FROM customer_events e WHERE ")
        source += self._of("e") + Sql(
            " AND e.customer_id IS NOT NULL AND e.type = %s::text", (condition.type,)
        )
        source += self._window("e.occurred_at", condition.window, self.clock.zone)
        if condition.data:
            source += Sql(" AND e.data @> %s::jsonb", (Jsonb(dict(condition.data)),))
        return source + " GROUP BY e.customer_id"

    def expiring(self, condition: ExpiringPoints) -> Sql:
        _, following = self.clock.next(Span("days", condition.within_days), self.clock.zone)
        ends = "CASE WHEN l.while_active THEN n.inactive_at ELSE l.expires_at END"
        return (
            Sql(
                "SELECT n.customer_id, sum(l.remaining) AS v FROM loyalty_enrollments n"
                " JOIN loyalty_lots l ON l.merchant_id = n.merchant_id AND l.enrollment_id = n.id AND l.remaining > 0"
                " WHERE "
            )
            + self._of("n")
            + Sql(
                f" AND {ends} > %s::timestamptz AND {ends} < %s::timestamptz GROUP BY n.customer_id",
                (self.clock.at, start_of(following, self.clock.zone)),
            )
        )

    def segments(self, condition: InSegments) -> Sql:
        """By their members as they are materialised: a rule is not worked out for the sake of another one."""
        return (
            Sql("SELECT DISTINCT m.customer_id FROM customer_segment_members m WHERE ")
            + self._of("m")
            + Sql(" AND m.segment_id = ANY(%s::uuid[])", (list(condition.ids),))
        )


# A rule is asked again with every event, and the ORM takes longer to write this than PostgreSQL to answer it.
@lru_cache(maxsize=1_000)
def _addressed(condition: HasAddress) -> Sql:
    """Whose addresses fulfil it, anybody's: the merchant is the caller's to add."""
    rows = Address.objects.get_queryset()
    if condition.countries:
        rows = rows.filter(country__in=condition.countries)
    if condition.cities:
        rows = rows.filter(_any([Q(city__iexact=city) for city in condition.cities]))
    if condition.postal_code_prefixes:
        rows = rows.alias(code=Upper(Replace("postal_code", Value(" "), Value(""))))
        starts = [prefix.replace(" ", "").upper() for prefix in condition.postal_code_prefixes]
        rows = rows.filter(_any([Q(code__startswith=start) for start in starts]))
    if condition.near is not None:
        near = condition.near
        rows = rows.near(latitude=near.latitude, longitude=near.longitude, radius_km=near.radius_km)
    text, params = rows.values("customer_id").distinct().query.sql_with_params()
    head, _, where = text.partition(" WHERE ")
    return Sql(f"{head} WHERE ({where})", tuple(params))


def _any(alternatives: Sequence[Q]) -> Q:
    found = Q()
    for each in alternatives:
        found |= each
    return found
