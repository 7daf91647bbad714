"""What `verify_ledger` finds of holds, rewards, redemptions, events and erased customers."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from cloudpos.lifecycle.erasing import erase_customer
from customers.models import Customer, Event
from loyalty.ledger import Account, StaleAccount
from loyalty.models import Enrollment, Hold, LedgerEntry, Redemption, Reward
from loyalty.services import create_program, lapsing, update_program
from loyalty.services.holds import capture_hold, release_hold
from loyalty.services.redemptions import cancel_redemption, redeem_reward
from loyalty.verification import verify
from tests.fixtures import Shop, make_shop
from tests.loyalty.spending import hold, offer
from tests.tills import bring_back, findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shop(kept: None) -> Shop:
    """A hold of each fate, a reward redeemed and cancelled, another held; Bob does the same beside Alice."""
    shop = make_shop("Corner Shop")
    create_program(merchant_id=shop.merchant.pk)
    coffee = offer(shop, name="Coffee", points=20, stock=10)
    for customer in (register(shop, "Alice", email="alice@example.org"), register(shop, "Bob")):
        give_and_spend(shop, customer, coffee)
    assert findings(shop) == []
    connection.check_constraints()
    return shop


@pytest.fixture
def spent(db: None, shop: Shop) -> Customer:
    """Alice."""
    alice: Customer = Customer.objects.for_merchant(shop.merchant).get(first_name="Alice")
    return alice


def give_and_spend(shop: Shop, customer: Customer, coffee: Reward) -> None:
    access, name = shop.access, customer.first_name
    sell(access, customer, f"{name}-1", "510", minutes(0))
    bring_back(access, f"{name}-1", f"{name}-R", "10", minutes(1))
    capture_hold(access=access, hold_id=hold(access, customer, f"{name}-2", 30).pk, points=25)
    release_hold(access=access, hold_id=hold(access, customer, f"{name}-3", 31).pk)
    lapsed = hold(access, customer, f"{name}-4", 32, ttl_seconds=60)
    with time_machine.travel(now() + timedelta(seconds=61), tick=False):
        assert lapsing.lapse_holds(at=lapsed.expires_at) == 1
    hold(access, customer, f"{name}-5", reward_id=coffee.pk)
    for number in (6, 7):
        redeemed = redeem_reward(
            access=access, customer_id=customer.pk, reward_id=coffee.pk, transaction_id=f"{name}-{number}"
        )
    cancel_redemption(access=access, redemption_id=redeemed.redemption.pk)


@pytest.fixture
def unguarded(spent: Customer) -> Iterator[None]:
    """Without triggers and checks, as after a restore that went wrong."""
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("SET session_replication_role = replica")
    for table, constraint in (
        ("loyalty_holds", "loyalty_holds_captured_once"),
        ("loyalty_holds", "loyalty_holds_closed_at"),
        ("loyalty_holds", "loyalty_holds_points_bounds"),
        ("loyalty_redemptions", "loyalty_redemptions_cancelled_at"),
        ("loyalty_rewards", "loyalty_rewards_stock_holds"),
    ):
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    yield
    execute("SET session_replication_role = DEFAULT")


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


HELD, CAPTURED, RELEASED, LAPSED = (f"WHERE transaction_id = 'Alice-{number}'" for number in (5, 2, 3, 4))
REDEEMED, CANCELLED = (f"WHERE transaction_id = 'Alice-{number}'" for number in (6, 7))
OF_CAPTURE = (
    "WHERE type = 'points.redeemed' AND data ->> 'entryId' ="
    " (SELECT id::text FROM loyalty_transactions WHERE transaction_id = 'Alice-2')"
)
OF_TIER = (
    "type = 'tier.changed' AND data ->> 'to' = 'silver'"
    " AND customer_id = (SELECT customer_id FROM loyalty_holds WHERE transaction_id = 'Alice-2')"
)

# What is done to Alice's rows, which invariants it offends, and of what it is told: her, her account or the reward.
DAMAGE = {
    "more captured than the entry took": (f"UPDATE loyalty_holds SET captured_points = 26 {CAPTURED}", {19}, "customer"),
    "captured more than was held": (f"UPDATE loyalty_holds SET points = 24 {CAPTURED}", {15, 19}, "customer"),
    "a capture of another entry": (
        f"UPDATE loyalty_holds SET entry_id = (SELECT id FROM loyalty_transactions WHERE version = 1 LIMIT 1) {CAPTURED}",
        {19},
        "customer",
    ),
    "a capture without a redemption": ("DELETE FROM loyalty_redemptions WHERE transaction_id = 'Alice-2'", {15, 19}, None),
    "a redemption of what was released": (
        "UPDATE loyalty_redemptions SET hold_id = (SELECT id FROM loyalty_holds WHERE transaction_id = 'Alice-3')"
        f" {REDEEMED}",
        {19},
        "customer",
    ),
    "captured and released": (f"UPDATE loyalty_holds SET state = 'released' {CAPTURED}", {15, 19}, "customer"),
    "released and captured": (
        "UPDATE loyalty_holds SET state = 'captured', captured_points = points, entry_id ="
        f" (SELECT id FROM loyalty_transactions WHERE transaction_id = 'Alice-2') {RELEASED}",
        {15, 19},
        "customer",
    ),
    "lapsed before its time": (f"UPDATE loyalty_holds SET closed_at = created_at {LAPSED}", {19}, "customer"),
    "released after its time": (f"UPDATE loyalty_holds SET closed_at = expires_at {RELEASED}", {19}, "customer"),
    "open and closed": (f"UPDATE loyalty_holds SET closed_at = created_at {HELD}", {19}, "customer"),
    "nothing held": (f"UPDATE loyalty_holds SET points = -1 {RELEASED}", {15, 19}, "customer"),
    "a stock that nobody took": ("UPDATE loyalty_rewards SET taken = taken + 1", {20}, "reward"),
    "more than there are": ("UPDATE loyalty_rewards SET stock = 1", {20}, "reward"),
    "a hold that gave nothing back": (
        f"UPDATE loyalty_holds SET state = 'released', closed_at = created_at {HELD}",
        {15, 20},
        None,
    ),
    "a redemption of other points": (f"UPDATE loyalty_redemptions SET points = 21 {REDEEMED}", {15, 21}, "customer"),
    "cancelled, and nothing given back": (
        f"UPDATE loyalty_redemptions SET state = 'cancelled' {REDEEMED}",
        {15, 20, 21},
        None,
    ),
    "given back, and not cancelled": (f"UPDATE loyalty_redemptions SET state = 'redeemed' {CANCELLED}", {15, 20}, None),
    "a change that nobody was told of": (f"DELETE FROM customer_events {OF_CAPTURE}", {15}, "account"),
    "a change told twice": (
        "INSERT INTO customer_events (id, merchant_id, customer_id, type, data, external_id, request_id, occurred_at,"
        " recorded_at) SELECT gen_random_uuid(), merchant_id, customer_id, type, data, '', '', occurred_at, recorded_at"
        f" FROM customer_events {OF_CAPTURE}",
        {15},
        "account",
    ),
    "a change told as another": (
        f"UPDATE customer_events SET type = 'points.adjusted' {OF_CAPTURE}",
        {15},
        None,
    ),
    "other points told": (
        f"UPDATE customer_events SET data = data || '{{\"points\": -24}}' {OF_CAPTURE}",
        {15},
        "account",
    ),
    "a change told that never was": (
        f"UPDATE customer_events SET data = data || '{{\"entryId\": \"nothing\"}}' {OF_CAPTURE}",
        {15},
        None,
    ),
    "a tier that nobody was told of": (f"DELETE FROM customer_events WHERE {OF_TIER}", {15}, "customer"),
    "a tier told twice": (
        "INSERT INTO customer_events (id, merchant_id, customer_id, type, data, external_id, request_id, occurred_at,"
        " recorded_at) SELECT gen_random_uuid(), merchant_id, customer_id, type, data, '', '', occurred_at, recorded_at"
        f" FROM customer_events WHERE {OF_TIER}",
        {15},
        "customer",
    ),
    "another tier told": (
        f"UPDATE customer_events SET data = data || '{{\"to\": \"gold\"}}' WHERE {OF_TIER}",
        {15},
        "customer",
    ),
    "a tier told that did not change": (
        "INSERT INTO customer_events (id, merchant_id, customer_id, type, data, external_id, request_id, occurred_at,"
        " recorded_at) SELECT gen_random_uuid(), merchant_id, customer_id, type, data || '{\"from\": \"silver\"}', '', '',"
        f" occurred_at, recorded_at FROM customer_events WHERE {OF_TIER}",
        {15},
        "customer",
    ),
    "a hold that nobody was told of": ("DELETE FROM customer_events WHERE type = 'hold.lapsed'", {15}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(shop: Shop, spent: Customer, unguarded: None, name: str) -> None:
    statement, numbers, whose = DAMAGE[name]
    execute(statement)
    found = [finding for _, finding in verify(merchant_id=shop.merchant.pk) if finding and finding.number]
    assert {finding.number for finding in found} == numbers
    exact = [finding for _, finding in verify(merchant_id=shop.merchant.pk, exact=True)]
    assert {finding.number for finding in exact if finding and finding.number} == numbers
    subjects = {str(subject) for finding in found for _, subject, _ in finding.offenders}
    if whose is not None:
        account = Enrollment.objects.get(customer_id=spent.pk)
        assert (
            str({"customer": spent.pk, "account": account.pk, "reward": Reward.objects.get().pk}[whose])
            in subjects
        )
    bobs = Enrollment.objects.exclude(customer_id=spent.pk).get()
    if name not in ("a hold that nobody was told of", "a capture of another entry"):
        assert subjects.isdisjoint({str(bobs.pk), str(bobs.customer_id)})


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (f"UPDATE loyalty_holds SET captured_points = 31 {CAPTURED}", "loyalty_holds_captured_once"),
        (f"UPDATE loyalty_holds SET captured_points = 1 {RELEASED}", "loyalty_holds_captured_once"),
        (f"UPDATE loyalty_holds SET closed_at = NULL {LAPSED}", "loyalty_holds_closed_at"),
        ("UPDATE loyalty_rewards SET stock = 1", "loyalty_rewards_stock_holds"),
        ("UPDATE loyalty_rewards SET taken = -1", "loyalty_rewards_stock_holds"),
    ],
)
def test_the_database_refuses(spent: Customer, statement: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        execute(statement)


def amounts() -> list[object]:
    accounts = Enrollment.objects.order_by("pk").values_list(
        "pk", "balance", "version", "net_spend", "debt_allowed"
    )
    entries = LedgerEntry.objects.order_by("pk").values_list(
        "pk",
        "version",
        "type",
        "points",
        "balance_before",
        "balance_after",
        "occurred_at",
        "transaction_id",
    )
    holds = Hold.objects.order_by("pk").values_list("pk", "points", "captured_points", "state")
    redemptions = Redemption.objects.order_by("pk").values_list("pk", "points", "discount", "state")
    customers = Customer.objects.order_by("pk").values_list("pk", "points", "total_spent", "visit_count")
    return [*accounts, *entries, *holds, *redemptions, *customers]


def test_erasing_changes_no_amount(shop: Shop, spent: Customer) -> None:
    before = amounts()
    erase_customer(access=shop.owner.access, customer_id=spent.pk)
    assert amounts() == before
    assert findings(shop) == []


def test_erasing_somebody_who_owes_changes_no_amount(shop: Shop) -> None:
    carol = register(shop, "Carol")
    update_program(merchant_id=shop.merchant.pk, shortfall="unlimited")
    sell(shop.access, carol, "T-1", "100", minutes(0))
    move(shop.access, carol, "redeemed", 90, "X-1")
    bring_back(shop.access, "T-1", "R-1", None, minutes(1))
    before = amounts()
    assert Enrollment.objects.get(customer_id=carol.pk).balance == -90
    erase_customer(access=shop.owner.access, customer_id=carol.pk)
    assert amounts() == before
    assert findings(shop) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE loyalty_transactions SET points = -24, balance_after = balance_after + 1 WHERE transaction_id = 'Alice-2'",
        "UPDATE purchases SET amount = 509 WHERE transaction_id = 'Alice-1'",
        "UPDATE purchase_returns SET amount = 9 WHERE transaction_id = 'Alice-R'",
    ],
)
def test_an_amount_that_changed_with_an_erasure_is_found(shop: Shop, spent: Customer, statement: str) -> None:
    erase_customer(access=shop.owner.access, customer_id=spent.pk)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("SET session_replication_role = replica")
    execute(statement)
    execute("SET session_replication_role = DEFAULT")
    found = {finding.number: finding for _, finding in verify() if finding is not None}
    assert [subject for _, subject, _ in found[17].offenders] == [spent.pk]


def test_a_change_that_is_rolled_back_tells_nobody(
    shop: Shop, spent: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(account: Account, written: int) -> None:
        raise StaleAccount

    before = Event.objects.count()
    monkeypatch.setattr(Account, "check", fail)
    with pytest.raises(StaleAccount):
        sell(shop.access, spent, "T-9", "5")
    assert Event.objects.count() == before
    assert findings(shop) == []
