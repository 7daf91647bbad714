"""Holds, captures, redemptions and rewards at the same moment, on real PostgreSQL."""

from collections import Counter
from typing import Any

import pytest
from django.utils.timezone import now

from cloudpos.api.errors import ApiError
from customers.models import Customer, Event
from loyalty.models import Enrollment, Hold, LedgerEntry, Redemption
from loyalty.services import create_program, points
from loyalty.services.effects import PointsConflict
from loyalty.services.holds import capture_hold, release_hold
from loyalty.services.lapsing import lapse_holds
from loyalty.services.redemptions import cancel_redemption, redeem_reward
from tests.fixtures import ApiClient, Shop, meanwhile
from tests.loyalty.spending import hold, offer, run_out
from tests.loyalty.test_concurrency import THREADS, at_once
from tests.tills import findings, move, register

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice(shop: Shop) -> Customer:
    """With 100 points."""
    create_program(merchant_id=shop.merchant.pk)
    customer = register(shop, "Alice")
    move(shop.access, customer, "earned", 100)
    return customer


def kinds(answers: list[Any]) -> Counter[str]:
    return Counter(type(answer).__name__ for answer in answers)


def code_of(work: Any) -> str:
    """What was refused, or "done"."""
    try:
        work()
    except ApiError as refusal:
        return str(refusal.error_code)
    return "done"


def test_never_more_on_hold_than_there_is(shop: Shop, alice: Customer) -> None:
    access = shop.access
    answers = at_once(lambda number: hold(access, alice, f"H-{number}", 30))
    assert kinds(answers) == {"Hold": 3, "InsufficientPoints": THREADS - 3}


def test_holds_and_redemptions_share_the_balance(shop: Shop, alice: Customer) -> None:
    access = shop.access

    def work(number: int) -> Any:
        if number % 2:
            return hold(access, alice, f"H-{number}", 30)
        return move(access, alice, "redeemed", 30, f"T-{number}")

    answers = at_once(work)
    assert kinds(answers)["InsufficientPoints"] == THREADS - 3
    held = Hold.objects.count() * 30
    assert Enrollment.objects.get().balance - held == 10
    assert findings(shop) == []


def test_one_transaction_holds_once(shop: Shop, alice: Customer) -> None:
    access = shop.access
    answers = at_once(lambda number: hold(access, alice, "H-1", 30))
    assert len({answer.pk for answer in answers}) == Hold.objects.count() == 1


def test_a_hold_is_closed_once(shop: Shop, alice: Customer) -> None:
    access = shop.access
    held = hold(access, alice, "H-1", 30)

    def work(number: int) -> str:
        close = capture_hold if number % 2 else release_hold
        return code_of(lambda: close(access=access, hold_id=held.pk))

    assert Counter(at_once(work)) == {"done": 1, "hold_closed": THREADS - 1}
    held.refresh_from_db()
    captured = 30 if held.state == "captured" else 0
    assert Enrollment.objects.get().balance == 100 - captured
    assert Redemption.objects.count() == (1 if captured else 0)
    assert findings(shop) == []


def test_three_sweeps_lapse_each_hold_once(shop: Shop, alice: Customer) -> None:
    access = shop.access
    coffee = offer(shop, points=1, stock=12)
    run_out(*(hold(access, alice, f"H-{number}", reward_id=coffee.pk).pk for number in range(12)))
    answers = at_once(lambda number: lapse_holds(at=now()), threads=3)
    assert sum(answers) == 12
    assert Event.objects.filter(type="hold.lapsed").count() == 12
    coffee.refresh_from_db()
    assert coffee.taken == 0


def test_the_last_one_is_had_once(shop: Shop, alice: Customer) -> None:
    """Members at different tills want the last two of a reward."""
    access = shop.access
    coffee = offer(shop, points=10, stock=2)
    members = [alice, *(register(shop, f"Guest {number}") for number in range(THREADS - 1))]
    for member in members[1:]:
        move(access, member, "earned", 10)

    def work(number: int) -> str:
        def take() -> None:
            if number % 2:
                hold(access, members[number], f"H-{number}", reward_id=coffee.pk)
            else:
                redeem_reward(
                    access=access,
                    customer_id=members[number].pk,
                    reward_id=coffee.pk,
                    transaction_id=f"G-{number}",
                )

        return code_of(take)

    assert Counter(at_once(work)) == {"done": 2, "reward_unavailable": THREADS - 2}
    coffee.refresh_from_db()
    assert coffee.taken == 2 == Redemption.objects.count() + Hold.objects.count()


