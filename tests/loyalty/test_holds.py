"""POST and GET /customers/{id}/loyalty/holds, GET /loyalty/holds/{id}, its capture and release, and the sweep."""

import uuid
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils.dateparse import parse_datetime
from django.utils.timezone import now

from customers.models import Customer, Event
from loyalty.models import Enrollment, Hold, LedgerEntry, Lot, Program, Redemption
from loyalty.services.holds import capture_hold
from loyalty.services.lapsing import lapse_holds
from loyalty.services.spending import InsufficientPoints
from tests.fixtures import ApiClient, Shop
from tests.loyalty.spending import hold, offer, run_out
from tests.tills import bring_back, findings, move, register, sell

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(shop: Shop, program: Program) -> Customer:
    """With 100 points."""
    customer = register(shop, "Alice")
    move(shop.access, customer, "earned", 100)
    return customer


def post_hold(shop: Shop, customer: Customer, transaction_id: str = "H-1", **body: Any) -> Any:
    body = {"transactionId": transaction_id, **({} if "rewardId" in body else {"points": 60}), **body}
    return shop.cashier.post(f"/customers/{customer.pk}/loyalty/holds", body)


def standing(shop: Shop, customer: Customer) -> tuple[int, int, int]:
    found = shop.cashier.get(f"/customers/{customer.pk}/loyalty").json()["data"]
    return found["balance"], found["held"], found["available"]


def events(type: str) -> list[dict[str, Any]]:
    return list(Event.objects.filter(type=type).values_list("data", flat=True))


def test_holding_reserves_points(shop: Shop, alice: Customer) -> None:
    response = post_hold(shop, alice)
    assert response.status_code == 201
    found = response.json()["data"]
    assert response.headers["Location"] == f"/api/v1/loyalty/holds/{found['id']}"
    lasts = parse_datetime(found["expiresAt"]) - parse_datetime(found["createdAt"])  # type: ignore[operator]
    assert lasts == timedelta(seconds=900)
    assert found == {
        "id": found["id"],
        "customerId": str(alice.pk),
        "rewardId": None,
        "points": 60,
        "capturedPoints": 0,
        "state": "held",
        "transactionId": "H-1",
        "storeId": str(shop.store.pk),
        "createdAt": found["createdAt"],
        "expiresAt": found["expiresAt"],
        "closedAt": None,
    }
    assert standing(shop, alice) == (100, 60, 40)
    assert shop.cashier.get(f"/loyalty/holds/{found['id']}").json()["data"] == found
    (told,) = events("points.held")
    assert (told["holdId"], told["points"]) == (found["id"], 60)
    assert parse_datetime(told["expiresAt"]) == parse_datetime(found["expiresAt"])
    # Nothing of it is in the ledger.
    assert LedgerEntry.objects.count() == 1


def test_what_is_held_is_not_spent_otherwise(shop: Shop, alice: Customer) -> None:
    post_hold(shop, alice)
    for type, points, more in (("redeemed", 41, {}), ("adjusted", -41, {"description": "Mistake"})):
        body = {"customerId": str(alice.pk), "type": type, "points": points, **more}
        response = shop.manager.post("/customers/loyalty/points", body)
        assert response.status_code == 409
        found = response.json()
        assert found["code"] == "insufficient_points"
        assert (found["balance"], found["available"], found["missing"]) == (100, 40, 1)
        assert found["message"] == "The customer has 40 points to spend and 60 on hold, 1 too few"
    second = post_hold(shop, alice, "H-2", points=41)
    assert (second.status_code, second.json()["code"], second.json()["missing"]) == (
        409,
        "insufficient_points",
        1,
    )
    move(shop.access, alice, "redeemed", 40)
    assert standing(shop, alice) == (60, 60, 0)


def test_the_same_request_again(shop: Shop, alice: Customer) -> None:
    first, again = post_hold(shop, alice), post_hold(shop, alice)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"] == first.json()["data"]
    for other in ({"points": 59}, {"ttlSeconds": 60}):
        response = post_hold(shop, alice, **other)
        assert (response.status_code, response.json()["code"]) == (409, "transaction_conflict")
    assert Hold.objects.count() == 1


def test_a_transaction_that_redeemed_cannot_hold(shop: Shop, alice: Customer) -> None:
    move(shop.cashier.access, alice, "redeemed", 5, "H-1")
    response = post_hold(shop, alice)
    assert (response.status_code, response.json()["code"]) == (409, "transaction_conflict")


