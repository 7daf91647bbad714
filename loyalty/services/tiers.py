"""Tiers that change by themselves, and members' tiers after a program's ladder has changed.

Nobody waits for either: whoever opens an account has the tier of that moment (`loyalty.services.courses.bring_up`). What is
here writes it down, so that lists, segments and webhooks know of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils.timezone import now

from customers.events import emit_all
from customers.services import lock_customers, write_standing
from loyalty.models import Program
from loyalty.services.accounts import open_account
from loyalty.services.programs import rule_book, tiers_of

# So many accounts are looked up at a time; each is reviewed in a transaction of its own.
CHUNK_ACCOUNTS = 1_000


def programs_with_stale_tiers() -> list[uuid.UUID]:
    """Programs whose members' tiers are not yet those of their newest rules, of every merchant."""
    return list(
        Program.objects.filter(is_active=True, tiers_revision__lt=F("revision")).values_list("pk", flat=True)
    )


def refresh_tiers(*, program_id: uuid.UUID) -> int:
    """Bring members' tiers up to the program's newest ladder, each in a transaction of its own.

    Can be killed and run again, also twice at once. Returns how many changed.
    """
    program = Program.objects.get(pk=program_id)
    revision = program.revision
    book = rule_book(merchant_id=program.merchant_id, program_id=program_id, revision=revision)
    changed = 0
    if book.is_lifetime:
        for customer_id in _members_with_another_tier(program):
            changed += _review(program.merchant_id, customer_id)
    else:
        alike = [number for number in range(1, revision + 1) if book.decides_tiers_like(number)]
        for customer_id in _members_by_other_rules(program, alike):
            changed += _review(program.merchant_id, customer_id)
    Program.objects.for_merchant(program.merchant_id).filter(pk=program_id, revision=revision).update(
        tiers_revision=revision
    )
    return changed


def merchants_with_due_tiers(*, at: datetime) -> list[uuid.UUID]:
    """Merchants who have members whose tier is to be reviewed at this instant."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.id FROM merchants m WHERE EXISTS (SELECT FROM loyalty_enrollments e"
            " JOIN loyalty_programs p ON p.merchant_id = e.merchant_id AND p.id = e.program_id AND p.is_active"
            " WHERE e.merchant_id = m.id AND e.tier_until <= %s) ORDER BY m.id",
            [at],
        )
        return [merchant_id for (merchant_id,) in cursor.fetchall()]


def count_due_tiers(*, merchant_id: uuid.UUID, at: datetime) -> int:
    """How many members `review_tiers` would look at."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {_DUE}", [merchant_id, at])
        return int(cursor.fetchone()[0])


def review_tiers(
    *, merchant_id: uuid.UUID, at: datetime | None = None, progress: Callable[[int], None] | None = None
) -> int:
    """Write down the tiers of a merchant's members that have changed by themselves by `at` (now).

    Each member in a transaction of its own, under the customer's lock. Any number of copies may run beside each other and
    beside tills, and be killed at any moment: who was reviewed meanwhile is left alone. `progress` is called with the number
    of members after each. Returns how many tiers changed.
    """
    changed = 0
    for customer_id in _due(merchant_id, at or now()):
        changed += _review(merchant_id, customer_id)
        if progress is not None:
            progress(1)
    return changed


_DUE = (
    "FROM loyalty_enrollments e"
    " JOIN loyalty_programs p ON p.merchant_id = e.merchant_id AND p.id = e.program_id AND p.is_active"
    " WHERE e.merchant_id = %s AND e.tier_until <= %s"
)


def _due(merchant_id: uuid.UUID, at: datetime) -> Iterator[uuid.UUID]:
    """Along the index of what is due: each part is read when the one before is done."""
    place = (datetime.min.replace(tzinfo=at.tzinfo), uuid.UUID(int=0))
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT e.tier_until, e.id, e.customer_id {_DUE} AND (e.tier_until, e.id) > (%s, %s)"
                " ORDER BY e.tier_until, e.id LIMIT %s",
                [merchant_id, at, *place, CHUNK_ACCOUNTS],
            )
            rows = cursor.fetchall()
        for _, _, customer_id in rows:
            yield customer_id
        if len(rows) < CHUNK_ACCOUNTS:
            return
        place = (rows[-1][0], rows[-1][1])


def _review(merchant_id: uuid.UUID, customer_id: uuid.UUID) -> bool:
    """Write the tier that a member has now, and what is known of its end. Whether it changed."""
    with transaction.atomic():
        (customer,) = lock_customers(merchant_id=merchant_id, customer_ids=[customer_id])
        account = open_account(customer=customer)
        if account is None or account.is_new:
            return False
        if account.tiers.follows_spend:
            account.settle_tier()
        elif not account.tiers.is_changed:
            # Another copy, or a till, has been here.
            return False
        events = account.events()
        if events or account.tiers.is_changed:
            account.write()
            write_standing(customer, points=account.balance, tier=account.tier)
            emit_all(events)
        return any(event.type == "tier.changed" for event in events)


def _members_by_other_rules(program: Program, alike: list[int]) -> list[uuid.UUID]:
    """Customers whose tier was worked out by a ladder that decides otherwise than the newest."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT customer_id FROM loyalty_enrollments WHERE merchant_id = %s AND program_id = %s"
            " AND tier_revision <> ALL(%s) ORDER BY customer_id",
            [program.merchant_id, program.pk, alike],
        )
        return [row[0] for row in cursor.fetchall()]


def _members_with_another_tier(program: Program) -> list[uuid.UUID]:
    """Customers whose stored tier is not what their spend reaches."""
    tiers = tiers_of(program)
    reached = "''"
    parameters: list[Any] = []
    if tiers:
        rungs = ",".join(["(%s::text,%s::numeric)"] * len(tiers))
        reached = (
            f"coalesce((SELECT code FROM (VALUES {rungs}) t (code, threshold)"  # noqa: S608
            " WHERE threshold <= e.net_spend ORDER BY threshold DESC LIMIT 1), '')"
        )
        for tier in tiers:
            parameters += [tier.code, Decimal(tier.threshold_cents) / 100]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.customer_id FROM loyalty_enrollments e"  # noqa: S608
            f" WHERE e.merchant_id = %s AND e.program_id = %s AND e.tier <> {reached} ORDER BY e.customer_id",
            [program.merchant_id, program.pk, *parameters],
        )
        return [row[0] for row in cursor.fetchall()]
