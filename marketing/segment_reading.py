"""Reading segments: who is in them, who would be, and why."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import OperationalError, connection
from django.db.models import QuerySet
from psycopg.errors import QueryCanceled

from analytics.statements import long_statements
from cloudpos.api.errors import BadRequest
from cloudpos.tenancy.models import Merchant, Store
from customers.counting import count_customers
from customers.models import Customer
from customers.services import visible_customer_id
from marketing.models import Segment, SegmentMember
from marketing.segment_builds import BUILDING
from marketing.segment_membership import clock_of
from marketing.segment_services import SegmentNotFound
from marketing.segments.compiling import Compiler
from marketing.segments.language import Node, conditions
from marketing.segments.parsing import parse_rule
from marketing.segments.wording import in_words

PREVIEW_SECONDS_MAX = 20
SAMPLE_MAX = 20
SAMPLE_DEFAULT = 5
# How many customers a guess at the fields of a merchant's own looks at, and how many fields it names.
METADATA_CUSTOMERS = 2_000
METADATA_KEYS_MAX = 50
_METADATA_SQL = """
    SELECT key, mode() WITHIN GROUP (ORDER BY type) FROM (
        SELECT said.key, CASE jsonb_typeof(said.value)
            WHEN 'number' THEN 'number' WHEN 'boolean' THEN 'boolean' WHEN 'array' THEN 'list'
            ELSE CASE WHEN said.value #>> '{}' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' THEN 'day' ELSE 'text' END END AS type
        FROM (
            SELECT metadata FROM customers WHERE merchant_id = %s AND deleted_at IS NULL
            ORDER BY created_at DESC, id DESC LIMIT %s
        ) customer, jsonb_each(customer.metadata) said
        WHERE jsonb_typeof(said.value) NOT IN ('null', 'object') AND length(said.key) BETWEEN 1 AND 100
    ) typed GROUP BY key ORDER BY count(*) DESC, key LIMIT %s
"""


class RuleTooSlow(BadRequest):
    code = "rule_too_slow"
    message = f"This rule takes longer than {PREVIEW_SECONDS_MAX} seconds. Ask for fewer things, or for a shorter time."


def segments_of(merchant_id: uuid.UUID) -> QuerySet[Any]:
    return Segment.objects.for_merchant(merchant_id)


def find_segment(*, merchant_id: uuid.UUID, segment_id: uuid.UUID) -> Segment:
    """Raises SegmentNotFound."""
    segment: Segment | None = segments_of(merchant_id).filter(pk=segment_id).first()
    if segment is None:
        raise SegmentNotFound()
    return segment


def metadata_in_use(merchant_id: uuid.UUID) -> dict[str, str]:
    """What the newest customers have in `metadata`: each key with the type that most of its values would be read as."""
    with connection.cursor() as cursor:
        cursor.execute(_METADATA_SQL, [merchant_id, METADATA_CUSTOMERS, METADATA_KEYS_MAX])
        return dict(sorted(cursor.fetchall()))


def members_of(segment: Segment) -> QuerySet[Any]:
    """Visible members, in no order."""
    return SegmentMember.objects.for_merchant(segment.merchant_id).filter(
        segment_id=segment.pk, customer__deleted_at=None
    )


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would give. `entering` and `leaving` are against the saved segment, None without one."""

    count: int
    customers: int
    sample: list[Customer]
    entering: int | None
    leaving: int | None
    ms: int

    @property
    def share(self) -> float:
        """Of all customers, 0 to 1."""
        return round(self.count / self.customers, 4) if self.customers else 0.0


# The sample is always the same, so that it stays still while somebody writes.
# Counted without a row of each being kept, where enough of them are among the newest customers.
NEWEST_AMONG = 20_000
_COMMON = """
SELECT (SELECT count(*) FROM ({matching}) matching), ARRAY(
    SELECT id FROM ({matching}) matching WHERE id >= (SELECT id FROM (
        SELECT id FROM customers WHERE merchant_id = %s AND deleted_at IS NULL ORDER BY id DESC LIMIT %s
    ) newest ORDER BY id LIMIT 1) ORDER BY id DESC LIMIT %s)
"""
_PREVIEW = """
WITH matching AS MATERIALIZED ({matching})
SELECT (SELECT count(*) FROM matching),
    ARRAY(SELECT id FROM matching ORDER BY id DESC LIMIT %s)
"""
_DIFFERENCE = """,
    (SELECT count(*) FROM matching WHERE NOT EXISTS (
        SELECT FROM customer_segment_members m
        WHERE m.merchant_id = %s AND m.segment_id = %s AND m.customer_id = matching.id)),
    (SELECT count(*) FROM customer_segment_members m WHERE m.merchant_id = %s AND m.segment_id = %s
        AND NOT EXISTS (SELECT FROM matching WHERE matching.id = m.customer_id))
"""


