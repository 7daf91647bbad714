"""Members' tiers after a program's thresholds have changed."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from customers.events import emit_all
from customers.services import lock_customers, write_standing
from loyalty.models import Program
from loyalty.services.accounts import open_account
from loyalty.services.programs import tiers_of


def programs_with_stale_tiers() -> list[uuid.UUID]:
    """Programs whose members' tiers are not yet those of their newest rules, of every merchant."""
    return list(
        Program.objects.filter(is_active=True, tiers_revision__lt=F("revision")).values_list("pk", flat=True)
    )


def refresh_tiers(*, program_id: uuid.UUID) -> int:
    """Bring members' tiers up to the program's newest thresholds, each in a transaction of its own.

    Can be killed and run again, also twice at once. Returns how many changed.
    """
    program = Program.objects.get(pk=program_id)
    revision = program.revision
    changed = 0
    for customer_id in _members_with_another_tier(program):
        with transaction.atomic():
            (customer,) = lock_customers(merchant_id=program.merchant_id, customer_ids=[customer_id])
            account = open_account(customer=customer)
            if account is None or account.is_new:
                continue
            account.settle_tier()
            events = account.events()
            if events:
                account.write()
                write_standing(customer, points=account.balance, tier=account.tier)
                emit_all(events)
                changed += 1
    Program.objects.for_merchant(program.merchant_id).filter(pk=program_id, revision=revision).update(
        tiers_revision=revision
    )
    return changed


def _members_with_another_tier(program: Program) -> list[uuid.UUID]:
    """Customers whose stored tier is not what their spend reaches."""
    tiers = tiers_of(program)
    reached = "''"
    parameters: list[Any] = []
    if tiers:
        rungs = ",".join(["(%s::text,%s::numeric)"] * len(tiers))
        reached = (
            f"coalesce((SELECT code FROM (VALUES {rungs}) t (code, threshold)"  # noqa: S608
            " WHERE threshold <= e.qualifying_spend ORDER BY threshold DESC LIMIT 1), '')"
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
