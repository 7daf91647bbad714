"""Points moved by hand: given and redeemed over many accounts, and all on one."""

from __future__ import annotations

import functools
import itertools
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from benchmarks.load import Call
from benchmarks.scenarios import CREATED, Counterparty, Scenario

ACCOUNTS = 10_000
# Whom points are taken from has enough for a long run.
POINTS_MIN = 100
HOT = "HOT"


@functools.cache
def _accounts(merchant_id: uuid.UUID) -> list[str]:
    """Customers with points."""
    from customers.models import Customer

    rows = Customer.objects.for_merchant(merchant_id).visible().filter(points__gte=POINTS_MIN)
    return [str(customer_id) for customer_id in rows.values_list("id", flat=True)[:ACCOUNTS]]


def _call(customer_id: str, type: str, points: int, transaction_id: str) -> Call:
    body = {
        "customerId": customer_id,
        "type": type,
        "points": points,
        "description": "Coffee",
        "transactionId": transaction_id,
    }
    return Call("POST", "/api/v1/customers/loyalty/points", orjson.dumps(body))


def _spread(type: str) -> Callable[[Counterparty], Callable[[], Call]]:
    def calls(at: Counterparty) -> Callable[[], Call]:
        run = datetime.now(UTC).strftime("%H%M%S%f")
        accounts = _accounts(at.merchant_id)
        return lambda: _call(at.chance.choice(accounts), type, 1, f"{type[0]}{run}-{next(at.serial)}")

    return calls


def _hot(at: Counterparty) -> Callable[[], Call]:
    """Three points given and two taken, in turn: whatever is answered late, there are enough."""
    run = datetime.now(UTC).strftime("%H%M%S%f")
    customer_id = _accounts(at.merchant_id)[0]
    turns = itertools.cycle([("earned", 3), ("redeemed", 2)])

    def call() -> Call:
        type, points = next(turns)
        return _call(customer_id, type, points, f"{HOT}{run}-{next(at.serial)}")

    return call


def _check_hot(at: Counterparty, answered: int) -> str:
    """No effect lost and none double: what was answered is there, and the balance is the sum of what is there."""
    from loyalty.models import Enrollment, LedgerEntry, Lot

    customer_id = _accounts(at.merchant_id)[0]
    account = Enrollment.objects.for_merchant(at.merchant_id).get(customer_id=customer_id)
    entries = LedgerEntry.objects.for_merchant(at.merchant_id).filter(enrollment=account)
    moved = list(entries.values_list("points", "transaction_id"))
    of_lots = Lot.objects.for_merchant(at.merchant_id).filter(enrollment=account)
    left = sum(of_lots.values_list("remaining", flat=True))
    if not account.balance == sum(points for points, _ in moved) == left:
        return f"balance {account.balance}, entries {sum(points for points, _ in moved)}, lots {left}"
    done = [number for _, number in moved if number.startswith(HOT)]
    # Some were asked for before the time that is measured.
    if len(set(done)) != len(done) or len(done) < answered:
        return f"{answered} were answered, {len(done)} entries of {len(set(done))} requests are on record"
    return ""


POINTS_SCENARIOS = [
    Scenario("earn", "Give points", _spread("earned"), expected=CREATED, goal=0.20),
    Scenario("redeem", "Redeem points", _spread("redeemed"), expected=CREATED, goal=0.20),
    Scenario(
        "points-hot",
        "Give and redeem on one account",
        _hot,
        expected=CREATED,
        goal=0.10,
        both=False,
        check=_check_hot,
    ),
]
