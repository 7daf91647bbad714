"""From rules to one statement over the customers of a merchant: all of them, or a few.

Each condition that needs another table becomes a LEFT JOIN to a row per customer, and a comparison. So it costs one pass over
that table whatever groups it stands in: a subquery below OR is run for each customer anew. In WHERE, NULL is as good as false,
and AND and OR keep it so; only what is denied is turned into true or false first (IS NOT TRUE). A comparison that no NULL
fulfils lets PostgreSQL make an inner join of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from django.db.models import Q, Value
from django.db.models.functions import Replace, Upper
from psycopg.types.json import Jsonb

from customers.models import Address
from customers.services.consents import DEFAULTS
from marketing.segments.days import Clock, start_of
from marketing.segments.fields import FIELDS, Field, Kind
from marketing.segments.language import (
    PURCHASE_MEASURES,
    Condition,
    ConsentIs,
    Events,
    ExpiringPoints,
    FieldIs,
    Group,
    HasAddress,
    InBucket,
    InSegments,
    Node,
    Purchases,
    Span,
    Window,
)
from marketing.segments.sql import Sql, joined

_COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_FIGURES = Sql("LEFT JOIN analytics_customers f ON f.merchant_id = c.merchant_id AND f.customer_id = c.id")
_PREFERENCES = Sql(
    "LEFT JOIN customer_preferences pref ON pref.merchant_id = c.merchant_id AND pref.customer_id = c.id"
)
# Opposites by name: what is left when the other is taken away.
_DENIED = {
    "is_not": "is", "not_in": "in", "not_contains": "contains", "none_of": "any_of", "not_in_last": "in_last",
    "ne": "eq", "is_not_set": "is_set",
}  # fmt: skip


class Compiler:
    """One statement's worth of rules. `customer_ids` limits everything in it to these customers."""

    def __init__(
        self, merchant_id: uuid.UUID, clock: Clock, customer_ids: Sequence[uuid.UUID] | None = None
    ) -> None:
        self.merchant_id, self.clock = merchant_id, clock
        self.customer_ids = None if customer_ids is None else list(customer_ids)
        self._joins: list[Sql] = []
        self._aliases: dict[str, str] = {}

    def matching(self, rule: Node) -> Sql:
        """SELECT of the id of every visible customer for whom the rule holds."""
        holds = self.holds(rule)
        return Sql("SELECT c.id") + self._source() + " AND " + holds

    def answers(self, rules: Sequence[Node]) -> Sql:
        """SELECT of the id of every visible customer, and for each of the rules whether it holds."""
        columns = [self.holds(rule).wrapped("(", ") IS TRUE") for rule in rules]
        return joined(", ", [Sql("SELECT c.id"), *columns]) + self._source()

    def values(self, found: Sequence[Condition]) -> Sql:
        """SELECT of the id of every visible customer, and for each condition its value and whether it is met."""
        columns: list[Sql] = []
        for condition in found:
            columns += [self._value(condition), self.holds(condition).wrapped("(", ") IS TRUE")]
        return joined(", ", [Sql("SELECT c.id"), *columns]) + self._source()

    def holds(self, node: Node) -> Sql:
        """A condition over the source. NULL, where it is that, counts as false."""
        if not isinstance(node, Group):
            return self._condition(node)
        parts = [self.holds(each).wrapped("(") for each in node.nodes]
        if node.junction == "all":
            return joined(" AND ", parts).wrapped("(")
        either = joined(" OR ", parts).wrapped("(")
        return either if node.junction == "any" else either + " IS NOT TRUE"

    def _source(self) -> Sql:
        base = Sql(" WHERE c.merchant_id = %s AND c.deleted_at IS NULL", (self.merchant_id,))
        if self.customer_ids is not None:
            base += Sql(" AND c.id = ANY(%s::uuid[])", (self.customer_ids,))
        return joined(" ", [Sql(" FROM customers c"), *self._joins]) + base

    def _join(self, source: Sql) -> str:
        """The alias of a subquery with `customer_id`, joined once however often it is asked for."""
        key = repr(source)
        if key not in self._aliases:
            alias = self._aliases[key] = f"q{len(self._aliases)}"
            self._joins.append(source.wrapped("LEFT JOIN (", f") {alias} ON {alias}.customer_id = c.id"))
        return self._aliases[key]

    def _plain_join(self, join: Sql) -> None:
        if join not in self._joins:
            self._joins.append(join)

    def _of(self, alias: str) -> Sql:
        """The rows of the merchant, and of the customers that are asked about."""
        base = Sql(f"{alias}.merchant_id = %s", (self.merchant_id,))
        if self.customer_ids is None:
            return base
        return base + Sql(f" AND {alias}.customer_id = ANY(%s::uuid[])", (self.customer_ids,))

    # --- Conditions ------------------------------------------------------------------------------------------

    def _condition(self, condition: Condition) -> Sql:
        if isinstance(condition, FieldIs):
            return self._field(condition)
        if isinstance(condition, ConsentIs):
            said = self._consent(condition)
            return said if condition.granted else said.wrapped("NOT (")
        if isinstance(condition, HasAddress):
            return Sql(f"{self._join(self._addresses(condition))}.customer_id IS NOT NULL")
        if isinstance(condition, Purchases):
            measured = f"{self._join(self._purchases(condition))}.v"
            zone = self.clock.zone_of(condition.store_ids)
            return self._measured(measured, PURCHASE_MEASURES[condition.measure], condition, zone)
        if isinstance(condition, Events):
            measured = f"{self._join(self._events(condition))}.v"
            kind = "whole" if condition.measure == "count" else "day"
            return self._measured(measured, kind, condition, self.clock.zone)
        if isinstance(condition, ExpiringPoints):
            return self._measured(f"{self._join(self._expiring(condition))}.v", "whole", condition, None)
        if isinstance(condition, InSegments):
            inside = "NOT NULL" if condition.op == "any_of" else "NULL"
            return Sql(f"{self._join(self._segments(condition))}.customer_id IS {inside}")
        # Turned so that it begins at 0: the hash is worked out once.
        turned = self._bucket(condition, turn=100 - condition.start)
        return turned + Sql(" < %s", (condition.end - condition.start,))

    def _value(self, condition: Condition) -> Sql:
        """What is compared, for people to see. One value whatever it is: jsonb."""
        if isinstance(condition, FieldIs):
            field = FIELDS[condition.name]
            self._need(field)
            value = f"round({field.sql} / 100.0, 2)" if field.kind is Kind.CENTS else field.sql
            return Sql(f"to_jsonb({value})")
        if isinstance(condition, ConsentIs):
            return self._consent(condition).wrapped("to_jsonb(")
        if isinstance(condition, HasAddress):
            return Sql(f"to_jsonb({self._join(self._addresses(condition))}.customer_id IS NOT NULL)")
        if isinstance(condition, InSegments):
            return Sql(f"to_jsonb({self._join(self._segments(condition))}.customer_id IS NOT NULL)")
        if isinstance(condition, InBucket):
            return self._bucket(condition).wrapped("to_jsonb(")
        if isinstance(condition, Purchases):
            alias, counted = (
                self._join(self._purchases(condition)),
                condition.measure not in ("first", "last"),
            )
        elif isinstance(condition, Events):
            alias, counted = self._join(self._events(condition)), condition.measure == "count"
        else:
            alias, counted = self._join(self._expiring(condition)), True
        return Sql(f"to_jsonb(coalesce({alias}.v, 0))" if counted else f"to_jsonb({alias}.v)")

    def _need(self, field: Field) -> None:
        if field.needs_figures:
            self._plain_join(_FIGURES)

    def _field(self, condition: FieldIs) -> Sql:
        field = FIELDS[condition.name]
        self._need(field)
        op = _DENIED.get(condition.op)
        if op is not None:
            return self._field(FieldIs(condition.name, op, condition.value)).wrapped("(", ") IS NOT TRUE")
        if condition.op == "is_set":
            return Sql(_is_set(field))
        return self._compared(field, condition.op, condition.value)

    def _compared(self, field: Field, op: str, value: Any) -> Sql:
        kind, sql = field.kind, field.sql
        if kind is Kind.TEXT:
            return _text(sql, op, value)
        if kind is Kind.CHOICE:
            return Sql(f"{sql} = ANY(%s::text[])", (list(value),))
        if kind is Kind.STORE:
            return Sql(f"{sql} = ANY(%s::uuid[])", (list(value),))
        if kind is Kind.TAGS:
            return Sql(f"{sql} {'@>' if op == 'all_of' else '&&'} %s::varchar[]", (list(value),))
        if kind is Kind.BIRTHDAY:
            if op == "in_month":
                return Sql(f"extract(month FROM {sql})::int = ANY(%s::int[])", (list(value),))
            day = f"(extract(month FROM {sql}) * 100 + extract(day FROM {sql}))::int"
            return Sql(f"{day} = ANY(%s::int[])", (self.clock.birthdays(value),))
        if kind in (Kind.INSTANT, Kind.DAY):
            return self._days(sql, op, value, self.clock.zone, instants=kind is Kind.INSTANT)
        return _number(sql, op, value, kind)

    def _days(self, sql: str, op: str, value: Any, zone: Any, *, instants: bool = True) -> Sql:
        first, following = self.clock.range(op, value, zone)
        bound = partial(start_of, zone=zone) if instants else (lambda day: day)
        cast = "timestamptz" if instants else "date"
        parts = [
            Sql(f"{sql} {comparison} %s::{cast}", (bound(day),))
            for comparison, day in ((">=", first), ("<", following))
            if day is not None
        ]
        return joined(" AND ", parts)

    def _measured(self, sql: str, kind: str, condition: Any, zone: Any) -> Sql:
        op, value = condition.op, condition.value
        if kind == "day":
            held = self._days(sql, _DENIED.get(op, op), value, zone)
            return held.wrapped("(", ") IS NOT TRUE") if op in _DENIED else held
        # Who has nothing has no row: only where nothing is enough must it be made a zero.
        if op == "ne" or _is_fulfilled(op, Decimal(0), value):
            sql = f"coalesce({sql}, 0)"
        if op == "ne":
            return _number(sql, "eq", value, Kind(kind)).wrapped("(", ") IS NOT TRUE")
        return _number(sql, op, value, Kind(kind))

    def _consent(self, condition: ConsentIs) -> Sql:
        self._plain_join(_PREFERENCES)
        default = "true" if DEFAULTS[condition.purpose] else "false"
        return Sql(
            f"coalesce((pref.consents -> %s::text ->> %s::text)::boolean, {default})",
            (condition.channel, condition.purpose),
        )

    def _bucket(self, condition: InBucket, turn: int = 0) -> Sql:
        """0 to 99. The first 24 bits of a hash: MD5 is not for secrecy here, but PostgreSQL and everybody else has it."""
        return Sql(
            "mod(('x' || left(md5(%s::text || ':' || c.id::text), 6))::bit(24)::int + %s::int, 100)",
            (condition.salt, turn),
        )

    # --- Rows of other tables --------------------------------------------------------------------------------

    def _addresses(self, condition: HasAddress) -> Sql:
        rows = Address.objects.for_merchant(self.merchant_id)
        if self.customer_ids is not None:
            rows = rows.filter(customer_id__in=self.customer_ids)
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
        return Sql(text, tuple(params))

    def _window(self, sql: str, window: Window, zone: Any) -> Sql:
        first, following = self.clock.window(window, zone)
        parts = [
            Sql(f" AND {sql} {comparison} %s::timestamptz", (start_of(day, zone),))
            for comparison, day in ((">=", first), ("<", following))
            if day is not None
        ]
        return joined("", parts)

    def _purchases(self, condition: Purchases) -> Sql:
        """A purchase counts unless it was wholly taken back; with goods named, if some of them were kept."""
        by_item = bool(condition.categories or condition.skus)
        measure = {
            "count": "count(DISTINCT p.id)" if by_item else "count(*)",
            "sum": "sum(round(i.unit_price * (i.quantity - coalesce(bi.quantity, 0)), 2))"
            if by_item
            else "sum(p.amount - coalesce(b.amount, 0))",
            "first": "min(p.occurred_at)",
            "last": "max(p.occurred_at)",
            "quantity": "sum(i.quantity - coalesce(bi.quantity, 0))",
        }[condition.measure]
        source = Sql(f"SELECT p.customer_id, {measure} AS v FROM purchases p LEFT JOIN (") + self._returned()
        source += ") b ON b.purchase_id = p.id"
        if by_item or condition.measure == "quantity":
            source += (
                " JOIN purchase_items i ON i.merchant_id = p.merchant_id AND i.purchase_id = p.id LEFT JOIN ("
            )
            source += self._returned_items()
            source += ") bi ON bi.purchase_id = i.purchase_id AND bi.line = i.line"
        source += Sql(" WHERE ") + self._of("p") + " AND p.amount > coalesce(b.amount, 0)"
        if by_item or condition.measure == "quantity":
            source += " AND i.quantity > coalesce(bi.quantity, 0)"
        zone = self.clock.zone_of(condition.store_ids)
        source += self._window("p.occurred_at", condition.window, zone)
        if condition.store_ids:
            source += Sql(" AND p.store_id = ANY(%s::uuid[])", (list(condition.store_ids),))
        for column, listed in (
            ("p.channel", condition.channels),
            ("i.category", condition.categories),
            ("i.sku", condition.skus),
        ):
            if listed:
                source += Sql(f" AND {column} = ANY(%s::text[])", (list(listed),))
        if condition.amount_at_least is not None:
            source += Sql(" AND p.amount >= %s::numeric", (condition.amount_at_least,))
        return source + " GROUP BY p.customer_id"

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

    def _events(self, condition: Events) -> Sql:
        measure = {"count": "count(*)", "first": "min(e.occurred_at)", "last": "max(e.occurred_at)"}
        source = Sql(f"SELECT e.customer_id, {measure[condition.measure]} AS v FROM customer_events e WHERE ")
        source += self._of("e") + Sql(
            " AND e.customer_id IS NOT NULL AND e.type = %s::text", (condition.type,)
        )
        source += self._window("e.occurred_at", condition.window, self.clock.zone)
        if condition.data:
            source += Sql(" AND e.data @> %s::jsonb", (Jsonb(dict(condition.data)),))
        return source + " GROUP BY e.customer_id"

    def _expiring(self, condition: ExpiringPoints) -> Sql:
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

    def _segments(self, condition: InSegments) -> Sql:
        """By their members as they are materialised: a rule is not worked out for the sake of another one."""
        return (
            Sql("SELECT DISTINCT m.customer_id FROM customer_segment_members m WHERE ")
            + self._of("m")
            + Sql(" AND m.segment_id = ANY(%s::uuid[])", (list(condition.ids),))
        )


