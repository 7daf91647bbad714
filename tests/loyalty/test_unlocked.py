"""Points moved without waiting for the customer's lock: two statements, and the same as if there had been one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from customers.events import emit_all
from customers.models import Customer, Event
from customers.services import delete_customer, update_customer
from loyalty.ledger import Cause
from loyalty.models import Enrollment, LedgerEntry, Lot, Program
from loyalty.services import InsufficientPoints, effects, read_account
from loyalty.services.effects import PointsConflict
from tests.fixtures import Shop
from tests.loyalty.spending import hold
from tests.tills import bring_back, findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(shop: Shop, program: Program) -> Customer:
    """With 100 points in two lots."""
    customer = register(shop, "Alice")
    move(shop.access, customer, "earned", 60)
    move(shop.access, customer, "earned", 40)
    return customer


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Have something happen between the next look at an account and what is written on it."""
    look = effects.read_member

    def arrange(happens: Callable[[], Any]) -> None:
        def look_and_wait(**named: Any) -> Any:
            found = look(**named)
            monkeypatch.setattr(effects, "read_member", look)
            happens()
            return found

        monkeypatch.setattr(effects, "read_member", look_and_wait)

    return arrange


@pytest.mark.parametrize(
    ("type", "points"), [("earned", 7), ("redeemed", 70), ("adjusted", 7), ("adjusted", -7)]
)
def test_two_statements(shop: Shop, alice: Customer, type: str, points: int) -> None:
    """One looks, one writes, which is a transaction by itself. What is held comes with the account."""
    hold(shop.access, alice, "H-1", 10)
    access = shop.owner.access
    with CaptureQueriesContext(connection) as queries:
        move(access, alice, type, points, "T-1")
    assert len(queries) == 2, [query["sql"] for query in queries]
    assert findings(shop) == []


def test_points_that_are_over_are_expired_by_the_way(shop: Shop, alice: Customer) -> None:
    Lot.objects.filter(points=60).update(expires_at=now() - timedelta(seconds=1))
    move(shop.access, alice, "redeemed", 40, "T-1")
    assert list(LedgerEntry.objects.order_by("version").values_list("type", "points"))[2:] == [
        ("expired", -60),
        ("redeemed", -40),
    ]
    assert findings(shop) == []


