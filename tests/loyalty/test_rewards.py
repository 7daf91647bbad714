"""The catalogue, what a customer can have of it, redeeming a reward and cancelling a redemption."""

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils.timezone import now

from customers.models import Customer, Event
from loyalty.models import Allocation, LedgerEntry, Lot, Program, Redemption, Reward
from tests.fixtures import Shop
from tests.loyalty.spending import COFFEE, hold, offer, run_out
from tests.tills import findings, move, register

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(shop: Shop, program: Program) -> Customer:
    """With 120 points, in two lots."""
    customer = register(shop, "Alice")
    move(shop.access, customer, "earned", 40)
    move(shop.access, customer, "earned", 80)
    return customer


def redeem(shop: Shop, customer: Customer, reward: Reward, transaction_id: str = "G-1") -> Any:
    path = f"/customers/{customer.pk}/loyalty/rewards/{reward.pk}/redeem"
    return shop.cashier.post(path, {"transactionId": transaction_id})


def taken(reward: Reward) -> int:
    reward.refresh_from_db()
    return reward.taken


# --- Catalogue --------------------------------------------------------------------------------------------------


def test_a_manager_keeps_the_catalogue(shop: Shop, program: Program) -> None:
    body = {
        "name": "Five off",
        "kind": "fixed",
        "value": "5.00",
        "points": 500,
        "tiers": ["gold"],
        "stock": 10,
    }
    response = shop.manager.post("/loyalty/rewards", body)
    assert response.status_code == 201
    found = response.json()["data"]
    assert response.headers["Location"] == f"/api/v1/loyalty/rewards/{found['id']}"
    assert found == {
        "id": found["id"],
        "name": "Five off",
        "description": "",
        "kind": "fixed",
        "value": "5.00",
        "sku": "",
        "points": 500,
        "limitPerMember": None,
        "stock": 10,
        "taken": 0,
        "left": 10,
        "tiers": ["gold"],
        "validFrom": None,
        "validUntil": None,
        "isActive": True,
        "archivedAt": None,
        "version": 1,
        "createdAt": found["createdAt"],
        "updatedAt": found["updatedAt"],
    }
    path = f"/loyalty/rewards/{found['id']}"
    assert shop.cashier.get(path).json()["data"] == found
    changed = shop.manager.patch(path, {"points": 400, "stock": None}).json()["data"]
    assert (changed["points"], changed["stock"], changed["left"]) == (400, None, None)
    assert [each["id"] for each in shop.cashier.get("/loyalty/rewards").json()["data"]["rewards"]] == [
        found["id"]
    ]
    assert shop.cashier.get("/loyalty/rewards?kind=percentage").json()["data"]["rewards"] == []
    for response in (
        shop.cashier.post("/loyalty/rewards", body),
        shop.cashier.patch(path, {"points": 1}),
        shop.cashier.delete(path),
    ):
        assert response.status_code == 403
    for _ in range(2):
        assert shop.manager.delete(path).status_code == 200
    assert shop.cashier.get("/loyalty/rewards").json()["data"]["rewards"] == []
    assert shop.cashier.get(path).json()["data"]["archivedAt"]
    assert shop.manager.patch(path, {"points": 1}).status_code == 404


def test_if_match(shop: Shop, program: Program, alice: Customer) -> None:
    made = shop.manager.post("/loyalty/rewards", COFFEE)
    path = f"/loyalty/rewards/{made.json()['data']['id']}"
    assert (made.headers["ETag"], shop.cashier.get(path).headers["ETag"]) == ('"1"', '"1"')
    # What tills take of it is no change of what the manager read.
    assert redeem(shop, alice, Reward.objects.get()).status_code == 201
    changed = shop.manager.patch(path, {"points": 60}, headers={"if-match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    for stale in (
        shop.manager.patch(path, {"points": 70}, headers={"if-match": '"1"'}),
        shop.manager.delete(path, headers={"if-match": '"1"'}),
    ):
        assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    same = shop.manager.patch(path, {"points": 60}, headers={"if-match": '"2"'})
    assert (same.status_code, same.headers["ETag"]) == (200, '"2"')
    gone = shop.manager.delete(path, headers={"if-match": '"2"'})
    assert gone.status_code == 200
    assert shop.cashier.get(path).headers["ETag"] == '"3"'


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "fixed", "sku": ""}, "value"),
        ({"kind": "fixed", "value": "1.00"}, "sku"),
        ({"kind": "percentage", "sku": "", "value": "100.01"}, "value"),
        ({"sku": ""}, "sku"),
        ({"value": "1.00"}, "value"),
        ({"tiers": ["diamond"]}, "tiers"),
        ({"validFrom": "2026-02-01T00:00:00Z", "validUntil": "2026-02-01T00:00:00Z"}, "validUntil"),
        ({"points": 0}, "points"),
        ({"points": "50"}, "points"),
        ({"points": 2**31}, "points"),
        ({"limitPerMember": 0}, "limitPerMember"),
        ({"stock": -1}, "stock"),
    ],
)
def test_a_reward_that_cannot_be(shop: Shop, program: Program, wrong: dict[str, Any], field: str) -> None:
    response = shop.manager.post("/loyalty/rewards", {**COFFEE, **wrong})
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]
    made = offer(shop)
    assert shop.manager.patch(f"/loyalty/rewards/{made.pk}", wrong).status_code == 400


