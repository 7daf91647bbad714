"""What customers bought, one row for each of those to whom it can matter: passes over purchases, and over their items.

All measures over purchases share a pass, and all that look at goods another one. Where much is asked for, who has less than that
altogether is not read: it is in their row. So are the first and the last visit, which are purchases that count unless they came
back as a whole: whether somebody bought at all, since a day or before one, is read of those alone who brought all of one back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

from marketing.segments import comparing
from marketing.segments.days import Clock, start_of
from marketing.segments.language import Purchases
from marketing.segments.sql import Sql, joined, one_of

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
_COUNTS = f"p.amount > 0 AND {_IS_KEPT.format('p', 'amount')}"


class Passes:
    """Those of one statement. `of` says which rows of an alias are asked about; `is_whole`: those of all customers."""

    def __init__(self, clock: Clock, of: Callable[[str], Sql], *, is_whole: bool) -> None:
        self._clock, self._of, self._is_whole = clock, of, is_whole
        self._measures: dict[bool, list[Purchases]] = {False: [], True: []}
        self._doubted: list[Purchases] = []
        self._counts_voids = False
        self._asked_of: dict[bool, list[Purchases]] = {False: [], True: []}

    def value(self, condition: Purchases) -> Sql:
        """The column of a condition's measure, or the like: it compares the same."""
        if self._is_whole and (known := self._known(condition)) is not None:
            return known
        measured = replace(condition, op="", value=None)
        needs_items = bool(condition.categories or condition.skus or condition.measure == "quantity")
        shared = self._measures[needs_items]
        if measured not in shared:
            shared.append(measured)
        self._asked_of[needs_items].append(condition)
        return Sql(f"{_NAMES[needs_items]}.v{shared.index(measured)}")

    def joins(self) -> list[Sql]:
        """Those to the passes that are needed."""
        needed = {
            alias: self._pass(needs_items)
            for needs_items, alias in _NAMES.items()
            if self._measures[needs_items]
        }
        if self._doubted:
            needed["doubts"] = self._doubts()
        if self._counts_voids:
            needed["voids"] = self._voids()
        return [
            source.wrapped("LEFT JOIN (", f") {alias} ON {alias}.customer_id = c.id")
            for alias, source in needed.items()
        ]

    # --- What a customer's row tells ---------------------------------------------------------------------------

    def _known(self, condition: Purchases) -> Sql | None:
        """A measure by the standing columns; None where they do not tell. They are exact of all purchases (invariant 18)."""
        if any((condition.store_ids, condition.channels, condition.categories, condition.skus)):
            return None
        if condition.amount_at_least is not None or condition.measure == "quantity":
            return None
        zone = self._clock.zone
        first, following = self._clock.window(condition.window, zone)
        if (first, following) == (None, None):
            if condition.measure == "sum":
                # What came back as a whole adds nothing.
                return Sql("c.total_spent")
            if condition.measure == "count":
                self._counts_voids = True
                return Sql("(c.visit_count - coalesce(voids.v0, 0))")
            return self._unless_doubted(condition, Sql(f"c.{condition.measure}_visit_at"))
        if condition.measure != "count" or not comparing.is_about_any(condition.op, condition.value):
            return None
        if first is None:
            return self._unless_doubted(condition, self._is_reached("c.first_visit_at <", following))
        if following is None or following > self._clock.today(zone):
            return self._unless_doubted(condition, self._is_reached("c.last_visit_at >=", first))
        return None

    def _is_reached(self, comparison: str, day: date | None) -> Sql:
        """1 or 0; NULL of who never came."""
        assert day is not None
        return Sql(f"({comparison} %s::timestamptz)::int", (start_of(day, self._clock.zone),))

    def _unless_doubted(self, condition: Purchases, known: Sql) -> Sql:
        measured = replace(condition, op="", value=None)
        if measured not in self._doubted:
            self._doubted.append(measured)
        column = f"doubts.v{self._doubted.index(measured)}"
        return known.wrapped("CASE WHEN doubts.customer_id IS NULL THEN ", f" ELSE {column} END")

    def _voids(self) -> Sql:
        """How many of a customer's visits were of nothing, or came back as a whole."""
        voids = Sql("SELECT v.customer_id, count(*) AS v0 FROM purchases v WHERE v.returned >= v.amount AND ")
        return voids + self._of("v") + " GROUP BY v.customer_id"

    def _doubts(self) -> Sql:
        """The same measures, read, of those whose row may not tell: their first or last visit is undone, or is yet to come."""
        columns = [Sql("SELECT p.customer_id")]
        for number, condition in enumerate(self._doubted):
            counts = self._asked(condition) + f" AND {_COUNTS}"
            measure = _MEASURES[False][condition.measure]
            columns.append(counts.wrapped(f"{measure} FILTER (WHERE ", f") AS v{number}"))
        tomorrow = start_of(self._clock.today(self._clock.zone) + timedelta(days=1), self._clock.zone)
        undone = Sql(
            "SELECT v.customer_id FROM purchases v JOIN customers k ON k.merchant_id = v.merchant_id AND k.id = v.customer_id"
            " AND v.occurred_at IN (k.first_visit_at, k.last_visit_at) WHERE v.returned >= v.amount AND "
        ) + self._of("v")
        ahead = Sql("SELECT k.id FROM customers k WHERE k.deleted_at IS NULL AND ") + self._of("k")
        ahead += Sql(
            " AND COALESCE(k.last_visit_at, '-infinity'::timestamptz) >= %s::timestamptz", (tomorrow,)
        )
        doubted = joined(" UNION ", [undone, ahead])
        return (
            joined(", ", columns)
            + doubted.wrapped(" FROM purchases p JOIN (", ") d ON d.customer_id = p.customer_id WHERE ")
            + self._of("p")
            + " GROUP BY p.customer_id"
        )

    # --- Passes ------------------------------------------------------------------------------------------------

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
        source += Sql(" WHERE ") + self._of("p") + f" AND {_COUNTS}"
        if needs_items:
            source = source + f" AND {_IS_KEPT.format('i', 'quantity')}" + _any_goods(shared)
        source += joined(" OR ", asked).wrapped(" AND (") + self._span(shared)
        return source + " GROUP BY p.customer_id"

    def _span(self, conditions: list[Purchases]) -> Sql:
        """From the earliest window to the latest: PostgreSQL makes no range of an index of alternatives."""
        if len(conditions) == 1:
            return Sql("")
        windows = [self._instants(condition) for condition in conditions]
        firsts, followings = zip(*windows, strict=True)
        return self._within(
            None if None in firsts else min(firsts), None if None in followings else max(followings)
        )

    def _instants(self, condition: Purchases) -> tuple[datetime | None, datetime | None]:
        zone = self._clock.zone_of(condition.store_ids)
        first, following = self._clock.window(condition.window, zone)
        return (
            None if first is None else start_of(first, zone),
            None if following is None else start_of(following, zone),
        )

    def _within(self, first: datetime | None, following: datetime | None) -> Sql:
        return joined(
            "",
            [
                Sql(f" AND p.occurred_at {comparison} %s::timestamptz", (instant,))
                for comparison, instant in ((">=", first), ("<", following))
                if instant is not None
            ],
        )

    def _asked(self, condition: Purchases) -> Sql:
        parts = [Sql("true") + self._within(*self._instants(condition))]
        for column, cast, listed in (
            ("p.store_id", "uuid", condition.store_ids),
            ("p.channel", "text", condition.channels),
            ("i.category", "text", condition.categories),
            ("i.sku", "text", condition.skus),
        ):
            if listed:
                parts.append(one_of(column, cast, listed))
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


def _any_goods(conditions: list[Purchases]) -> Sql:
    """Lines that some of several conditions can look at, told by the line alone, before its purchase is looked for."""
    if len(conditions) == 1:
        return Sql("")
    categories: set[str] = set()
    skus: set[str] = set()
    for condition in conditions:
        if condition.categories:
            categories.update(condition.categories)
        elif condition.skus:
            skus.update(condition.skus)
        else:
            return Sql("")
    found = [
        one_of(column, "text", sorted(listed))
        for column, listed in (("i.category", categories), ("i.sku", skus))
        if listed
    ]
    return joined(" OR ", found).wrapped(" AND (")