def test_a_hold_made_meanwhile_is_not_spent(
    shop: Shop, alice: Customer, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    meanwhile(lambda: hold(shop.access, alice, "H-1", 60))
    with pytest.raises(InsufficientPoints):
        move(shop.access, alice, "redeemed", 50, "T-1")
    assert Enrollment.objects.get().balance == 100
    assert move(shop.access, alice, "redeemed", 40, "T-1").is_new


@pytest.mark.parametrize(
    "happens",
    [
        lambda shop, alice: move(shop.access, alice, "redeemed", 20, "T-0"),
        lambda shop, alice: move(shop.access, alice, "earned", 20, "T-0"),
        lambda shop, alice: sell(shop.access, alice, "T-0", "20"),
        lambda shop, alice: update_customer(
            access=shop.access, customer_id=alice.pk, data={"first_name": "Alicia"}
        ),
    ],
)
@pytest.mark.parametrize(("type", "points"), [("earned", 30), ("redeemed", 70)])
def test_what_happens_meanwhile_counts(
    shop: Shop,
    alice: Customer,
    meanwhile: Callable[[Callable[[], Any]], None],
    happens: Callable[[Shop, Customer], Any],
    type: str,
    points: int,
) -> None:
    meanwhile(lambda: happens(shop, alice))
    answer = move(shop.access, alice, type, points, "T-1")
    account = Enrollment.objects.get()
    assert answer.is_new and answer.transaction["balance"] == account.balance
    assert account.balance == sum(LedgerEntry.objects.values_list("points", flat=True))
    alice.refresh_from_db()
    assert (alice.points, alice.tier) == (account.balance, account.tier)
    assert Event.objects.filter(type=f"points.{type}", data__points=answer.transaction["points"]).count() == 1
    assert findings(shop) == []


def test_a_return_meanwhile(
    shop: Shop, alice: Customer, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    sell(shop.access, alice, "S-1", "30", minutes(0))
    meanwhile(lambda: bring_back(shop.access, "S-1", "R-1"))
    with pytest.raises(InsufficientPoints):
        move(shop.access, alice, "redeemed", 101)
    assert findings(shop) == []


def test_the_same_request_meanwhile_has_the_same_answer(
    shop: Shop, alice: Customer, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    first: list[Any] = []
    meanwhile(lambda: first.append(move(shop.access, alice, "redeemed", 70, "T-1")))
    second = move(shop.access, alice, "redeemed", 70, "T-1")
    assert (first[0].is_new, second.is_new) == (True, False)
    assert second.transaction == first[0].transaction


def test_one_number_for_two_customers(
    shop: Shop, alice: Customer, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    """Neither customer's version says so: the index does, and then nothing at all is written."""
    bob = register(shop, "Bob")
    move(shop.access, bob, "earned", 50, "T-0")
    meanwhile(lambda: move(shop.access, bob, "redeemed", 10, "T-1"))
    before = Customer.objects.values_list("version", "points").get(pk=alice.pk)
    with pytest.raises(PointsConflict):
        move(shop.access, alice, "redeemed", 70, "T-1")
    assert Customer.objects.values_list("version", "points").get(pk=alice.pk) == before
    assert Enrollment.objects.get(customer_id=alice.pk).balance == 100
    assert findings(shop) == []


def test_nothing_is_given_to_whom_is_deleted_meanwhile(
    shop: Shop, alice: Customer, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    meanwhile(lambda: delete_customer(access=shop.owner.access, customer_id=alice.pk))
    with pytest.raises(Exception, match="no such customer"):
        move(shop.access, alice, "earned", 5, "T-1")
    assert Enrollment.objects.get().balance == 100


def test_what_else_the_row_says_is_left_alone(
    shop: Shop, alice: Customer, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    """A job may write an account's tier without a new version of the ledger."""
    meanwhile(lambda: Enrollment.objects.update(tier="gold"))
    move(shop.access, alice, "earned", 5, "T-1")
    assert Enrollment.objects.get().tier == "gold"


@pytest.mark.parametrize(("type", "points"), [("earned", 30), ("redeemed", 70)])
def test_a_writer_who_forgot_the_customer_is_noticed(
    shop: Shop, alice: Customer, meanwhile: Callable[[Callable[[], Any]], None], type: str, points: int
) -> None:
    """The account's own version says so, where its customer's does not."""

    def write_alone() -> None:
        account = read_account(merchant_id=shop.merchant.pk, customer_id=alice.pk, lock=True)
        assert account is not None
        account.credit(type="bonus", points=20, cause=Cause(at=now()))
        account.write()
        emit_all(account.events())

    meanwhile(write_alone)
    answer = move(shop.access, alice, type, points, "T-1")
    assert answer.is_new
    assert Enrollment.objects.get().balance == 120 + (points if type == "earned" else -points)
    assert findings(shop) == []


@pytest.mark.parametrize("lots", [1, 3, 4])
def test_an_array_is_for_many_lots(shop: Shop, program: Program, bob: Customer, lots: int) -> None:
    """PostgreSQL would plan it anew at each redemption, which takes longer than to do it."""
    access = shop.access
    for _ in range(lots):
        move(access, bob, "earned", 10)
    with CaptureQueriesContext(connection) as queries:
        move(access, bob, "redeemed", 10 * lots - 5, "T-1")
    assert ("unnest" in queries[-1]["sql"]) == (lots > 3)
    assert sum(Lot.objects.values_list("remaining", flat=True)) == 5
    assert findings(shop) == []
