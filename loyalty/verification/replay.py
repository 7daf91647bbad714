"""Is every purchase worth what the rules say? The history of accounts folded again, from its beginning."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from customers.purchases import history
from loyalty.models import Enrollment
from loyalty.rules import from_cents, replay
from loyalty.services import read_account
from loyalty.services.postings import NOTHING_RECORDED, as_sale, as_take_back, recorded_points
from loyalty.verification.checks import OFFENDERS_SHOWN_MAX, Check, Finding

REPLAY = Check(12, "every purchase has the points, and every customer the tier, that the rules say", "")


def verify_replay(
    *,
    merchant_id: uuid.UUID | None = None,
    accounts_max: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Finding | None:
    """Fold the history of every account (or of `accounts_max` of them, at random) and compare."""
    offenders: list[tuple[uuid.UUID, Any, str]] = []
    total = 0
    for merchant, customer_id in _accounts(merchant_id, accounts_max):
        for wrong in _compare(merchant, customer_id):
            total += 1
            if len(offenders) < OFFENDERS_SHOWN_MAX:
                offenders.append((merchant, customer_id, wrong))
        if progress is not None:
            progress(1)
    return Finding(REPLAY.number, REPLAY.says, offenders, total) if total else None


def count_accounts(merchant_id: uuid.UUID | None = None) -> int:
    """How many accounts `verify_replay` looks at without `accounts_max`."""
    accounts = Enrollment.objects.filter(program__is_active=True)
    if merchant_id is not None:
        accounts = accounts.filter(merchant_id=merchant_id)
    return accounts.count()


def _accounts(merchant_id: uuid.UUID | None, accounts_max: int | None) -> list[tuple[uuid.UUID, uuid.UUID]]:
    accounts = Enrollment.objects.filter(program__is_active=True)
    if merchant_id is not None:
        accounts = accounts.filter(merchant_id=merchant_id)
    if accounts_max is not None:
        accounts = accounts.order_by("?")[:accounts_max]
    return list(accounts.values_list("merchant_id", "customer_id"))


def _compare(merchant_id: uuid.UUID, customer_id: uuid.UUID) -> Iterator[str]:
    account = read_account(merchant_id=merchant_id, customer_id=customer_id)
    assert account is not None
    sales, returns = history(
        merchant_id=merchant_id, customer_id=customer_id, with_items=account.book.needs_lines
    )
    outcome = replay(
        [as_sale(sale) for sale in sales], [as_take_back(back) for back in returns], account.book
    )
    recorded = recorded_points(account, [sale.id for sale in sales])
    for points in outcome.points.values():
        held = recorded.get(points.sale.id, NOTHING_RECORDED).nominal
        if held != points.net:
            yield f"purchase {points.sale.reference[0]} has {held} points, by the rules {points.net}"
    if account.spend_cents != outcome.spend_cents:
        yield f"spend {from_cents(account.spend_cents)}, by the history {from_cents(outcome.spend_cents)}"
    reached = account.rules.tier_for(outcome.spend_cents)
    if account.tier != (reached.code if reached is not None else ""):
        yield f"tier {account.tier!r}, by the history {reached.code if reached is not None else ''!r}"
