"""The computed columns of a customer. Each has one writer; this is how it writes."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import F
from django.utils.timezone import now

from cloudpos.tenancy.statements import Statement
from customers.models import Customer

STANDING = frozenset(
    {"tier", "points", "segment", "total_spent", "visit_count", "first_visit_at", "last_visit_at"}
)


def write_standing(customer: Customer, **changed: Any) -> None:
    """Write standing columns of a locked customer, in its holder's transaction: one UPDATE, none when nothing changes.

    The instance is brought up to date. Raises TypeError for any other column.
    """
    unknown = changed.keys() - STANDING
    if unknown:
        raise TypeError(f"not standing columns: {', '.join(sorted(unknown))}")
    changed = {name: value for name, value in changed.items() if getattr(customer, name) != value}
    if not changed:
        return
    at = now()
    columns = sorted(changed)
    assignments = "".join(f"{column} = %s, " for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE customers SET {assignments}version = version + 1, updated_at = %s"  # noqa: S608
            " WHERE merchant_id = %s AND id = %s",
            [*(changed[column] for column in columns), at, customer.merchant_id, customer.pk],
        )
    for name, value in changed.items():
        setattr(customer, name, value)
    customer.version += 1
    customer.updated_at = at


def add_standing(
    statement: Statement,
    customer: Customer,
    *,
    points: int | None = None,
    tier: str | None = None,
    total_spent: Decimal | None = None,
    visit_count: int | None = None,
    first_visit_at: datetime | None = None,
    last_visit_at: datetime | None = None,
) -> None:
    """What purchases decide of a locked customer, as a part of a statement that the caller sends; None: unchanged.

    The instance stays as it was.
    """
    statement.add(
        "standing",
        "UPDATE customers SET points = coalesce(%s, points), tier = coalesce(%s, tier),"  # noqa: S608
        " total_spent = coalesce(%s, total_spent), visit_count = coalesce(%s, visit_count),"
        " first_visit_at = coalesce(%s, first_visit_at), last_visit_at = coalesce(%s, last_visit_at),"
        " version = version + 1, updated_at = %s"
        f" WHERE merchant_id = %s AND id = %s AND {statement.condition}",
        [
            points, tier, total_spent, visit_count, first_visit_at, last_visit_at, now(),
            customer.merchant_id, customer.pk,
        ],
    )  # fmt: skip


def add_points_from(statement: Statement, source: str, *, merchant_id: uuid.UUID, at: datetime) -> None:
    """The points of locked customers out of a part of the statement, which has `customer_id` and `points`."""
    statement.add(
        f"{source}_points",
        f"UPDATE customers SET points = {source}.points, version = customers.version + 1, updated_at = %s"  # noqa: S608
        f" FROM {source} WHERE customers.merchant_id = %s AND customers.id = {source}.customer_id",
        [at, merchant_id],
    )


def write_segments(*, merchant_id: uuid.UUID, segments: Mapping[uuid.UUID, str]) -> None:
    """Write the segments of many locked customers, in their holder's transaction: one UPDATE per segment."""
    by_segment: dict[str, list[uuid.UUID]] = defaultdict(list)
    for customer_id, segment in segments.items():
        by_segment[segment].append(customer_id)
    at = now()
    for segment, customer_ids in sorted(by_segment.items()):
        Customer.objects.for_merchant(merchant_id).filter(pk__in=customer_ids).update(
            segment=segment, version=F("version") + 1, updated_at=at
        )


def write_standings(*, customers: Sequence[Customer]) -> None:
    """Write what purchases decide of many locked customers of one merchant, as the instances have it: one UPDATE.

    The columns of `write_standing` but the segment.
    """
    if not customers:
        return
    at = now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE customers SET total_spent = v.total_spent, visit_count = v.visit_count,
                first_visit_at = v.first_visit_at, last_visit_at = v.last_visit_at, points = v.points, tier = v.tier,
                version = version + 1, updated_at = %s
            FROM unnest(%s::uuid[], %s::numeric[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::bigint[],
                %s::text[]) v (id, total_spent, visit_count, first_visit_at, last_visit_at, points, tier)
            WHERE customers.merchant_id = %s AND customers.id = v.id
            """,
            [
                at,
                [customer.pk for customer in customers],
                [customer.total_spent for customer in customers],
                [customer.visit_count for customer in customers],
                [customer.first_visit_at for customer in customers],
                [customer.last_visit_at for customer in customers],
                [customer.points for customer in customers],
                [customer.tier for customer in customers],
                customers[0].merchant_id,
            ],
        )
    for customer in customers:
        customer.version += 1
        customer.updated_at = at