@pytest.mark.parametrize("points", [0, -1, 2**31, 1.5, "100", True, None, 10**30])
def test_impossible_points(shop: Shop, alice: Customer, points: Any) -> None:
    held = post_hold(shop, alice)
    assert post_hold(shop, alice, "H-2", points=points).status_code == 400
    path = f"/loyalty/holds/{held.json()['data']['id']}/capture"
    assert shop.cashier.post(path, {"points": points}).status_code == 400
    body = {"customerId": str(alice.pk), "type": "redeemed", "points": points}
    assert shop.cashier.post("/customers/loyalty/points", body).status_code == 400
    assert standing(shop, alice) == (100, 60, 40)


@pytest.mark.parametrize("seconds", [0, -1, 86_401, "60", 1.5])
def test_impossible_times(shop: Shop, alice: Customer, seconds: Any) -> None:
    assert post_hold(shop, alice, ttlSeconds=seconds).status_code == 400
    assert post_hold(shop, alice, ttlSeconds=86_400).status_code == 201


def test_points_or_a_reward(shop: Shop, alice: Customer) -> None:
    path = f"/customers/{alice.pk}/loyalty/holds"
    both = {"transactionId": "H-1", "points": 1, "rewardId": str(uuid.uuid4())}
    for body in ({"transactionId": "H-1"}, both):
        assert shop.cashier.post(path, body).status_code == 400


def test_below_the_program_s_minimum(shop: Shop, alice: Customer, program: Program) -> None:
    Program.objects.filter(pk=program.pk).update(redeem_points_min=50)
    response = post_hold(shop, alice, points=49)
    assert (response.status_code, response.json()["code"], response.json()["minimum"]) == (
        409,
        "below_redeem_minimum",
        50,
    )
    held = hold(shop.access, alice, "H-1", 60)
    assert shop.cashier.post(f"/loyalty/holds/{held.pk}/capture", {"points": 49}).status_code == 409
    body = {"customerId": str(alice.pk), "type": "redeemed", "points": 49}
    assert shop.cashier.post("/customers/loyalty/points", body).json()["code"] == "below_redeem_minimum"


def test_capturing_redeems(shop: Shop, alice: Customer, program: Program) -> None:
    Program.objects.filter(pk=program.pk).update(redeem_value="0.0150")
    held = hold(shop.cashier.access, alice, "H-1", 61)
    response = shop.cashier.post(f"/loyalty/holds/{held.pk}/capture")
    assert response.status_code == 200
    found = response.json()["data"]
    entry = LedgerEntry.objects.get(type="redeemed")
    assert (entry.points, entry.transaction_id, entry.store_id) == (-61, "H-1", shop.store.pk)
    assert (found["hold"]["state"], found["hold"]["capturedPoints"]) == ("captured", 61)
    assert found["redemption"] == {
        "id": found["redemption"]["id"],
        "customerId": str(alice.pk),
        "rewardId": None,
        "holdId": str(held.pk),
        "points": 61,
        # 0.915, in favour of nobody's rounding: whole cents, down.
        "discount": "0.91",
        "state": "redeemed",
        "balance": 39,
        "transactionId": "H-1",
        "storeId": str(shop.store.pk),
        "redeemedAt": found["redemption"]["redeemedAt"],
        "cancelledAt": None,
    }
    assert standing(shop, alice) == (39, 0, 39)
    assert Customer.objects.get(pk=alice.pk).points == 39
    (captured,) = events("hold.captured")
    assert captured == {
        "holdId": str(held.pk), "points": 61, "captured": 61, "entryId": str(entry.pk),
    }  # fmt: skip
    assert len(events("points.redeemed")) == len(events("redemption.made")) == 1
    assert findings(shop) == []


def test_capturing_a_part_releases_the_rest(shop: Shop, alice: Customer) -> None:
    held = hold(shop.access, alice, "H-1", 60)
    response = shop.cashier.post(f"/loyalty/holds/{held.pk}/capture", {"points": 61})
    assert (response.status_code, response.json()["code"], response.json()["held"]) == (
        409,
        "capture_exceeds_hold",
        60,
    )
    assert shop.cashier.post(f"/loyalty/holds/{held.pk}/capture", {"points": 25}).status_code == 200
    assert standing(shop, alice) == (75, 0, 75)