def test_a_member_s_limit_holds(shop: Shop, alice: Customer) -> None:
    access = shop.access
    coffee = offer(shop, points=10, limit_per_member=1)

    def work(number: int) -> str:
        return code_of(
            lambda: redeem_reward(
                access=access, customer_id=alice.pk, reward_id=coffee.pk, transaction_id=f"G-{number}"
            )
        )

    assert Counter(at_once(work)) == {"done": 1, "reward_unavailable": THREADS - 1}
    assert Enrollment.objects.get().balance == 90


def test_a_redemption_is_cancelled_once(shop: Shop, alice: Customer) -> None:
    access = shop.access
    coffee = offer(shop, points=10, stock=1)
    made = redeem_reward(
        access=access, customer_id=alice.pk, reward_id=coffee.pk, transaction_id="G-1"
    ).redemption

    def work(number: int) -> str:
        return code_of(lambda: cancel_redemption(access=access, redemption_id=made.pk))

    assert Counter(at_once(work)) == {"done": 1, "redemption_cancelled": THREADS - 1}
    coffee.refresh_from_db()
    assert (coffee.taken, Enrollment.objects.get().balance) == (0, 100)
    assert findings(shop) == []


def test_one_number_for_two_customers_under_the_lock(
    shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reversals take the lock of one customer, and their number is the store's."""
    access, bob = shop.access, register(shop, "Bob")
    for customer, number in ((alice, "E-1"), (bob, "E-2")):
        move(access, customer, "earned", 50, number)
    look = points.reverse

    def look_and_wait(**named: Any) -> Any:
        monkeypatch.setattr(points, "reverse", look)
        found = look(**named)
        meanwhile(lambda: move(access, bob, "reversed", 10, "V-1", reverses_transaction_id="E-2"))
        return found

    monkeypatch.setattr(points, "reverse", look_and_wait)
    with pytest.raises(PointsConflict):
        move(access, alice, "reversed", 10, "V-1", reverses_transaction_id="E-1")
    balances = dict(Enrollment.objects.values_list("customer__first_name", "balance"))
    assert balances == {"Alice": 150, "Bob": 40}
    assert findings(shop) == []


def test_everything_at_once(shop: Shop, alice: Customer) -> None:
    """Whatever the order: what is left, and what each entry says, adds up to what was given."""
    access = shop.access
    coffee = offer(shop, points=7, stock=5)

    def work(number: int) -> None:
        for step in range(4):
            name = f"{number}-{step}"
            code_of(lambda name=name: move(access, alice, "redeemed", 3, f"T-{name}"))
            try:
                held = hold(access, alice, f"H-{name}", 5)
                if step % 2:
                    capture_hold(access=access, hold_id=held.pk, points=4)
                else:
                    release_hold(access=access, hold_id=held.pk)
                made = redeem_reward(
                    access=access, customer_id=alice.pk, reward_id=coffee.pk, transaction_id=f"G-{name}"
                )
                if step % 2:
                    cancel_redemption(access=access, redemption_id=made.redemption.pk)
            except ApiError as refusal:
                assert refusal.error_code in ("insufficient_points", "reward_unavailable")

    assert at_once(work) == [None] * THREADS
    left = Enrollment.objects.get().balance
    assert left == sum(LedgerEntry.objects.values_list("points", flat=True)) >= 0
    had = Redemption.objects.filter(reward=coffee, state="redeemed").count()
    on_hold = Hold.objects.filter(state="held").count()
    coffee.refresh_from_db()
    assert (coffee.taken, on_hold) == (had, 0)
    assert findings(shop) == []


@pytest.mark.parametrize("attempt", [1, 2])
def test_two_hundred_redemptions_of_what_lasts_for_a_hundred(
    shop: Shop, alice: Customer, attempt: int, settings: Any
) -> None:
    """Through HTTP; benchmarks/redemption_race.py does the same with a server, for longer."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**9)
    move(shop.access, alice, "earned", 900)
    tills = 10

    def work(till: int) -> Counter[tuple[int, str]]:
        client = ApiClient(user_id=shop.cashier.user_id, store_id=shop.store.pk)
        answers: Counter[tuple[int, str]] = Counter()
        for step in range(200 // tills):
            body = {
                "customerId": str(alice.pk),
                "type": "redeemed",
                "points": 10,
                "transactionId": f"R-{till}-{step}",
            }
            response = client.post("/customers/loyalty/points", body)
            answers[response.status_code, response.json().get("code", "")] += 1
        return answers

    answers = sum(at_once(work, threads=tills), Counter())
    assert answers == {(201, ""): 100, (409, "insufficient_points"): 100}
    assert Enrollment.objects.get().balance == 0
    assert findings(shop) == []
