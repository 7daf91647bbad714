"""Tills send late, twice and in any order: the books end the same, and the same as those of a bulk load."""

import calendar
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpos.checkout.bulk import load_history
from cloudpos.checkout.returns import PurchaseNotFound
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Store
from customers.models import Customer
from loyalty.rules import TierRule
from loyalty.services import create_program
from tests.fixtures import Shop
from tests.tills import books, bring_back, findings, minutes, register, sell

pytestmark = pytest.mark.django_db

# Close together, so that a short history crosses them up and down.
TIERS = [
    TierRule("bronze", "Bronze", 0, Decimal("1")),
    TierRule("silver", "Silver", 50_00, Decimal("1.5")),
    TierRule("gold", "Gold", 120_00, Decimal("2.25")),
]


@dataclass(frozen=True)
class Return:
    cents: int
    minute: int


@dataclass(frozen=True)
class Sale:
    cents: int
    minute: int
    store: int
    returns: tuple[Return, ...]


@st.composite
def sales(draw: st.DrawFn) -> Sale:
    # About the size of a tier, so that nearly every order but the right one earns something else.
    cents = draw(st.one_of(st.integers(20_00, 70_00), st.sampled_from([0, 1, 49_99, 50_00])))
    minute = draw(st.integers(0, 5))
    returns = []
    left = cents
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        if left == 0:
            break
        back = draw(st.one_of(st.just(left), st.integers(1, left)))
        # Also before its sale, when a till's clock is wrong.
        returns.append(Return(back, draw(st.integers(minute - 2, 8))))
        left -= back
    return Sale(cents, minute, draw(st.integers(0, 1)), tuple(returns))


histories = st.lists(sales(), min_size=3, max_size=6)


@dataclass(frozen=True)
class Message:
    """What one till sends once."""

    sale: int
    back: int | None = None


def messages(history: Sequence[Sale]) -> list[Message]:
    return [
        message
        for number, sale in enumerate(history)
        for message in (Message(number), *(Message(number, back) for back in range(len(sale.returns))))
    ]


class Tills:
    """Sends the messages of one history for one customer; a return that comes before its sale is sent again later."""

    def __init__(self, access: Sequence[Access], customer: Customer, history: Sequence[Sale]) -> None:
        self.access = access
        self.customer = customer
        self.history = history
        # Another customer's history has the same content under other numbers.
        self.prefix = uuid.uuid4().hex[:8]

    def send(self, order: Sequence[Message]) -> None:
        waiting = deque(order)
        while waiting:
            message = waiting.popleft()
            try:
                self._send(message)
            except PurchaseNotFound:
                waiting.append(message)

    def _send(self, message: Message) -> None:
        sale = self.history[message.sale]
        access = self.access[sale.store]
        number = f"{self.prefix}-{message.sale}"
        if message.back is None:
            sell(access, self.customer, number, str(Decimal(sale.cents) / 100), minutes(sale.minute))
        else:
            back = sale.returns[message.back]
            bring_back(
                access,
                number,
                f"{number}-{message.back}",
                str(Decimal(back.cents) / 100),
                minutes(back.minute),
            )

    def rows(self) -> list[dict[str, Any]]:
        """The history as the bulk load takes it."""
        return [
            {
                "customer_id": self.customer.pk,
                "store_id": self.access[sale.store].store_id,
                "transaction_id": f"{self.prefix}-{number}",
                "amount": Decimal(sale.cents) / 100,
                "occurred_at": minutes(sale.minute),
                "returns": [
                    {
                        "store_id": self.access[sale.store].store_id,
                        "transaction_id": f"{self.prefix}-{number}-{place}",
                        "amount": Decimal(back.cents) / 100,
                        "occurred_at": minutes(back.minute),
                    }
                    for place, back in enumerate(sale.returns)
                ],
            }
            for number, sale in enumerate(self.history)
        ]

    def books(self) -> dict[str, Any]:
        found = books(self.customer)
        found["points"] = {number.removeprefix(self.prefix): each for number, each in found["points"].items()}
        return found