def test_captured_once(shop: Shop, alice: Customer) -> None:
    held = hold(shop.access, alice, "H-1", 60)
    path = f"/loyalty/holds/{held.pk}/capture"
    first = shop.cashier.post(path, headers={"idempotency-key": "K-1"})
    again = shop.cashier.post(path, headers={"idempotency-key": "K-1"})
    assert first.status_code == again.status_code == 200
    assert again.json()["data"] == first.json()["data"]
    for response in (shop.cashier.post(path), shop.cashier.post(f"/loyalty/holds/{held.pk}/release")):
        assert (response.status_code, response.json()["code"], response.json()["state"]) == (
            409,
            "hold_closed",
            "captured",
        )
    assert standing(shop, alice) == (40, 0, 40)


def test_releasing_frees_the_points(shop: Shop, alice: Customer) -> None:
    held = hold(shop.access, alice, "H-1", 60)
    response = shop.cashier.post(f"/loyalty/holds/{held.pk}/release")
    assert (response.status_code, response.json()["data"]["state"]) == (200, "released")
    assert standing(shop, alice) == (100, 0, 100)
    assert events("hold.released") == [{"holdId": str(held.pk), "points": 60}]
    response = shop.cashier.post(f"/loyalty/holds/{held.pk}/capture")
    assert (response.status_code, response.json()["code"]) == (409, "hold_closed")


def test_a_till_that_died_lets_go_at_the_instant(shop: Shop, alice: Customer) -> None:
    """No sweep has come by: the points are free all the same."""
    held = hold(shop.access, alice, "H-1", 60)
    run_out(held.pk)
    assert standing(shop, alice) == (100, 0, 100)
    assert shop.cashier.get(f"/loyalty/holds/{held.pk}").json()["data"]["state"] == "lapsed"
    assert shop.cashier.get(f"/customers/{alice.pk}/loyalty/holds").json()["data"]["holds"] == []
    for action in ("capture", "release"):
        response = shop.cashier.post(f"/loyalty/holds/{held.pk}/{action}")
        assert (response.status_code, response.json()["code"]) == (409, "hold_lapsed")
    move(shop.access, alice, "redeemed", 100)
    assert lapse_holds(at=now()) == 1
    assert lapse_holds(at=now()) == 0
    held.refresh_from_db()
    assert (held.state, held.closed_at) == ("lapsed", held.expires_at)
    assert events("hold.lapsed") == [{"holdId": str(held.pk), "points": 60}]
    assert standing(shop, alice) == (0, 0, 0)
    response = shop.cashier.post(f"/loyalty/holds/{held.pk}/capture")
    assert (response.status_code, response.json()["code"]) == (409, "hold_lapsed")
    assert findings(shop) == []


def test_the_sweep_leaves_what_is_open(shop: Shop, alice: Customer) -> None:
    over, still = hold(shop.access, alice, "H-1", 10), hold(shop.access, alice, "H-2", 20)
    run_out(over.pk)
    said = StringIO()
    call_command("lapse_holds", "--dry-run", stdout=said)
    assert said.getvalue() == "1 holds are over.\n"
    assert Hold.objects.filter(state="held").count() == 2
    call_command("lapse_holds", "--merchant", shop.merchant.slug, stdout=said)
    assert "1 holds lapsed." in said.getvalue()
    assert dict(Hold.objects.values_list("pk", "state")) == {over.pk: "lapsed", still.pk: "held"}


def test_open_holds(shop: Shop, alice: Customer) -> None:
    late = hold(shop.access, alice, "H-1", 10, ttl_seconds=600)
    soon = hold(shop.access, alice, "H-2", 20, ttl_seconds=60)
    closed = hold(shop.access, alice, "H-3", 30)
    capture_hold(access=shop.access, hold_id=closed.pk)
    found = shop.cashier.get(f"/customers/{alice.pk}/loyalty/holds").json()["data"]
    assert [(each["id"], each["points"]) for each in found["holds"]] == [
        (str(soon.pk), 20),
        (str(late.pk), 10),
    ]


def test_points_that_expire_on_hold_are_gone(shop: Shop, alice: Customer) -> None:
    held = hold(shop.access, alice, "H-1", 60)
    move(shop.access, alice, "earned", 20)
    first = Lot.objects.get(points=100)
    Lot.objects.filter(pk=first.pk).update(expires_at=now() - timedelta(seconds=1))
    response = shop.cashier.post(f"/loyalty/holds/{held.pk}/capture")
    assert (response.status_code, response.json()["code"]) == (409, "insufficient_points")
    assert (response.json()["available"], response.json()["missing"]) == (20, 40)
    assert shop.cashier.post(f"/loyalty/holds/{held.pk}/capture", {"points": 20}).status_code == 200