def _any(alternatives: Sequence[Q]) -> Q:
    found = Q()
    for each in alternatives:
        found |= each
    return found


def _is_set(field: Field) -> str:
    if field.kind in (Kind.TEXT, Kind.CHOICE):
        return f"{field.sql} <> ''"
    if field.kind is Kind.TAGS:
        return f"cardinality({field.sql}) > 0"
    return f"{field.sql} IS NOT NULL"


def _text(sql: str, op: str, value: Any) -> Sql:
    """Without regard to case, as the database folds it: both sides go through it."""
    folded, asked = f"lower({sql})", "lower(%s::text)"
    if op == "in":
        return Sql(f"{folded} IN (SELECT lower(v) FROM unnest(%s::text[]) v)", (list(value),))
    if op == "is":
        return Sql(f"{folded} = {asked}", (value,))
    if op == "contains":
        return Sql(f"position({asked} IN {folded}) > 0", (value,))
    if op == "starts_with":
        return Sql(f"starts_with({folded}, {asked})", (value,))
    return Sql(f"right({folded}, length({asked})) = {asked}", (value, value))


def _number(sql: str, op: str, value: Any, kind: Kind) -> Sql:
    cast = {Kind.SHARE: "float8", Kind.CENTS: "numeric", Kind.MONEY: "numeric"}.get(kind, "bigint")

    def plain(number: Any) -> Any:
        return number * 100 if kind is Kind.CENTS else number

    if op == "between":
        return Sql(f"{sql} BETWEEN %s::{cast} AND %s::{cast}", (plain(value[0]), plain(value[1])))
    return Sql(f"{sql} {_COMPARISONS[op]} %s::{cast}", (plain(value),))


def _is_fulfilled(op: str, number: Decimal, value: Any) -> bool:
    if op == "between":
        return bool(value[0] <= number <= value[1])
    return bool(
        {
            "eq": number == value,
            "gt": number > value,
            "gte": number >= value,
            "lt": number < value,
            "lte": number <= value,
        }[op]
    )
