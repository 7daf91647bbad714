"""Who is in which segment, kept up with what happens to a few customers. For all customers: `segment_builds`.

Both ways end in the same: a customer is in a segment when its rule holds of them now. Whoever writes members holds the lock of
the segment's row, and asks the rule after it has it; so what another one wrote a moment ago is seen, and nothing is undone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from analytics.recalculations import stale_customers
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.zones import store_zones
from customers.events import emit_all, event
from customers.models import Merge
from marketing.models import Segment, SegmentMember
from marketing.segments.compiling import Compiler
from marketing.segments.days import Clock
from marketing.segments.fields import Fact
from marketing.segments.language import Node
from marketing.segments.parsing import parse_rule

ENTERED, EXITED = "segment.entered", "segment.exited"
# Planning a statement grows faster than the number of its joins.
RULES_PER_STATEMENT = 25


def clock_of(merchant: Merchant, *, at: datetime) -> Clock:
    """The merchant's time and that of its stores."""
    return Clock(at, merchant.tz, store_zones(merchant.pk))


# --- A few customers ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    id: uuid.UUID
    asks_for: frozenset[str]
    names: frozenset[uuid.UUID]


def refresh_members(
    *, merchant_id: uuid.UUID, customer_ids: Collection[uuid.UUID], facts: frozenset[str] | None, at: datetime
) -> int:
    """Put these customers where they belong, as far as `facts` (None: everything) decide it. Returns how many came or went.

    Derived from what is there now: run twice, or out of order, it ends the same.
    """
    rules = {rule.id: rule for rule in _rules(merchant_id)}
    pending = {id_ for id_, rule in rules.items() if facts is None or rule.asks_for & facts}
    if not customer_ids or not pending:
        return 0
    if any(Fact.FIGURES in rules[id_].asks_for for id_ in pending):
        _freshen(merchant_id, customer_ids, at)
    merchant = Merchant.objects.get(pk=merchant_id)
    clock = clock_of(merchant, at=at)
    moved = 0
    for layer in in_order(rules.values()):
        some = [id_ for id_ in layer if id_ in pending]
        for start in range(0, len(some), RULES_PER_STATEMENT):
            changed = refresh_some(
                merchant, some[start : start + RULES_PER_STATEMENT], sorted(customer_ids), clock
            )
            moved += sum(map(sum, changed.values()))
            # Whoever speaks of a segment that has changed is asked as well.
            pending |= {id_ for id_, rule in rules.items() if rule.names & changed.keys()}
    return moved


def _rules(merchant_id: uuid.UUID) -> list[_Rule]:
    """Rules whose members are kept up: those that wait for their build are not."""
    found = Segment.objects.for_merchant(merchant_id).filter(
        kind=Segment.Kind.RULE, built_version=F("version")
    )
    return [
        _Rule(id_, frozenset(asks_for), frozenset(names))
        for id_, asks_for, names in found.order_by("pk").values_list("pk", "asks_for", "segments_named")
    ]


def in_order(rules: Iterable[Any]) -> list[list[uuid.UUID]]:
    """Ids of rules (with `id` and `names`) in layers: none speaks of one in its own or a later layer. There are no circles."""
    left = {rule.id: set(rule.names) for rule in rules}
    layers = []
    while left:
        layer = [id_ for id_, names in left.items() if not names & left.keys()] or list(left)
        layers.append(layer)
        for id_ in layer:
            del left[id_]
    return layers


def _freshen(merchant_id: uuid.UUID, customer_ids: Collection[uuid.UUID], at: datetime) -> None:
    """The figures of who has bought since they were worked out: the handler that does it may not have had its turn."""
    stale = stale_customers(merchant_id=merchant_id, customer_ids=customer_ids)
    if stale:
        # It imports numpy, which processes that serve do without.
        from analytics.recalculating.job import refresh_customers

        refresh_customers(merchant_id=merchant_id, customer_ids=stale, at=at)


# Not the ORM's, which takes longer to write these with every event than PostgreSQL to answer them.
_LOCK_RULES = """
SELECT id, rule::text FROM customer_segment_rules
WHERE merchant_id = %s AND id = ANY(%s::uuid[]) AND built_version = version
ORDER BY id FOR NO KEY UPDATE
"""
_MEMBERS = """
SELECT segment_id, customer_id FROM customer_segment_members
WHERE merchant_id = %s AND segment_id = ANY(%s::uuid[]) AND customer_id = ANY(%s::uuid[])
"""


