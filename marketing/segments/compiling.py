"""From rules to one statement over the customers of a merchant: all of them, or a few.

Each condition that needs another table becomes a LEFT JOIN to a row per customer, and a comparison. So it costs one pass over
that table whatever groups it stands in: a subquery below OR is run for each customer anew. In WHERE, NULL is as good as false,
and AND and OR keep it so; only what is denied is turned into true or false first (IS NOT TRUE). A comparison that no NULL
fulfils lets PostgreSQL make an inner join of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from customers.services.consents import DEFAULTS
from marketing.segments import comparing, metadata
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
    MetadataIs,
    Node,
    Purchases,
)
from marketing.segments.sources import Sources
from marketing.segments.sql import Sql, joined

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
        self._sources = Sources(merchant_id, clock, customer_ids)

    def matching(self, rule: Node) -> Sql:
        """SELECT of the id of every visible customer for whom the rule holds."""
        holds = self.holds(rule)
        return Sql("SELECT c.id") + self._source() + " AND " + holds

    def answers(self, rules: Sequence[Node]) -> Sql:
        """SELECT of the id of every visible customer, and for each of the rules whether it holds."""
        columns = [self.holds(rule).wrapped("(", ") IS TRUE") for rule in rules]
        return joined(", ", [Sql("SELECT c.id"), *columns]) + self._source()

    def misplaced(self, rules: Mapping[uuid.UUID, Node]) -> Sql:
        """SELECT of the id of every visible customer who is in a segment without its rule holding, or the other way round.

        Beside it a whole number with a bit of each of these segments, the first one's the lowest.
        """
        bits = {segment_id: 1 << number for number, segment_id in enumerate(rules)}
        members = Sql(
            "SELECT m.customer_id, bit_or(s.bit) AS bits FROM customer_segment_members m"
            " JOIN unnest(%s::uuid[], %s::int8[]) AS s (id, bit) ON s.id = m.segment_id"
            " WHERE m.merchant_id = %s GROUP BY m.customer_id",
            (list(bits), list(bits.values()), self.merchant_id),
        )
        held = [
            self.holds(rule).wrapped("CASE WHEN ", f" THEN {bits[segment_id]}::int8 ELSE 0 END")
            for segment_id, rule in rules.items()
        ]
        differences = joined(" | ", held).wrapped("(", f") # coalesce({self._join(members)}.bits, 0)")
        # Written once: PostgreSQL would put it in the place of each mention.
        answers = differences.wrapped("SELECT c.id, ", " AS bits") + self._source()
        return answers.wrapped(
            "WITH answers AS MATERIALIZED (", ") SELECT id, bits FROM answers WHERE bits <> 0"
        )

    def values(self, found: Sequence[Condition]) -> Sql:
        """SELECT of the id of every visible customer, and for each condition its value and whether it is met."""
        columns: list[Sql] = []
        for condition in found:
            columns += [self._value(condition), self.holds(condition).wrapped("(", ") IS TRUE")]
        return joined(", ", [Sql("SELECT c.id"), *columns]) + self._source()

    @property
    def is_plain(self) -> bool:
        """Whether what was compiled so far reads the customers' own rows alone."""
        return not self._joins and not self._sources.passes.joins()

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
        return joined(" ", [Sql(" FROM customers c"), *self._joins, *self._sources.passes.joins()]) + base

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

    # --- Conditions ------------------------------------------------------------------------------------------

    def _condition(self, condition: Condition) -> Sql:
        if isinstance(condition, FieldIs):
            return self._field(condition)
        if isinstance(condition, MetadataIs):
            return self._metadata(condition)
        if isinstance(condition, ConsentIs):
            said = self._consent(condition)
            return said if condition.granted else said.wrapped("NOT (")
        if isinstance(condition, HasAddress):
            return Sql(f"{self._join(self._sources.addresses(condition))}.customer_id IS NOT NULL")
        if isinstance(condition, Purchases):
            measured = self._sources.passes.value(condition)
            zone = self.clock.zone_of(condition.store_ids)
            return self._measured(measured, PURCHASE_MEASURES[condition.measure], condition, zone)
        if isinstance(condition, Events):
            measured = Sql(f"{self._join(self._sources.events(condition))}.v")
            kind = "whole" if condition.measure == "count" else "day"
            return self._measured(measured, kind, condition, self.clock.zone)
        if isinstance(condition, ExpiringPoints):
            points = Sql(f"{self._join(self._sources.expiring(condition))}.v")
            return self._measured(points, "whole", condition, None)
        if isinstance(condition, InSegments):
            inside = "NOT NULL" if condition.op == "any_of" else "NULL"
            return Sql(f"{self._join(self._sources.segments(condition))}.customer_id IS {inside}")
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
        if isinstance(condition, MetadataIs):
            return Sql("c.metadata -> %s::text", (condition.key,))
        if isinstance(condition, ConsentIs):
            return self._consent(condition).wrapped("to_jsonb(")
        if isinstance(condition, HasAddress):
            return Sql(f"to_jsonb({self._join(self._sources.addresses(condition))}.customer_id IS NOT NULL)")
        if isinstance(condition, InSegments):
            return Sql(f"to_jsonb({self._join(self._sources.segments(condition))}.customer_id IS NOT NULL)")
        if isinstance(condition, InBucket):
            return self._bucket(condition).wrapped("to_jsonb(")
        if isinstance(condition, Purchases):
            value = self._sources.passes.value(condition).text
            counted = condition.measure not in ("first", "last")
        elif isinstance(condition, Events):
            value, counted = f"{self._join(self._sources.events(condition))}.v", condition.measure == "count"
        else:
            value, counted = f"{self._join(self._sources.expiring(condition))}.v", True
        return Sql(f"to_jsonb(coalesce({value}, 0))" if counted else f"to_jsonb({value})")

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
            return Sql(comparing.is_set(field))
        return self._compared(field, condition.op, condition.value)

    def _metadata(self, condition: MetadataIs) -> Sql:
        denied = _DENIED.get(condition.op)
        if denied is not None:
            held = self._metadata(MetadataIs(condition.key, condition.type, denied, condition.value))
            return held.wrapped("(", ") IS NOT TRUE")
        key, op, value = condition.key, condition.op, condition.value
        if op == "is_set":
            return metadata.is_set(key)
        if condition.type == "text":
            return metadata.text(key, op, value)
        if condition.type == "number":
            return metadata.number(key, op, value)
        if condition.type == "boolean":
            return metadata.boolean(key, value)
        if condition.type == "list":
            return metadata.listed(key, op, value)
        return metadata.days(key, *self.clock.range(op, value, self.clock.zone))

    def _compared(self, field: Field, op: str, value: Any) -> Sql:
        kind, sql = field.kind, field.sql
        if kind is Kind.TEXT:
            return comparing.text(sql, op, value)
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
        return comparing.number(sql, op, value, kind)

    def _days(self, sql: str | Sql, op: str, value: Any, zone: Any, *, instants: bool = True) -> Sql:
        first, following = self.clock.range(op, value, zone)
        bound = partial(start_of, zone=zone) if instants else (lambda day: day)
        cast = "timestamptz" if instants else "date"
        compared = sql if isinstance(sql, Sql) else Sql(sql)
        parts = [
            compared + Sql(f" {comparison} %s::{cast}", (bound(day),))
            for comparison, day in ((">=", first), ("<", following))
            if day is not None
        ]
        return joined(" AND ", parts)

    def _measured(self, measured: Sql, kind: str, condition: Any, zone: Any) -> Sql:
        op, value = condition.op, condition.value
        if kind == "day":
            held = self._days(measured, _DENIED.get(op, op), value, zone)
            return held.wrapped("(", ") IS NOT TRUE") if op in _DENIED else held
        # Who has nothing has no row: only where nothing is enough must it be made a zero.
        if op == "ne" or comparing.is_fulfilled(op, Decimal(0), value):
            measured = measured.wrapped("coalesce(", ", 0)")
        if op == "ne":
            return comparing.number(measured, "eq", value, Kind(kind)).wrapped("(", ") IS NOT TRUE")
        return comparing.number(measured, op, value, Kind(kind))

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