def test_stock_is_not_set_below_what_is_taken(shop: Shop, alice: Customer) -> None:
    coffee = offer(shop, stock=5)
    assert (
        redeem(shop, alice, coffee, "G-1").status_code
        == redeem(shop, alice, coffee, "G-2").status_code
        == 201
    )
    response = shop.manager.patch(f"/loyalty/rewards/{coffee.pk}", {"stock": 1})
    assert (response.status_code, response.json()["code"], response.json()["taken"]) == (
        409,
        "stock_below_taken",
        2,
    )
    assert shop.manager.patch(f"/loyalty/rewards/{coffee.pk}", {"stock": 2}).json()["data"]["left"] == 0


def test_another_merchant_s_catalogue_is_absent(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    coffee = offer(shop)
    made = redeem(shop, alice, coffee).json()["data"]
    stranger = register(foreign_shop, "Stranger")
    for response in (
        foreign_shop.owner.get(f"/loyalty/rewards/{coffee.pk}"),
        foreign_shop.owner.patch(f"/loyalty/rewards/{coffee.pk}", {"points": 1}),
        foreign_shop.owner.delete(f"/loyalty/rewards/{coffee.pk}"),
        foreign_shop.owner.post(f"/loyalty/redemptions/{made['id']}/cancel"),
        foreign_shop.owner.get(f"/customers/{alice.pk}/loyalty/rewards"),
        redeem(foreign_shop, alice, coffee),
        shop.cashier.post(
            f"/customers/{stranger.pk}/loyalty/rewards/{coffee.pk}/redeem", {"transactionId": "X"}
        ),
    ):
        assert response.status_code == 404
    assert foreign_shop.owner.get("/loyalty/rewards").json()["data"]["rewards"] == []
    assert taken(coffee) == 1


# --- What a customer can have -----------------------------------------------------------------------------------


def test_what_a_customer_can_have_and_why_not(shop: Shop, alice: Customer) -> None:
    day = timedelta(days=1)
    rewards = {
        "yes": offer(shop, points=50),
        "dear": offer(shop, points=121),
        "gold": offer(shop, tiers=["gold", "platinum"]),
        "bronze": offer(shop, tiers=["bronze"]),
        "later": offer(shop, valid_from=now() + day),
        "over": offer(shop, valid_until=now() - day),
        "off": offer(shop, is_active=False),
        "gone": offer(shop, stock=0),
        "once": offer(shop, points=1, limit_per_member=1),
    }
    assert redeem(shop, alice, rewards["once"], "G-0").status_code == 201
    shop.manager.delete(f"/loyalty/rewards/{offer(shop).pk}")
    found = shop.cashier.get(f"/customers/{alice.pk}/loyalty/rewards").json()["data"]["rewards"]
    by_id = {each["reward"]["id"]: each for each in found}
    reasons = {name: by_id[str(reward.pk)]["reasons"] for name, reward in rewards.items()}
    assert reasons == {
        "yes": [],
        "dear": ["insufficient_points"],
        "gold": ["wrong_tier"],
        "bronze": [],
        "later": ["not_started"],
        "over": ["ended"],
        "off": ["inactive"],
        "gone": ["out_of_stock"],
        "once": ["limit_reached"],
    }
    assert len(found) == len(rewards)
    assert all(each["eligible"] == (not each["reasons"]) for each in found)
    assert by_id[str(rewards["dear"].pk)]["missing"] == 2
    # Redeeming says the same.
    for name, expected in reasons.items():
        response = redeem(shop, alice, rewards[name], f"T-{name}")
        if not expected:
            assert response.status_code == 201
        elif name == "dear":
            assert (response.status_code, response.json()["code"]) == (409, "insufficient_points")
        else:
            assert (response.status_code, response.json()["reasons"]) == (409, expected)


def test_offers_count_what_is_on_hold(shop: Shop, alice: Customer) -> None:
    coffee = offer(shop, stock=1)
    held = hold(shop.access, alice, "H-1", 71)

    def reasons() -> Any:
        (found,) = shop.cashier.get(f"/customers/{alice.pk}/loyalty/rewards").json()["data"]["rewards"]
        return found["reasons"], found["missing"], found["reward"]["left"]

    assert reasons() == (["insufficient_points"], 1, 1)
    run_out(held.pk)
    last = hold(shop.access, alice, "H-2", reward_id=coffee.pk)
    assert reasons() == (["out_of_stock"], 0, 0)
    run_out(last.pk)
    assert reasons() == ([], 0, 1)


# --- Redeeming --------------------------------------------------------------------------------------------------


def test_redeeming_a_reward(shop: Shop, alice: Customer) -> None:
    five = offer(shop, name="Five off", kind="fixed", sku="", value=Decimal("5.00"))
    response = redeem(shop, alice, five)
    assert response.status_code == 201
    found = response.json()["data"]
    assert found == {
        "id": found["id"],
        "customerId": str(alice.pk),
        "rewardId": str(five.pk),
        "holdId": None,
        "points": 50,
        "discount": "5.00",
        "state": "redeemed",
        "balance": 70,
        "transactionId": "G-1",
        "storeId": str(shop.store.pk),
        "redeemedAt": found["redeemedAt"],
        "cancelledAt": None,
    }
    again = redeem(shop, alice, five)
    assert (again.status_code, again.json()["data"]) == (200, found)
    other = redeem(shop, alice, offer(shop))
    assert (other.status_code, other.json()["code"]) == (409, "transaction_conflict")
    entry = LedgerEntry.objects.get(type="redeemed")
    assert (entry.points, entry.description, entry.transaction_id) == (-50, "Reward: Five off", "G-1")
    assert Event.objects.filter(type="redemption.made").get().data == {
        "redemptionId": found["id"],
        "rewardId": str(five.pk),
        "entryId": str(entry.pk),
        "points": 50,
    }
    assert taken(five) == 1
    assert findings(shop) == []


def test_a_transaction_that_did_something_else(shop: Shop, alice: Customer) -> None:
    coffee = offer(shop)
    move(shop.cashier.access, alice, "redeemed", 1, "T-1")
    hold(shop.cashier.access, alice, "T-2", 1)
    for transaction_id in ("T-1", "T-2"):
        response = redeem(shop, alice, coffee, transaction_id)
        assert (response.status_code, response.json()["code"]) == (409, "transaction_conflict")
    assert taken(coffee) == 0


def test_too_few_points_take_no_stock(shop: Shop, alice: Customer) -> None:
    dear = offer(shop, points=121, stock=1)
    response = redeem(shop, alice, dear)
    assert response.status_code == 409
    found = response.json()
    assert (found["code"], found["balance"], found["available"], found["missing"]) == (
        "insufficient_points",
        120,
        120,
        1,
    )
    assert taken(dear) == 0


def test_an_unknown_reward(shop: Shop, alice: Customer) -> None:
    path = f"/customers/{alice.pk}/loyalty/rewards/{uuid.uuid4()}/redeem"
    response = shop.cashier.post(path, {"transactionId": "G-1"})
    assert (response.status_code, response.json()["code"]) == (404, "reward_not_found")
    assert shop.cashier.post(path, {}).status_code == 400


# --- Cancelling -------------------------------------------------------------------------------------------------


def test_cancelling_puts_everything_back(shop: Shop, alice: Customer) -> None:
    coffee = offer(shop, stock=1, limit_per_member=1)
    before = list(Lot.objects.order_by("id").values_list("pk", "remaining"))
    made = redeem(shop, alice, coffee).json()["data"]
    assert list(Lot.objects.order_by("id").values_list("remaining", flat=True)) == [0, 70]
    response = shop.cashier.post(f"/loyalty/redemptions/{made['id']}/cancel")
    assert response.status_code == 200
    found = response.json()["data"]
    assert (found["state"], found["balance"], bool(found["cancelledAt"])) == ("cancelled", 120, True)
    assert list(Lot.objects.order_by("id").values_list("pk", "remaining")) == before
    assert taken(coffee) == 0
    again = shop.cashier.post(f"/loyalty/redemptions/{made['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "redemption_cancelled")
    assert Event.objects.filter(type="redemption.cancelled").count() == 1
    assert Customer.objects.get(pk=alice.pk).points == 120
    # The limit counts what was not cancelled.
    assert redeem(shop, alice, coffee, "G-2").status_code == 201
    assert findings(shop) == []


def test_points_come_back_into_a_lot_that_is_over_and_are_over(shop: Shop, alice: Customer) -> None:
    made = redeem(shop, alice, offer(shop)).json()["data"]
    first = Lot.objects.order_by("earned_at").first()
    assert first is not None and first.remaining == 0
    Lot.objects.filter(pk=first.pk).update(expires_at=now())
    found = shop.cashier.post(f"/loyalty/redemptions/{made['id']}/cancel").json()["data"]
    assert found["balance"] == 80
    assert LedgerEntry.objects.get(type="expired").points == -40
    assert findings(shop) == []


def test_reversing_a_reward_is_cancelling_it(shop: Shop, alice: Customer) -> None:
    coffee = offer(shop, stock=1)
    redeem(shop, alice, coffee)
    body = {"customerId": str(alice.pk), "type": "reversed", "points": 50, "transactionId": "G-1"}
    answer = shop.cashier.post("/customers/loyalty/points", body)
    assert (answer.status_code, answer.json()["data"]["balance"], taken(coffee)) == (201, 120, 0)
    redemption = Redemption.objects.get()
    assert (redemption.state, redemption.cancelled_by) == ("cancelled", shop.cashier.user_id)
    assert Event.objects.filter(type="redemption.cancelled").count() == 1
    again = shop.cashier.post("/customers/loyalty/points", body)
    assert (again.status_code, again.json()["data"]) == (200, answer.json()["data"])
    refused = shop.cashier.post(f"/loyalty/redemptions/{redemption.pk}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "redemption_cancelled")
    assert (taken(coffee), Customer.objects.get(pk=alice.pk).points) == (0, 120)
    assert findings(shop) == []


def test_a_reward_is_given_back_as_a_whole(shop: Shop, alice: Customer) -> None:
    coffee = offer(shop, stock=1)
    redeem(shop, alice, coffee)
    body = {"customerId": str(alice.pk), "type": "reversed", "points": 49, "transactionId": "G-1"}
    answer = shop.cashier.post("/customers/loyalty/points", body)
    assert (answer.status_code, answer.json()["code"], answer.json()["reversible"]) == (
        409,
        "reward_is_whole",
        50,
    )
    assert (taken(coffee), Redemption.objects.get().state) == (1, "redeemed")
    assert LedgerEntry.objects.filter(type="reversed").count() == 0


def test_what_was_reversed_at_the_till_is_not_given_back_twice(shop: Shop, alice: Customer) -> None:
    """Money off that a hold became may be given back in parts; the last of them cancels it."""
    captured = [hold(shop.access, alice, f"H-{number}", 50) for number in (1, 2)]
    first, second = (
        shop.cashier.post(f"/loyalty/holds/{held.pk}/capture").json()["data"]["redemption"]["id"]
        for held in captured
    )
    move(shop.cashier.access, alice, "reversed", 20, reverses_transaction_id="H-1")
    assert shop.cashier.post(f"/loyalty/redemptions/{first}/cancel").json()["data"]["balance"] == 70
    for points, state in ((20, "redeemed"), (30, "cancelled")):
        move(shop.cashier.access, alice, "reversed", points, reverses_transaction_id="H-2")
        assert Redemption.objects.get(pk=second).state == state
    given = LedgerEntry.objects.filter(type="reversed").order_by("version").values_list("points", flat=True)
    assert list(given) == [20, 30, 20, 30]
    assert findings(shop) == []


def test_cancelling_after_a_merge(shop: Shop, alice: Customer) -> None:
    bob = register(shop, "Bob")
    made = redeem(shop, alice, offer(shop)).json()["data"]
    assert shop.manager.post(f"/customers/{bob.pk}/merge", {"sourceId": str(alice.pk)}).status_code == 200
    found = shop.cashier.post(f"/loyalty/redemptions/{made['id']}/cancel").json()["data"]
    assert (found["balance"], found["customerId"]) == (120, str(bob.pk))
    assert Allocation.objects.exists() and Redemption.objects.get().customer_id == bob.pk
    assert findings(shop) == []