def by_hand(history: Sequence[Sale]) -> dict[str, Any]:
    """The balance, tier and points of a history, worked out once more without the service's own rules."""
    steps: list[tuple[int, int, str, int, int]] = []
    for number, sale in enumerate(history):
        steps.append((sale.minute, 0, str(number), number, sale.cents))
        for place, back in enumerate(sale.returns):
            steps.append((max(back.minute, sale.minute), 1, f"{number}-{place}", number, back.cents))
    # Store ids are of one merchant: transaction ids alone are unique here, so they decide.
    spend, gross, returned = 0, {}, dict.fromkeys(range(len(history)), 0)
    for _, kind, _, number, cents in sorted(steps):
        if kind == 0:
            factor = Decimal("2.25") if spend >= 120_00 else Decimal("1.5") if spend >= 50_00 else Decimal(1)
            gross[number] = int(Decimal(cents) / 100 * factor)
            spend += cents
        else:
            returned[number] += cents
            spend -= cents
    points = {
        f"-{number}": gross[number] - (gross[number] * returned[number] // sale.cents if sale.cents else 0)
        for number, sale in enumerate(history)
    }
    tier = "gold" if spend >= 120_00 else "silver" if spend >= 50_00 else "bronze"
    return {"points": points, "balance": sum(points.values()), "tier": tier, "spend": Decimal(spend) / 100}


@pytest.fixture
def two_stores(shop: Shop) -> Iterator[list[Access]]:
    """Whatever the examples did, the ledger of all of them together is sound."""
    create_program(merchant_id=shop.merchant.pk, tiers=TIERS)
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    yield [shop.access, replace(shop.access, store_id=second.pk)]
    assert findings(shop) == []


@settings(max_examples=30)
@given(history=histories, seed=st.integers(0, 2**32))
def test_any_order_ends_in_the_same_books(
    shop: Shop, two_stores: list[Access], history: list[Sale], seed: int
) -> None:
    # Hypothesis draws permutations that are nearly in order: these are not.
    chance = Random(seed)
    sent = messages(history)
    shuffled = chance.sample(sent, len(sent))
    repeated = chance.choices(sent, k=3)

    alice = Tills(two_stores, register(shop, "Alice"), history)
    alice.send([*shuffled, *repeated, *reversed(repeated)])
    bob = Tills(two_stores, register(shop, "Bob"), history)
    load_history(access=two_stores[0], sales=bob.rows())

    expected = by_hand(history)
    for till in (alice, bob):
        found = till.books()
        assert found["points"] == expected["points"]
        assert found["balance"] == found["shown"] == expected["balance"]
        assert found["tier"] == (expected["tier"], expected["tier"])
        assert found["spend"] == (expected["spend"], expected["spend"])
        assert found["shortfall"] == 0
        assert found["visits"] == (
            len(history),
            minutes(min(sale.minute for sale in history)),
            minutes(max(sale.minute for sale in history)),
        )
    assert alice.books() == bob.books()


@settings(max_examples=15)
@given(history=histories, seed=st.integers(0, 2**32))
def test_a_bulk_load_after_any_part_of_the_history_ends_in_the_same_books(
    shop: Shop, two_stores: list[Access], history: list[Sale], seed: int
) -> None:
    sent = messages(history)
    known = {message.sale for message in Random(seed).choices(sent, k=3)}
    alice = Tills(two_stores, register(shop, "Alice"), history)
    alice.send([message for message in sent if message.sale in known and message.back is None])
    first = load_history(access=two_stores[0], sales=alice.rows())
    again = load_history(access=two_stores[0], sales=alice.rows())

    assert first.purchases + first.returns == len(sent) - len(known)
    assert (again.purchases, again.returns, again.repeated) == (0, 0, len(sent))
    expected = by_hand(history)
    found = alice.books()
    assert (found["points"], found["balance"]) == (expected["points"], expected["balance"])


# --- Tiers in a window of time --------------------------------------------------------------------------------------

# A minute of a history stands for so many days: some purchases have left the window by the next.
DAYS = 20


@pytest.fixture
def rolling_stores(shop: Shop) -> Iterator[list[Access]]:
    """A purchase counts for a month."""
    create_program(merchant_id=shop.merchant.pk, tiers=TIERS, tier_window="rolling", tier_months=1)
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    yield [shop.access, replace(shop.access, store_id=second.pk)]
    with time_machine.travel(minutes(9 * DAYS * 1440), tick=False):
        assert findings(shop) == []


class SlowTills(Tills):
    """The same messages, with weeks between the minutes."""

    def _send(self, message: Message) -> None:
        sale = self.history[message.sale]
        access = self.access[sale.store]
        number = f"{self.prefix}-{message.sale}"
        if message.back is None:
            amount, at = str(Decimal(sale.cents) / 100), minutes(sale.minute * DAYS * 1440)
            sell(access, self.customer, number, amount, at)
        else:
            back = sale.returns[message.back]
            at = minutes(back.minute * DAYS * 1440)
            bring_back(access, number, f"{number}-{message.back}", str(Decimal(back.cents) / 100), at)

    def rows(self) -> list[dict[str, Any]]:
        found = super().rows()
        for row, sale in zip(found, self.history, strict=True):
            row["occurred_at"] = minutes(sale.minute * DAYS * 1440)
            for told, back in zip(row["returns"], sale.returns, strict=True):
                told["occurred_at"] = minutes(back.minute * DAYS * 1440)
        return found


def by_hand_in_a_window(history: Sequence[Sale], months: int) -> dict[str, Any]:
    """Points and the tier in the end, by the calendar: no rules of the service."""
    steps: list[tuple[int, int, str, int, int]] = []
    for number, sale in enumerate(history):
        steps.append((sale.minute, 0, str(number), number, sale.cents))
        for place, back in enumerate(sale.returns):
            steps.append((max(back.minute, sale.minute), 1, f"{number}-{place}", number, back.cents))

    def day(minute: int) -> date:
        return minutes(minute * DAYS * 1440).date()

    def last_day(bought: date) -> date:
        month = bought.month - 1 + months
        year, month = bought.year + month // 12, month % 12 + 1
        return date(year, month, min(bought.day, calendar.monthrange(year, month)[1]))

    net: dict[int, int] = {}
    gross: dict[int, int] = {}

    def factor(on: date) -> tuple[str, Decimal]:
        counts = sum(cents for number, cents in net.items() if last_day(day(history[number].minute)) >= on)
        if counts >= 120_00:
            return "gold", Decimal("2.25")
        return ("silver", Decimal("1.5")) if counts >= 50_00 else ("bronze", Decimal(1))

    for minute, kind, _, number, cents in sorted(steps):
        if kind == 0:
            gross[number] = int(Decimal(cents) / 100 * factor(day(minute))[1])
            net[number] = cents
        else:
            net[number] -= cents
    points = {
        f"-{number}": gross[number]
        - (gross[number] * (sale.cents - net[number]) // sale.cents if sale.cents else 0)
        for number, sale in enumerate(history)
    }
    return {"points": points, "tier": factor(day(9))[0]}


@settings(max_examples=12)
@given(history=histories, seed=st.integers(0, 2**32))
def test_any_order_ends_in_the_same_books_also_where_purchases_leave_a_window(
    shop: Shop, rolling_stores: list[Access], history: list[Sale], seed: int
) -> None:
    with time_machine.travel(minutes(9 * DAYS * 1440), tick=False):
        chance = Random(seed)
        sent = messages(history)
        alice = SlowTills(rolling_stores, register(shop, "Alice"), history)
        alice.send([*chance.sample(sent, len(sent)), *chance.choices(sent, k=3)])
        bob = SlowTills(rolling_stores, register(shop, "Bob"), history)
        load_history(access=rolling_stores[0], sales=bob.rows())

        expected = by_hand_in_a_window(history, 1)
        for till in (alice, bob):
            found = till.books()
            assert found["points"] == expected["points"]
            assert found["tier"] == (expected["tier"], expected["tier"])
        assert alice.books() == bob.books()
