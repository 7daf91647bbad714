"""Asking rules about every customer: of one rule at once, or of many in one pass.

A rule that is new or was changed is built under its lock. What it says of everybody is kept in a table for the moment, made by
CREATE TABLE AS: for INSERT ... SELECT, PostgreSQL uses one process alone. Of those that have been built many are looked at
together without any lock: that only finds who may be in the wrong place, and these are then asked about one rule at a time as
after an event.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection
from django.db.models import F

from analytics.statements import PROBING, long_statements
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.statements import Statement
from customers.events import add_events_from, emit, event
from marketing.models import Segment
from marketing.segment_membership import ENTERED, EXITED, clock_of, refresh_some
from marketing.segments.compiling import Compiler
from marketing.segments.language import (
    ConsentIs,
    FieldIs,
    InBucket,
    MetadataIs,
    Node,
    Purchases,
    conditions,
)
from marketing.segments.parsing import RuleRefused, parse_rule

logger = logging.getLogger(__name__)

REBUILT = "segment.rebuilt"
# Memory for the sums of a million customers, for one statement at a time; and a plan for the values at hand.
BUILDING = {
    **PROBING,
    "work_mem": "128MB",
    "plan_cache_mode": "force_custom_plan",
    "join_collapse_limit": "8",
}
# So many rules have their answers side by side for all customers, a bit each; with so many conditions that need a table of
# their own in memory.
RULES_PER_SURVEY, TABLES_PER_SURVEY = 60, 30
# What is in the customer's row, or in a table that all of them share.
_WITHOUT_TABLE = (FieldIs, MetadataIs, ConsentIs, InBucket, Purchases)
# More than so many in the wrong place are not asked about again: the rule is built.
MISPLACED_MAX = 20_000
CUSTOMERS_PER_REFRESH = 2_000
# After so many members came or went the planner is told.
MANY_MOVED = 10_000


@dataclass(frozen=True, slots=True)
class Built:
    """What a build found: members now, and how many came and went."""

    segment_id: uuid.UUID
    size: int
    entered: int
    exited: int
    ms: int


# In the order of their time, as every key of an event is: a UUID of version 7.
_EVENT_KEY = """
(lpad(to_hex((extract(epoch FROM statement_timestamp()) * 1000)::bigint), 12, '0') || '7'
    || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
"""
_GONE = f"""
DELETE FROM customer_segment_members m WHERE m.merchant_id = %s AND m.segment_id = %s
    AND NOT EXISTS (SELECT FROM matching WHERE matching.id = m.customer_id)
RETURNING {_EVENT_KEY} AS id, m.customer_id, jsonb_build_object('segmentId', m.segment_id) AS data,
    %s::timestamptz AS occurred_at
"""  # noqa: S608  # of constants
# Not by a join with the members: in a table that was empty so far, PostgreSQL reads what it has just written for each row anew.
_CAME = f"""
INSERT INTO customer_segment_members (id, merchant_id, segment_id, customer_id, entered_at)
SELECT gen_random_uuid(), %s, %s, matching.id, %s FROM matching
ON CONFLICT (merchant_id, segment_id, customer_id) DO NOTHING
RETURNING {_EVENT_KEY} AS id, customer_id, jsonb_build_object('segmentId', segment_id) AS data, entered_at AS occurred_at
"""  # noqa: S608  # of constants
_BUILT = "SELECT (SELECT count(*) FROM matching), (SELECT count(*) FROM came), (SELECT count(*) FROM gone)"


def build_segment(*, merchant: Merchant, segment_id: uuid.UUID, at: datetime) -> Built | None:
    """Ask the rule about every customer. None when there is no such rule (any more).

    Of a rule that is new or was changed one event tells the outcome: that its members come and go is the author's doing, not
    theirs. A rule that cannot be worked out keeps its members, and says why.
    """
    try:
        return _build(merchant, segment_id, at)
    except RuleRefused as refused:
        problem = "; ".join(f"{error.field}: {error.message}" for error in refused.errors)
    except OperationalError as error:
        logger.exception("segment_build_failed", extra={"segment_id": str(segment_id)})
        problem = f"It could not be worked out in time ({type(error.__cause__).__name__})."
    Segment.objects.for_merchant(merchant).filter(pk=segment_id).update(build_error=problem[:300])
    return None


def _build(merchant: Merchant, segment_id: uuid.UUID, at: datetime) -> Built | None:
    with long_statements(**BUILDING):
        segment = (
            Segment.objects.for_merchant(merchant)
            .filter(pk=segment_id, kind=Segment.Kind.RULE)
            .select_for_update(no_key=True)
            .first()
        )
        if segment is None:
            return None
        started = time.perf_counter()
        is_new = segment.is_building
        matching = Compiler(merchant.pk, clock_of(merchant, at=at)).matching(parse_rule(segment.rule))
        here = [merchant.pk, segment_id]
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMP TABLE matching (id) AS {matching.text}", matching.params)
            cursor.execute("ANALYZE matching")
        statement = Statement()
        statement.add("gone", _GONE, [*here, at])
        statement.add("came", _CAME, [*here, at])
        if not is_new:
            _add_events(statement, merchant.pk, at)
        size, came, gone = statement.execute(_BUILT)
        built = Built(segment_id, size, came, gone, round((time.perf_counter() - started) * 1000))
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE matching")
        if is_new:
            emit(_rebuilt(merchant.pk, built, at))
        Segment.objects.for_merchant(merchant).filter(pk=segment_id).update(
            size=size,
            built_version=segment.version,
            built_at=at,
            build_ms=built.ms,
            build_error="",
        )
    if came + gone >= MANY_MOVED:
        _tell_planner()
    return built


def _tell_planner() -> None:
    """Statistics of the members, of whom there are many more or fewer now: autovacuum comes too late for the next rule."""
    with long_statements(), connection.cursor() as cursor:
        # Not where autovacuum is at it.
        cursor.execute(
            "ANALYZE (SKIP_LOCKED) customer_segment_members (merchant_id, segment_id, customer_id)"
        )


def _add_events(statement: Statement, merchant_id: uuid.UUID, at: datetime) -> None:
    for source, type_ in (("came", ENTERED), ("gone", EXITED)):
        add_events_from(statement, source, merchant_id=merchant_id, type=type_, at=at)


def _rebuilt(merchant_id: uuid.UUID, built: Built, at: datetime) -> Any:
    return event(
        merchant_id=merchant_id,
        type=REBUILT,
        data={
            "segmentId": str(built.segment_id),
            "size": built.size,
            "entered": built.entered,
            "exited": built.exited,
        },
        occurred_at=at,
    )


# --- Many rules ---------------------------------------------------------------------------------------------

# Who is hidden is in no rule's answer.
_HIDDEN = """
INSERT INTO segment_misplaced SELECT m.customer_id, bit_or(s.bit)
FROM customer_segment_members m JOIN unnest(%s::uuid[], %s::int8[]) AS s (id, bit) ON s.id = m.segment_id
JOIN customers c ON c.merchant_id = m.merchant_id AND c.id = m.customer_id AND c.deleted_at IS NOT NULL
WHERE m.merchant_id = %s GROUP BY 1
"""


def build_segments(
    *, merchant: Merchant, segment_ids: Sequence[uuid.UUID], at: datetime
) -> Iterator[tuple[uuid.UUID, Built | None]]:
    """`build_segment` for several, none of which speaks of another one of them; each as soon as it is done."""
    done = set()
    rules = _kept_rules(merchant, segment_ids)
    for some in _together(rules):
        try:
            started = time.perf_counter()
            misplaced = _survey(merchant, some, at)
            share = (time.perf_counter() - started) / len(some)
        except OperationalError:
            # Each for itself may still be quick enough.
            logger.exception("segment_survey_failed", extra={"merchant_id": str(merchant.pk)})
            continue
        for segment_id, customer_ids in misplaced.items():
            if len(customer_ids) <= MISPLACED_MAX:
                done.add(segment_id)
                yield segment_id, _put_right(merchant, segment_id, customer_ids, at, share)
    for segment_id in segment_ids:
        if segment_id not in done:
            yield segment_id, build_segment(merchant=merchant, segment_id=segment_id, at=at)


def _kept_rules(merchant: Merchant, segment_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Node]:
    """Rules that were built, and have not been changed since."""
    kept = Segment.objects.for_merchant(merchant).filter(
        pk__in=segment_ids, kind=Segment.Kind.RULE, built_version=F("version")
    )
    found = {}
    for segment_id, rule in kept.order_by("pk").values_list("pk", "rule"):
        try:
            found[segment_id] = parse_rule(rule)
        except RuleRefused:
            continue
    return found


def _together(rules: Mapping[uuid.UUID, Node]) -> Iterator[dict[uuid.UUID, Node]]:
    """Parts of the rules that are surveyed in one statement each. One rule alone is as well built."""
    some: dict[uuid.UUID, Node] = {}
    tables = 0
    for segment_id, rule in rules.items():
        more = sum(not isinstance(each, _WITHOUT_TABLE) for _, each in conditions(rule))
        if len(some) == RULES_PER_SURVEY or (some and tables + more > TABLES_PER_SURVEY):
            if len(some) > 1:
                yield some
            some, tables = {}, 0
        some[segment_id] = rule
        tables += more
    if len(some) > 1:
        yield some


def _survey(
    merchant: Merchant, rules: Mapping[uuid.UUID, Node], at: datetime
) -> dict[uuid.UUID, list[uuid.UUID]]:
    """By rule the customers who seem to be in the wrong place; one more than MISPLACED_MAX where they are too many."""
    bits = {segment_id: 1 << number for number, segment_id in enumerate(rules)}
    misplaced = Compiler(merchant.pk, clock_of(merchant, at=at)).misplaced(rules)
    found = {}
    with long_statements(**BUILDING), connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE segment_misplaced (id, bits) AS {misplaced.text}",
            misplaced.params,
        )
        cursor.execute(_HIDDEN, [list(bits), list(bits.values()), merchant.pk])
        for segment_id, bit in bits.items():
            cursor.execute(
                "SELECT id FROM segment_misplaced WHERE bits & %s::int8 <> 0 LIMIT %s",
                [bit, MISPLACED_MAX + 1],
            )
            found[segment_id] = [customer_id for (customer_id,) in cursor.fetchall()]
        cursor.execute("DROP TABLE segment_misplaced")
    return found


def _put_right(
    merchant: Merchant,
    segment_id: uuid.UUID,
    customer_ids: Sequence[uuid.UUID],
    at: datetime,
    seconds: float,
) -> Built | None:
    """Ask the rule again about these, under its lock: what has happened since the survey counts."""
    started = time.perf_counter()
    entered = exited = 0
    ordered, clock = sorted(customer_ids), clock_of(merchant, at=at)
    for start in range(0, len(ordered), CUSTOMERS_PER_REFRESH):
        moved = refresh_some(merchant, [segment_id], ordered[start : start + CUSTOMERS_PER_REFRESH], clock)
        came, went = moved.get(segment_id, (0, 0))
        entered, exited = entered + came, exited + went
    ms = round((time.perf_counter() - started + seconds) * 1000)
    mine = Segment.objects.for_merchant(merchant).filter(pk=segment_id, built_version=F("version"))
    if not mine.update(built_at=at, build_ms=ms, build_error=""):
        # Changed meanwhile: its own build follows.
        return None
    size = mine.values_list("size", flat=True).get()
    return Built(segment_id, size, entered, exited, ms)
