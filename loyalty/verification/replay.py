"""Is every purchase worth what the rules say? The history of accounts folded again, from its beginning."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from customers.purchases import history
from loyalty.ledger import Account
from loyalty.models import Enrollment
from loyalty.rules import Outcome, from_cents, replay
from loyalty.services import read_account
from loyalty.services.awarding import awarded_points
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
    account = read_account(merchant_id=merchant_id, customer_id=customer_id, as_stored=True)
    assert account is not None
    sales, returns = history(
        merchant_id=merchant_id, customer_id=customer_id, with_items=account.book.needs_lines
    )
    ids = [sale.id for sale in sales]
    awarded = awarded_points(account, ids)
    outcome = replay(
        [as_sale(sale, awarded=awarded.get(sale.id, 0)) for sale in sales],
        [as_take_back(back) for back in returns],
        account.book,
        overrides=account.tiers.overrides,
    )
    recorded = recorded_points(account, ids)
    for points in outcome.points.values():
        held = recorded.get(points.sale.id, NOTHING_RECORDED).nominal
        if held != points.net:
            yield f"purchase {points.sale.reference[0]} has {held} points, by the rules {points.net}"
    if account.spend_cents != outcome.spend_cents:
        yield f"spend {from_cents(account.spend_cents)}, by the history {from_cents(outcome.spend_cents)}"
    yield from _compare_tier(account, outcome)


def _compare_tier(account: Account, outcome: Outcome) -> Iterator[str]:
    """The columns of the tier against the fold, at the instant and by the rules that they are of."""
    state = account.tiers
    if state.follows_spend:
        reached = account.rules.ladder.reached(outcome.spend_cents)
        if state.code != (reached.code if reached is not None else ""):
            yield f"tier {state.code!r}, by the history {reached.code if reached is not None else ''!r}"
        return
    if state.at is None or not 1 <= state.revision <= len(account.book.versions):
        # From before there was more to a tier than the spend: brought up when the account is next opened.
        return
    rules = account.book.versions[state.revision - 1][1]
    at = max(filter(None, [state.at, outcome.last_at]))
    standing = outcome.standing(rules, at, state.overrides)
    code = standing.tier.code if standing.tier is not None else ""
    if state.code != code:
        yield f"tier {state.code!r}, by the history {code!r}"
    if state.amount != standing.amount or state.amount_until != standing.amount_until:
        yield (
            f"{from_cents(state.amount)} count until {state.amount_until}, by the history"
            f" {from_cents(standing.amount)} until {standing.amount_until}"
        )
    if standing.until is not None and (state.until is None or state.until > standing.until):
        yield f"tier reviewed at {state.until}, by the history it ends at {standing.until}"
