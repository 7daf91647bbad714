"""What customers bought, one row for each of those to whom it can matter: passes over purchases, and over their items.

All measures over purchases share a pass, and all that look at goods another one. Where much is asked for, who has less than that
altogether is not read: it is in their row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from marketing.segments import comparing
from marketing.segments.days import Clock, start_of
from marketing.segments.language import Purchases
from marketing.segments.sql import Sql, joined

# Over purchases, and over their items (True).
_NAMES = {False: "sales", True: "goods"}
_MEASURES = {
    False: {
        "count": "count(*)",
        "sum": "sum(p.amount - p.returned)",
        "first": "min(p.occurred_at)",
        "last": "max(p.occurred_at)",
    },
    True: {
        "count": "count(DISTINCT p.id)",
        "sum": "sum(round(i.unit_price * (i.quantity - i.returned), 2))",
        "quantity": "sum(i.quantity - i.returned)",
        "first": "min(p.occurred_at)",
        "last": "max(p.occurred_at)",
    },
}
# Fewer visits have too many customers for it to be worth a look.
MANY_VISITS = 5
# PostgreSQL knows how many are 0, but takes a comparison of two columns for rarely true.
_IS_KEPT = "({0}.returned = 0 OR {0}.{1} > {0}.returned)"


class Passes:
    """Those of one statement. `of` says which rows of an alias are asked about; `is_whole`: those of all customers."""

    def __init__(self, clock: Clock, of: Callable[[str], Sql], *, is_whole: bool) -> None:
        self._clock, self._of, self._is_whole = clock, of, is_whole
        self._measures: dict[bool, list[Purchases]] = {False: [], True: []}
        self._asked_of: dict[bool, list[Purchases]] = {False: [], True: []}

    def value(self, condition: Purchases) -> str:
        """The column of a condition's measure."""
        measured = replace(condition, op="", value=None)
        needs_items = bool(condition.categories or condition.skus or condition.measure == "quantity")
        shared = self._measures[needs_items]
        if measured not in shared:
            shared.append(measured)
        self._asked_of[needs_items].append(condition)
        return f"{_NAMES[needs_items]}.v{shared.index(measured)}"

    def joins(self) -> list[Sql]:
        """Those to the passes that are needed."""
        return [
            self._pass(needs_items).wrapped("LEFT JOIN (", f") {alias} ON {alias}.customer_id = c.id")
            for needs_items, alias in _NAMES.items()
            if self._measures[needs_items]
        ]

    def _pass(self, needs_items: bool) -> Sql:
        """A purchase counts unless all of it came back; with goods looked at, those of them that were kept."""
        shared = self._measures[needs_items]
        asked = [self._asked(condition).wrapped("(") for condition in shared]
        columns = [Sql("SELECT p.customer_id")]
        for number, (condition, those) in enumerate(zip(shared, asked, strict=True)):
            measure = _MEASURES[needs_items][condition.measure]
            # Of one alone WHERE says which.
            only = those.wrapped(" FILTER (WHERE ") if len(shared) > 1 else Sql("")
            columns.append(Sql(measure) + only + f" AS v{number}")
        source = joined(", ", columns) + " FROM purchases p" + self._possible(needs_items)
        if needs_items:
            source += " JOIN purchase_items i ON i.merchant_id = p.merchant_id AND i.purchase_id = p.id"
        source += Sql(" WHERE ") + self._of("p") + f" AND p.amount > 0 AND {_IS_KEPT.format('p', 'amount')}"
        if needs_items:
            source += f" AND {_IS_KEPT.format('i', 'quantity')}"
        return source + joined(" OR ", asked).wrapped(" AND (") + " GROUP BY p.customer_id"

    def _asked(self, condition: Purchases) -> Sql:
        zone = self._clock.zone_of(condition.store_ids)
        first, following = self._clock.window(condition.window, zone)
        parts = [Sql("true")]
        for comparison, day in ((">=", first), ("<", following)):
            if day is not None:
                parts.append(Sql(f"p.occurred_at {comparison} %s::timestamptz", (start_of(day, zone),)))
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

    def _possible(self, needs_items: bool) -> Sql:
        """Whom it can matter to, by their standing. Nothing is left out where few are asked: people look at what they have."""
        found = [self._needed(each) for each in self._asked_of[needs_items]] if self._is_whole else [None]
        needed = [each for each in dict.fromkeys(found) if each is not None]
        if None in found:
            return Sql("")
        return joined(" OR ", needed).wrapped(
            " JOIN customers k ON k.merchant_id = p.merchant_id AND k.id = p.customer_id AND k.deleted_at IS NULL AND ("
        )

    def _needed(self, condition: Purchases) -> Sql | None:
        """What a customer must have altogether for the condition to hold, or not to; None: that leaves out too few.

        Each measure is at most that, so that who has less there need not be looked at.
        """
        least = (
            comparing.least(condition.op, condition.value) if condition.measure in ("count", "sum") else None
        )
        if least is None:
            return None
        if condition.measure == "count":
            return Sql("k.visit_count >= %s::numeric", (least,)) if least >= MANY_VISITS else None
        if condition.categories or condition.skus:
            # Goods at their own price: a discount on the whole purchase is not in it.
            return None
        return Sql("k.total_spent >= %s::numeric", (least,))