# By what is written in the row, so that it is never the one of before a change, whichever process made it.
@lru_cache(maxsize=1_000)
def _rule_of(text: str) -> Node:
    return parse_rule(json.loads(text))


@transaction.atomic
def refresh_some(
    merchant: Merchant,
    segment_ids: Sequence[uuid.UUID],
    customer_ids: Sequence[uuid.UUID],
    clock: Clock,
) -> dict[uuid.UUID, tuple[int, int]]:
    """One statement for all of the rules. Segments that have changed, with how many came and went."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_RULES, [merchant.pk, list(segment_ids)])
        rules = {segment_id: _rule_of(text) for segment_id, text in cursor.fetchall()}
    if not rules:
        return {}
    belong = _who_belongs(merchant, rules, customer_ids, clock)
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERS, [merchant.pk, list(rules), list(customer_ids)])
        are = set(cursor.fetchall())
    came, gone = sorted(belong - are), sorted(are - belong)
    return change_members(merchant.pk, came=came, gone=gone, at=clock.at)


def _who_belongs(
    merchant: Merchant, rules: dict[uuid.UUID, Node], customer_ids: Sequence[uuid.UUID], clock: Clock
) -> set[tuple[uuid.UUID, uuid.UUID]]:
    question = Compiler(merchant.pk, clock, customer_ids).answers(list(rules.values()))
    with connection.cursor() as cursor:
        cursor.execute(question.text, question.params)
        return {
            (segment_id, row[0])
            for row in cursor.fetchall()
            for segment_id, holds in zip(rules, row[1:], strict=True)
            if holds
        }


Pair = tuple[uuid.UUID, uuid.UUID]


def change_members(
    merchant_id: uuid.UUID, *, came: Sequence[Pair], gone: Sequence[Pair], at: datetime
) -> dict[uuid.UUID, tuple[int, int]]:
    """Write that (segment, customer) came and went, with their events and sizes, under the locks of these segments.

    By segment how many came and how many went.
    """
    if not came and not gone:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM customer_segment_members m USING unnest(%s::uuid[], %s::uuid[]) AS g (segment_id, customer_id)"
            " WHERE m.merchant_id = %s AND m.segment_id = g.segment_id AND m.customer_id = g.customer_id",
            [*_columns(gone), merchant_id],
        )
    SegmentMember.objects.bulk_create(
        [
            SegmentMember(merchant_id=merchant_id, segment_id=segment, customer_id=customer, entered_at=at)
            for segment, customer in came
        ]
    )
    by_segment = {
        segment: (_of(segment, came), _of(segment, gone))
        for segment in dict.fromkeys(segment for segment, _ in (*came, *gone))
    }
    grown = [entered - exited for entered, exited in by_segment.values()]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE customer_segment_rules s SET size = s.size + g.grown"
            " FROM unnest(%s::uuid[], %s::int[]) AS g (id, grown) WHERE s.merchant_id = %s AND s.id = g.id",
            [list(by_segment), grown, merchant_id],
        )
    emit_all(
        [
            event(
                merchant_id=merchant_id,
                customer_id=customer,
                type=type_,
                data={"segmentId": str(segment)},
                occurred_at=at,
            )
            for pairs, type_ in ((came, ENTERED), (gone, EXITED))
            for segment, customer in pairs
        ]
    )
    return by_segment


def _of(segment: uuid.UUID, pairs: Sequence[Pair]) -> int:
    return sum(1 for named, _ in pairs if named == segment)


def _columns(pairs: Sequence[Pair]) -> list[list[uuid.UUID]]:
    return [[segment for segment, _ in pairs], [customer for _, customer in pairs]]


# --- Lists made by hand, and who is gone --------------------------------------------------------------------


@transaction.atomic
def follow_customers(*, merchant_id: uuid.UUID, customer_ids: Collection[uuid.UUID], at: datetime) -> int:
    """In lists, who was merged is followed by who they are now, and who was deleted leaves. Returns how many came or went.

    The record that was merged away keeps its line, which nobody sees: undone, it is on the list again.
    """
    lists = Segment.objects.for_merchant(merchant_id).filter(kind=Segment.Kind.LIST)
    mine = SegmentMember.objects.for_merchant(merchant_id).filter(customer_id__in=list(customer_ids))
    named = sorted(set(mine.filter(segment__in=lists).values_list("segment_id", flat=True)))
    if not named:
        return 0
    list(lists.filter(pk__in=named).order_by("pk").select_for_update(no_key=True).values_list("pk"))
    lines = mine.filter(segment_id__in=named).values_list(
        "segment_id", "customer_id", "customer__deleted_at", "customer__merged_into_id"
    )
    came, gone = set(), set()
    for segment, customer, deleted_at, merged_into in lines:
        if merged_into is not None:
            came.add((segment, merged_into))
        elif deleted_at is not None:
            gone.add((segment, customer))
    there = SegmentMember.objects.for_merchant(merchant_id).filter(segment_id__in=named)
    came -= set(
        there.filter(customer_id__in=[customer for _, customer in came]).values_list(
            "segment_id", "customer_id"
        )
    )
    changed = change_members(merchant_id, came=sorted(came), gone=sorted(gone), at=at)
    count_lists(merchant_id, named)
    return sum(map(sum, changed.values()))


@transaction.atomic
def part_ways(*, merchant_id: uuid.UUID, merge_id: uuid.UUID, at: datetime) -> int:
    """After an undone merge, who had followed the other onto lists leaves them again. Returns how many lists.

    A line of the target's on a list of the source's that was made while they were one came by the merge.
    """
    merge = Merge.objects.for_merchant(merchant_id).filter(pk=merge_id, undone_at__isnull=False).first()
    if merge is None:
        return 0
    rows = SegmentMember.objects.for_merchant(merchant_id).filter(segment__kind=Segment.Kind.LIST)
    # Merged again by now: they follow each other as before.
    source = rows.filter(customer_id=merge.source_id, customer__merged_into=None)
    followed = rows.filter(customer_id=merge.target_id, entered_at__range=(merge.merged_at, merge.undone_at))
    named = sorted(followed.filter(segment__in=source.values("segment")).values_list("segment_id", flat=True))
    lists = Segment.objects.for_merchant(merchant_id).filter(pk__in=named)
    list(lists.order_by("pk").select_for_update(no_key=True).values_list("pk"))
    change_members(merchant_id, came=[], gone=[(segment, merge.target_id) for segment in named], at=at)
    count_lists(merchant_id, named)
    return len(named)


@transaction.atomic
def tidy_list(*, merchant_id: uuid.UUID, segment_id: uuid.UUID) -> None:
    """Count a list's customers anew; nothing when it is none."""
    lists = Segment.objects.for_merchant(merchant_id).filter(pk=segment_id, kind=Segment.Kind.LIST)
    if lists.select_for_update(no_key=True).exists():
        count_lists(merchant_id, [segment_id])


def count_lists(merchant_id: uuid.UUID, segment_ids: Collection[uuid.UUID]) -> None:
    """Write how many visible customers these locked lists have."""
    for segment_id in segment_ids:
        members = SegmentMember.objects.for_merchant(merchant_id).filter(
            segment_id=segment_id, customer__deleted_at=None
        )
        Segment.objects.for_merchant(merchant_id).filter(pk=segment_id).update(size=members.count())


@transaction.atomic
def recount(*, merchant_id: uuid.UUID) -> None:
    """Write the sizes of all segments anew: whoever was erased took their lines with them."""
    list(
        Segment.objects.for_merchant(merchant_id)
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk")
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE customer_segment_rules s SET size = counted.n FROM (
                SELECT s.id, count(c.id) AS n FROM customer_segment_rules s
                LEFT JOIN customer_segment_members m ON m.merchant_id = s.merchant_id AND m.segment_id = s.id
                LEFT JOIN customers c ON c.merchant_id = m.merchant_id AND c.id = m.customer_id AND c.deleted_at IS NULL
                WHERE s.merchant_id = %s GROUP BY s.id
            ) counted WHERE s.merchant_id = %s AND s.id = counted.id AND s.size <> counted.n
            """,
            [merchant_id, merchant_id],
        )