def preview_rule(
    *, merchant_id: uuid.UUID, rule: Node, segment_id: uuid.UUID | None, sample: int, at: datetime
) -> Preview:
    """Work a rule out without saving anything. Raises SegmentNotFound, RuleTooSlow."""
    if segment_id is not None:
        find_segment(merchant_id=merchant_id, segment_id=segment_id)
    merchant = Merchant.objects.get(pk=merchant_id)
    _, everybody = count_customers(merchant_id=merchant_id, among={})
    started = time.perf_counter()
    compiler = Compiler(merchant_id, clock_of(merchant, at=at))
    matching = compiler.matching(rule)
    try:
        with (
            long_statements(**{**BUILDING, "statement_timeout": f"{PREVIEW_SECONDS_MAX}s"}),
            connection.cursor() as cursor,
        ):
            found: tuple[Any, ...] = (None, [])
            if compiler.is_plain and segment_id is None:
                among: list[Any] = [merchant_id, NEWEST_AMONG, sample]
                cursor.execute(
                    _COMMON.format(matching=matching.text), [*matching.params, *matching.params, *among]
                )
                found = cursor.fetchone()
            if found[0] is None or len(found[1]) < min(found[0], sample):
                left = PREVIEW_SECONDS_MAX - (time.perf_counter() - started)
                cursor.execute(
                    "SELECT set_config('statement_timeout', %s, true)", [f"{max(1, round(left * 1000))}ms"]
                )
                sql, params = _PREVIEW.format(matching=matching.text), [*matching.params, sample]
                if segment_id is not None:
                    sql, params = sql + _DIFFERENCE, [*params, *[merchant_id, segment_id] * 2]
                cursor.execute(sql, params)
                found = cursor.fetchone()
            count, ids, *difference = found
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise RuleTooSlow() from None
        raise
    ms = round((time.perf_counter() - started) * 1000)
    customers = Customer.objects.for_merchant(merchant_id).defer("search").in_bulk(ids)
    return Preview(
        count=count,
        customers=everybody,
        sample=[customers[id_] for id_ in ids if id_ in customers],
        entering=difference[0] if difference else None,
        leaving=difference[1] if difference else None,
        ms=ms,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """One condition about one customer: where it stands in the rule, in words, what was found, and whether that is enough."""

    pointer: str
    text: str
    value: Any
    met: bool | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`matches` is what the rule says now; `is_member` is what was written down last."""

    segment: Segment
    customer: Customer | None
    is_member: bool | None
    matches: bool | None
    answers: list[Answer]


def explain(
    *, merchant_id: uuid.UUID, segment_id: uuid.UUID, customer_id: uuid.UUID | None, at: datetime
) -> Explanation:
    """Why somebody is in a segment or not; without a customer, what the rule says. Raises SegmentNotFound, CustomerNotFound."""
    segment = find_segment(merchant_id=merchant_id, segment_id=segment_id)
    if customer_id is None:
        return Explanation(segment, None, None, None, _in_words(segment))
    visible_id = visible_customer_id(merchant_id=merchant_id, customer_id=customer_id)
    customer = Customer.objects.for_merchant(merchant_id).defer("search").get(pk=visible_id)
    is_member = members_of(segment).filter(customer_id=visible_id).exists()
    if segment.kind == Segment.Kind.LIST:
        return Explanation(segment, customer, is_member, None, [])
    rule = parse_rule(segment.rule)
    found = list(conditions(rule))
    compiler = Compiler(merchant_id, clock_of(Merchant.objects.get(pk=merchant_id), at=at), [visible_id])
    holds = compiler.answers([rule])
    values = compiler.values([condition for _, condition in found])
    with connection.cursor() as cursor:
        cursor.execute(holds.text, holds.params)
        matches = cursor.fetchone()[1]
        cursor.execute(values.text, values.params)
        row = cursor.fetchone()[1:]
    names = names_of(merchant_id)
    answers = [
        Answer(pointer, in_words(condition, names), _plain(row[2 * place]), row[2 * place + 1])
        for place, (pointer, condition) in enumerate(found)
    ]
    return Explanation(segment, customer, is_member, matches, answers)


def _in_words(segment: Segment) -> list[Answer]:
    if segment.kind == Segment.Kind.LIST:
        return []
    names = names_of(segment.merchant_id)
    return [
        Answer(pointer, in_words(condition, names), None, None)
        for pointer, condition in conditions(parse_rule(segment.rule))
    ]


def _plain(value: Any) -> Any:
    """jsonb comes as text here: Django reads it itself where it knows the column."""
    return orjson.loads(value) if isinstance(value, str) else value


def names_of(merchant_id: uuid.UUID) -> Mapping[uuid.UUID, str]:
    """What the merchant's stores and segments are called, for rules in words."""
    return {
        **dict(Store.objects.for_merchant(merchant_id).values_list("pk", "name")),
        **dict(segments_of(merchant_id).values_list("pk", "name")),
    }
