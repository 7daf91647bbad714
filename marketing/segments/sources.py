"""Rows of other tables, one for each customer who has any: what the compiler joins to customers.

Everything begins with the merchant, and is limited to the customers that are asked about, where these are few.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
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
    Purchases,
    Span,
    Window,
)
from marketing.segments.sql import Sql, joined

# Over purchases, and over their items (True).
_PASSES = {False: "sales", True: "goods"}
_MEASURES = {
    False: {
        "count": "count(*)",
        "sum": "sum(p.amount - coalesce(b.amount, 0))",
        "first": "min(p.occurred_at)",
        "last": "max(p.occurred_at)",
    },
    True: {
        "count": "count(DISTINCT p.id)",
        "sum": "sum(round(i.unit_price * (i.quantity - coalesce(bi.quantity, 0)), 2))",
        "quantity": "sum(i.quantity - coalesce(bi.quantity, 0))",
        "first": "min(p.occurred_at)",
        "last": "max(p.occurred_at)",
    },
}


class Sources:
    """Those of one statement."""

    def __init__(
        self, merchant_id: uuid.UUID, clock: Clock, customer_ids: Sequence[uuid.UUID] | None
    ) -> None:
        self.merchant_id, self.clock = merchant_id, clock
        self.customer_ids = None if customer_ids is None else list(customer_ids)
        self._measures: dict[bool, list[Purchases]] = {False: [], True: []}

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

    def purchase_value(self, condition: Purchases) -> str:
        """The column of a measure. All measures of purchases share one pass, and all that look at goods another."""
        measured = replace(condition, op="", value=None)
        needs_items = bool(condition.categories or condition.skus or condition.measure == "quantity")
        shared = self._measures[needs_items]
        if measured not in shared:
            shared.append(measured)
        return f"{_PASSES[needs_items]}.v{shared.index(measured)}"

    def passes(self) -> list[Sql]:
        """Joins of the passes that are needed."""
        return [
            self._pass(needs_items, shared).wrapped("LEFT JOIN (", f") {alias} ON {alias}.customer_id = c.id")
            for (needs_items, shared), alias in zip(self._measures.items(), _PASSES.values(), strict=True)
            if shared
        ]

    def _pass(self, needs_items: bool, shared: Sequence[Purchases]) -> Sql:
        """A purchase counts unless it was wholly taken back; with goods looked at, those of them that were kept."""
        asked = [self._asked(condition).wrapped("(") for condition in shared]
        columns = [Sql("SELECT p.customer_id")]
        for number, (condition, those) in enumerate(zip(shared, asked, strict=True)):
            measure = _MEASURES[needs_items][condition.measure]
            # Of one alone WHERE says which.
            only = those.wrapped(" FILTER (WHERE ") if len(shared) > 1 else Sql("")
            columns.append(Sql(measure) + only + f" AS v{number}")
        source = joined(", ", columns) + " FROM purchases p LEFT JOIN (" + self._returned()
        source += ") b ON b.purchase_id = p.id"
        if needs_items:
            source += (
                " JOIN purchase_items i ON i.merchant_id = p.merchant_id AND i.purchase_id = p.id LEFT JOIN ("
            )
            source += self._returned_items()
            source += ") bi ON bi.purchase_id = i.purchase_id AND bi.line = i.line"
        source += Sql(" WHERE ") + self._of("p") + " AND p.amount > coalesce(b.amount, 0)"
        if needs_items:
            source += " AND i.quantity > coalesce(bi.quantity, 0)"
        return source + joined(" OR ", asked).wrapped(" AND (") + " GROUP BY p.customer_id"

    def _asked(self, condition: Purchases) -> Sql:
        zone = self.clock.zone_of(condition.store_ids)
        parts = [Sql("true") + self._window("p.occurred_at", condition.window, zone)]
        if condition.store_ids:
            parts.append(Sql("p.store_id = ANY(%s::uuid[])", (list(condition.store_ids),)))
        for column, listed in (
            ("p.channel", condition.channels),
            ("i.category", condition.categories),
            ("i.sku", condition.skus),
        ):
            if listed:
                parts.append(Sql(f"{column} = ANY(%s::text[])", (list(listed),)))
        if condition.amount_at_least is not None:
            parts.append(Sql("p.amount >= %s::numeric", (condition.amount_at_least,)))
        return joined(" AND ", parts)

    def _returned(self) -> Sql:
        return Sql("SELECT r.purchase_id, sum(r.amount) AS amount FROM purchase_returns r WHERE ") + (
            self._of("r") + " GROUP BY r.purchase_id"
        )

    def _returned_items(self) -> Sql:
        return (
            Sql(
                "SELECT r.purchase_id, ri.line, sum(ri.quantity) AS quantity FROM purchase_returns r"
                " JOIN purchase_return_items ri ON ri.merchant_id = r.merchant_id AND ri.purchase_return_id = r.id WHERE "
            )
            + self._of("r")
            + " GROUP BY r.purchase_id, ri.line"
        )

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
