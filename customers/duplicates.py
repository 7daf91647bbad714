"""Who may be the same person twice: candidates from blocking keys, in bounded slices of an index.

Every walk reads one index in the order of its key (migration 0004) and groups customers that share it. A request
reads at most SLICES_MAX slices, finds what it finds, and says with a cursor where to go on: its cost does not grow
with the number of customers.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from customers.likeness import (
    PHONE_TAIL_DIGITS,
    Likeness,
    Traits,
    compare,
    compare_group,
    same_mailbox,
    same_name_and_more,
    same_phone_tail,
)
from customers.services import CustomerNotFound

SLICE_CUSTOMERS = 10_000
SLICES_MAX = 5
GROUP_CUSTOMERS_MAX = 10
SCORE_MIN_DEFAULT = 0.5
ALIKE_PER_KEY_MAX = 50
BLOCKS_PER_READ = 50


@dataclass(frozen=True, slots=True)
class Position:
    """Where the search goes on: the walk, the key it stopped at, and how many groups of that key are done."""

    walk: int = 0
    key: str | None = None
    done: int = 0
    # Whether `key` itself is still to be read.
    inclusive: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    traits: Traits
    customer_number: str
    email: str
    phone: str
    postal_code: str
    total_spent: Decimal
    visit_count: int
    points: int
    created_at: datetime
    last_visit_at: datetime | None


@dataclass(frozen=True, slots=True)
class Group:
    """Customers who may be one. The first is who the others would best be merged into."""

    customers: tuple[Candidate, ...]
    size: int
    likeness: Likeness


@dataclass(frozen=True, slots=True)
class _Walk:
    """One blocking key: an expression with an index, and when a group of it was already shown by an earlier walk."""

    key: str
    condition: str
    # Groups by the key and one of these; without any, by the key alone.
    and_one_of: tuple[str, ...] = ()

    def shown_before(self, members: Sequence[Traits]) -> bool:
        for walk, shows in zip(WALKS, _SHOWS, strict=True):
            if walk is self:
                return False
            if shows(members):
                return True
        return False


Found = tuple[list[uuid.UUID], int]
Block = tuple[str, list[Found]]

_LOCAL_PART = "NULLIF(split_part(customer_mailbox(c.email_key), '@', 1), '')"
_POSTCODE = "NULLIF(upper(replace(a.postal_code, ' ', '')), '')"

# Strongest evidence first. The expressions are those of the indexes in migration 0004, to the letter.
WALKS = (
    _Walk("customer_mailbox(c.email_key)", "c.email_key <> ''"),
    _Walk("customer_name_key(c.sort_name)", "c.sort_name <> ''", ("birth", "postcode", "local_part")),
    _Walk(f"right(c.phone, {PHONE_TAIL_DIGITS})", "c.phone <> ''"),
    _Walk("c.date_of_birth", "c.date_of_birth IS NOT NULL", ("postcode",)),
)
_SHOWS = (same_mailbox, same_name_and_more, same_phone_tail, lambda members: False)

_SLICE = """
WITH slice AS MATERIALIZED (
    SELECT c.id, {key} AS key, c.date_of_birth AS birth, {local_part} AS local_part
    FROM customers c
    WHERE c.merchant_id = %(merchant)s AND c.deleted_at IS NULL AND {condition} {beyond}
    ORDER BY {key}, c.id LIMIT %(slice)s
),
-- Without the last key of a full slice: the next slice reads all of it.
whole AS MATERIALIZED (
    SELECT * FROM slice
    WHERE (SELECT count(*) FROM slice) < %(slice)s
        OR key < (SELECT max(key) FROM slice)
        OR (SELECT min(key) = max(key) FROM slice)
),
shared AS MATERIALIZED (
    SELECT * FROM (SELECT *, count(*) OVER (PARTITION BY key) AS n FROM whole) AS counted WHERE n > 1
)
SELECT key::text, ids, size FROM (
    {groups}
    -- How far the slice reached: the row without customers.
    UNION ALL SELECT min(key), NULL, count(*) FROM slice
    UNION ALL SELECT max(key), NULL, count(*) FROM slice
) AS found ORDER BY ids IS NOT NULL, found.key, ids
"""
_BY_KEY = (
    """SELECT key, (array_agg(id ORDER BY id))[1:{most}] AS ids, count(*) AS size FROM shared GROUP BY key"""
)
_BY_KEY_AND = """
SELECT key, (array_agg(id ORDER BY id))[1:{most}] AS ids, count(*) AS size
FROM shared WHERE {column} IS NOT NULL GROUP BY key, {column} HAVING count(*) > 1
"""
_BY_KEY_AND_POSTCODE = """
SELECT key, (array_agg(DISTINCT id))[1:{most}] AS ids, count(DISTINCT id) AS size
FROM (
    SELECT shared.key, shared.id, place.postcode FROM shared, LATERAL (
        SELECT {postcode} AS postcode FROM customer_addresses a
        WHERE a.merchant_id = %(merchant)s AND a.customer_id = shared.id
        OFFSET 0
    ) AS place
) AS placed
WHERE postcode IS NOT NULL GROUP BY key, postcode HAVING count(DISTINCT id) > 1
"""
_CANDIDATES = f"""
SELECT c.id, c.first_name, c.last_name, c.company_name, customer_name_key(c.sort_name),
    CASE WHEN c.email_key = '' THEN '' ELSE customer_mailbox(c.email_key) END,
    right(c.phone, {PHONE_TAIL_DIGITS}), c.date_of_birth, c.tax_id,
    ARRAY(SELECT {_POSTCODE} FROM customer_addresses a
          WHERE a.merchant_id = c.merchant_id AND a.customer_id = c.id AND a.postal_code <> ''),
    c.customer_number, c.email, c.phone,
    COALESCE((SELECT a.postal_code FROM customer_addresses a
              WHERE a.merchant_id = c.merchant_id AND a.customer_id = c.id AND a.postal_code <> ''
              ORDER BY a.is_default DESC, a.created_at LIMIT 1), ''),
    c.total_spent, c.visit_count, c.points, c.created_at, c.last_visit_at