def test_a_return_takes_what_is_on_hold(shop: Shop, program: Program) -> None:
    bob = register(shop, "Bob")
    sell(shop.access, bob, "T-1", "100")
    held = hold(shop.access, bob, "H-1", 60)
    bring_back(shop.access, "T-1", "R-1")
    assert standing(shop, bob) == (0, 60, 0)
    with pytest.raises(InsufficientPoints):
        capture_hold(access=shop.access, hold_id=held.pk)


def test_a_merge_takes_holds_along(shop: Shop, alice: Customer) -> None:
    bob = register(shop, "Bob")
    held = hold(shop.access, alice, "H-1", 60)
    merged = shop.manager.post(f"/customers/{bob.pk}/merge", {"sourceId": str(alice.pk)})
    assert merged.status_code == 200, merged.content
    assert standing(shop, bob) == (100, 60, 40)
    undone = shop.manager.post(f"/customers/{bob.pk}/merge/{merged.json()['data']['mergeId']}/undo")
    assert undone.status_code == 200, undone.content
    assert (standing(shop, alice), standing(shop, bob)) == ((100, 60, 40), (0, 0, 0))
    assert shop.manager.post(f"/customers/{bob.pk}/merge", {"sourceId": str(alice.pk)}).status_code == 200
    assert shop.cashier.post(f"/loyalty/holds/{held.pk}/capture").status_code == 200
    assert standing(shop, bob) == (40, 0, 40)
    assert findings(shop) == []


def test_another_merchant_s_hold_is_absent(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    held = hold(shop.access, alice, "H-1", 60)
    stranger: ApiClient = foreign_shop.owner
    for response in (
        stranger.get(f"/loyalty/holds/{held.pk}"),
        stranger.post(f"/loyalty/holds/{held.pk}/capture"),
        stranger.post(f"/loyalty/holds/{held.pk}/release"),
        stranger.get(f"/customers/{alice.pk}/loyalty/holds"),
        stranger.post(f"/customers/{alice.pk}/loyalty/holds", {"transactionId": "X", "points": 1}),
    ):
        assert response.status_code == 404
    assert standing(shop, alice) == (100, 60, 40)


def test_a_reward_on_hold(shop: Shop, alice: Customer) -> None:
    coffee = offer(shop, stock=1)
    found = post_hold(shop, alice, rewardId=str(coffee.pk)).json()["data"]
    assert (found["points"], found["rewardId"]) == (50, str(coffee.pk))
    second = post_hold(shop, alice, "H-2", rewardId=str(coffee.pk))
    assert (second.status_code, second.json()["code"], second.json()["reasons"]) == (
        409,
        "reward_unavailable",
        ["out_of_stock"],
    )
    assert shop.cashier.post(f"/loyalty/holds/{found['id']}/capture", {"points": 49}).status_code == 400
    run_out(uuid.UUID(found["id"]))
    # The last one is free again at its instant, before any sweep.
    third = post_hold(shop, alice, "H-3", rewardId=str(coffee.pk))
    assert third.status_code == 201
    coffee.refresh_from_db()
    assert coffee.taken == 1
    captured = shop.cashier.post(f"/loyalty/holds/{third.json()['data']['id']}/capture")
    assert captured.json()["data"]["redemption"]["rewardId"] == str(coffee.pk)
    assert LedgerEntry.objects.get(type="redeemed").description == "Reward: Free coffee"
    coffee.refresh_from_db()
    assert coffee.taken == 1


def test_releasing_a_reward_puts_it_back(shop: Shop, alice: Customer) -> None:
    coffee = offer(shop, stock=1)
    held = hold(shop.access, alice, "H-1", reward_id=coffee.pk)
    shop.cashier.post(f"/loyalty/holds/{held.pk}/release")
    coffee.refresh_from_db()
    assert coffee.taken == 0


def test_the_database_keeps_holds_in_order(shop: Shop, alice: Customer) -> None:
    held = hold(shop.access, alice, "H-1", 60)
    for wrong in (
        {"captured_points": 1},
        {"state": "captured", "closed_at": now()},
        {"state": "released"},
        {"points": 0},
        {"expires_at": held.created_at},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Hold.objects.filter(pk=held.pk).update(**wrong)
    capture_hold(access=shop.access, hold_id=held.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        Hold.objects.filter(pk=held.pk).update(captured_points=61)
    assert Redemption.objects.count() == Enrollment.objects.count() == 1