FROM customers c
WHERE c.merchant_id = %s AND c.id = ANY(%s) AND c.deleted_at IS NULL
"""  # noqa: S608 - built from constants


def find_duplicates(
    *, merchant_id: uuid.UUID, limit: int, score_min: float = SCORE_MIN_DEFAULT, start: Position | None = None
) -> tuple[list[Group], Position | None]:
    """Up to `limit` groups of likely duplicates from `start` on, and where to go on; None at the end.

    A page may be shorter than `limit`, even empty, with more to come: a request does a bounded amount of work.
    """
    found: list[Group] = []
    position = start or Position()
    for _ in range(SLICES_MAX):
        walk = WALKS[position.walk]
        blocks, following = _slice(merchant_id=merchant_id, walk=walk, position=position)
        for place, group in _judged(merchant_id, walk, blocks, score_min):
            if group is None or (
                position.inclusive and place.key == position.key and place.done <= position.done
            ):
                continue
            found.append(group)
            if len(found) == limit:
                return _sorted(found), replace(place, walk=position.walk)
        if following is not None:
            position = following
        elif position.walk + 1 < len(WALKS):
            position = Position(position.walk + 1)
        else:
            return _sorted(found), None
    return _sorted(found), position


def find_alike(
    *, merchant_id: uuid.UUID, customer_id: uuid.UUID, limit: int, score_min: float = SCORE_MIN_DEFAULT
) -> list[Group]:
    """The customers most like one, each as a group of two, best first. Raises CustomerNotFound."""
    own = _candidates(merchant_id, [customer_id]).get(customer_id)
    if own is None:
        raise CustomerNotFound()
    keys = (own.traits.mailbox, own.traits.name_key, own.traits.phone_tail, own.traits.birth)
    ids: set[uuid.UUID] = set()
    with connection.cursor() as cursor:
        for walk, key in zip(WALKS, keys, strict=True):
            if not key:
                continue
            cursor.execute(
                f"SELECT c.id FROM customers c WHERE c.merchant_id = %s AND c.deleted_at IS NULL "  # noqa: S608
                f"AND {walk.condition} AND {walk.key} = %s ORDER BY c.id LIMIT %s",
                [merchant_id, key, ALIKE_PER_KEY_MAX],
            )
            ids.update(row[0] for row in cursor.fetchall())
    ids.discard(customer_id)
    groups = []
    for other in _candidates(merchant_id, list(ids)).values():
        likeness = compare(own.traits, other.traits)
        if likeness.score >= score_min:
            groups.append(Group(_best_first([own, other]), 2, likeness))
    return _sorted(groups)[:limit]


def _slice(*, merchant_id: uuid.UUID, walk: _Walk, position: Position) -> tuple[list[Block], Position | None]:
    """The groups of one slice, by key, and where the next one starts; None when the walk is over."""
    beyond = ""
    if position.key is not None:
        beyond = f"AND {walk.key} {'>=' if position.inclusive else '>'} %(key)s"
    parts = [
        (_BY_KEY_AND_POSTCODE if column == "postcode" else _BY_KEY_AND).format(
            column=column, most=GROUP_CUSTOMERS_MAX, postcode=_POSTCODE
        )
        for column in walk.and_one_of
    ] or [_BY_KEY.format(most=GROUP_CUSTOMERS_MAX)]
    names = {"key": walk.key, "condition": walk.condition, "beyond": beyond, "local_part": _LOCAL_PART}
    parameters: dict[str, Any] = {"merchant": merchant_id, "slice": SLICE_CUSTOMERS, "key": position.key}
    with connection.cursor() as cursor:
        cursor.execute(_SLICE.format(**names, groups=" UNION ALL ".join(parts)), parameters)
        (first, _, count), (last, _, _), *rows = cursor.fetchall()
    following = None
    if count == SLICE_CUSTOMERS:
        following = Position(position.walk, last, inclusive=first != last)
    blocks: dict[str, list[Found]] = {}
    for key, ids, size in rows:
        blocks.setdefault(key, []).append((ids, size))
    return [(key, _united(groups)) for key, groups in blocks.items()], following


def _united(groups: list[Found]) -> list[Found]:
    """Groups of one key that share a customer, as one: found by birth date and by postal code."""
    united: list[tuple[set[uuid.UUID], int]] = []
    for ids, size in groups:
        members, largest = set(ids), size
        apart = []
        for other, other_size in united:
            if members.isdisjoint(other):
                apart.append((other, other_size))
            else:
                members |= other
                largest = max(largest, other_size)
        united = [*apart, (members, largest)]
    return [(sorted(ids)[:GROUP_CUSTOMERS_MAX], max(size, len(ids))) for ids, size in united]


def _judged(
    merchant_id: uuid.UUID, walk: _Walk, blocks: list[Block], score_min: float
) -> Iterator[tuple[Position, Group | None]]:
    """Each group with the position after it; None for one that is too unlike or was shown by an earlier walk."""
    for start in range(0, len(blocks), BLOCKS_PER_READ):
        some = blocks[start : start + BLOCKS_PER_READ]
        known = _candidates(merchant_id, [id_ for _, groups in some for ids, _ in groups for id_ in ids])
        for key, groups in some:
            for done, (ids, size) in enumerate(groups, start=1):
                members = [known[customer_id] for customer_id in ids if customer_id in known]
                yield Position(key=key, done=done, inclusive=True), _group(walk, members, size, score_min)


def _group(walk: _Walk, members: list[Candidate], size: int, score_min: float) -> Group | None:
    traits = [member.traits for member in members]
    if len(members) < 2 or walk.shown_before(traits):
        return None
    likeness = compare_group(traits)
    return Group(_best_first(members), size, likeness) if likeness.score >= score_min else None


def _candidates(merchant_id: uuid.UUID, ids: list[uuid.UUID]) -> dict[uuid.UUID, Candidate]:
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_CANDIDATES, [merchant_id, ids])
        rows = cursor.fetchall()
    return {row[0]: _candidate(row) for row in rows}


def _candidate(row: Sequence[Any]) -> Candidate:
    (
        customer_id, first_name, last_name, company_name, name_key, mailbox, phone_tail, birth, tax_id, postcodes,
        number, email, phone, postal_code, total_spent, visit_count, points, created_at, last_visit_at,
    ) = row  # fmt: skip
    born: date | None = birth
    traits = Traits(
        id=customer_id,
        first_name=first_name,
        last_name=last_name,
        company_name=company_name,
        name_key=name_key,
        mailbox=mailbox,
        phone_tail=phone_tail,
        birth=born,
        postcodes=frozenset(filter(None, postcodes)),
        tax_id=tax_id,
    )
    return Candidate(
        traits, number, email, phone, postal_code, total_spent, visit_count, points, created_at, last_visit_at
    )


def _best_first(members: list[Candidate]) -> tuple[Candidate, ...]:
    """Whoever bought most often, then whoever is known longest: the one to merge into."""
    return tuple(sorted(members, key=lambda c: (-c.visit_count, c.created_at, c.traits.id)))


def _sorted(groups: list[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: -group.likeness.score)
