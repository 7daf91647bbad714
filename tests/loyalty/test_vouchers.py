"""Vouchers: given for no points, used once at a till, within the reward's limits."""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.timezone import now

from cloudpos.lifecycle.erasing import erase_customer
from customers.models import Customer, Event
from loyalty.models import Program, Reward, Voucher
from loyalty.services.lapsing import lapse_vouchers
from loyalty.services.stock import RewardUnavailable
from loyalty.services.vouchers import CODE_CHARS, give_voucher, shown_code, typed_code
from tests.fixtures import Shop
from tests.loyalty.spending import offer
from tests.tills import findings, register

pytestmark = pytest.mark.django_db
DAYS = timedelta(days=30)


@pytest.fixture
def alice(shop: Shop, program: Program) -> Customer:
    return register(shop, "Alice")


@pytest.fixture
def bob(shop: Shop, program: Program) -> Customer:
    return register(shop, "Bob")


def give(customer: Customer, reward: Reward, cause: str = "", **more: Any) -> Voucher:
    at = now()
    with transaction.atomic():
        locked = Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        given = {"cause": cause or str(uuid.uuid4()), "expires_at": at + DAYS, "at": at, **more}
        return give_voucher(customer=locked, reward_id=reward.pk, **given)


def use(shop: Shop, voucher: Voucher, transaction_id: str = "S-1", **more: Any) -> Any:
    body = {"code": shown_code(voucher.code), "transactionId": transaction_id, **more}
    return shop.cashier.post("/loyalty/vouchers/use", body)


def end() -> None:
    """As if the time of all that are open had passed, and no sweep had come by."""
    Voucher.objects.filter(state="open").update(
        given_at=F("given_at") - 2 * DAYS, expires_at=F("expires_at") - DAYS - timedelta(seconds=1)
    )


def taken(reward: Reward) -> int:
    reward.refresh_from_db()
    return reward.taken


def refused(reward: Reward, customer: Customer) -> list[str]:
    with pytest.raises(RewardUnavailable) as found:
        give(customer, reward)
    reasons: list[str] = found.value.extra["reasons"]
    return reasons


def test_a_till_takes_it_once(shop: Shop, alice: Customer) -> None:
    reward = offer(shop, kind="fixed", value=Decimal("5.00"), sku="", name="Five off")
    voucher = give(alice, reward)
    made = use(shop, voucher)
    assert made.status_code == 201
    assert made.json()["data"] == {
        "id": str(voucher.pk),
        "customerId": str(alice.pk),
        "rewardId": str(reward.pk),
        "name": "Five off",
        "code": shown_code(voucher.code),
        "kind": "fixed",
        "value": "5.00",
        "sku": "",
        "state": "used",
        "discount": "5.00",
        "givenAt": made.json()["data"]["givenAt"],
        "expiresAt": made.json()["data"]["expiresAt"],
        "usedAt": made.json()["data"]["usedAt"],
        "storeId": str(shop.store.pk),
        "transactionId": "S-1",
    }
    again = use(shop, voucher)
    assert (again.status_code, again.json()["data"]) == (200, made.json()["data"])
    other = use(shop, voucher, "S-2")
    assert (other.status_code, other.json()["code"]) == (409, "voucher_used")
    told = Event.objects.filter(type__startswith="voucher.").order_by("recorded_at", "pk")
    said = {"voucherId": str(voucher.pk), "rewardId": str(reward.pk)}
    assert [(each.type, each.data) for each in told] == [("voucher.given", said), ("voucher.used", said)]
    alice.refresh_from_db()
    assert (alice.points, taken(reward), findings(shop)) == (0, 1, [])


def test_a_code_is_found_as_people_type_it(shop: Shop, alice: Customer) -> None:
    voucher = give(alice, offer(shop))
    typed = f" {voucher.code[:3].lower()} {voucher.code[3:]}-"
    found = shop.cashier.get("/loyalty/vouchers/lookup", {"code": typed}).json()["data"]
    assert (found["id"], found["state"]) == (str(voucher.pk), "open")
    assert len(voucher.code) == CODE_CHARS
    assert typed_code("o1Il-u") == "0111V"
    assert shop.cashier.get("/loyalty/vouchers/lookup?code=00000-00000").status_code == 404
    assert shop.cashier.get("/loyalty/vouchers/lookup").status_code == 400


def test_a_sale_that_does_not_come_about_gives_it_back(shop: Shop, alice: Customer) -> None:
    reward = offer(shop)
    voucher = give(alice, reward)
    path = f"/loyalty/vouchers/{voucher.pk}/release"
    assert shop.cashier.post(path).json()["code"] == "voucher_not_used"
    use(shop, voucher)
    assert shop.cashier.post(path).json()["data"]["state"] == "open"
    assert use(shop, voucher, "S-2").status_code == 201
    assert (taken(reward), findings(shop)) == (1, [])


def test_it_ends_and_what_is_left_of_the_reward_comes_back(
    shop: Shop, alice: Customer, bob: Customer
) -> None:
    reward = offer(shop, stock=1)
    voucher = give(alice, reward)
    assert refused(reward, bob) == ["out_of_stock"]
    listed = f"/customers/{alice.pk}/loyalty/vouchers"
    assert [each["id"] for each in shop.cashier.get(listed).json()["data"]["vouchers"]] == [str(voucher.pk)]
    end()
    assert use(shop, voucher).json()["code"] == "voucher_lapsed"
    assert shop.cashier.get(listed).json()["data"]["vouchers"] == []
    # Nobody has swept.
    shown = shop.cashier.get(f"/loyalty/rewards/{reward.pk}").json()["data"]
    assert (shown["taken"], shown["left"]) == (0, 1)
    give(bob, reward)
    assert lapse_vouchers(at=now()) == 0
    voucher.refresh_from_db()
    assert (voucher.state, taken(reward), findings(shop)) == ("lapsed", 1, [])
    end()
    assert lapse_vouchers(at=now()) == 1
    assert (taken(reward), findings(shop)) == (0, [])


def test_the_rewards_limits_hold(shop: Shop, alice: Customer) -> None:
    once = offer(shop, limit_per_member=1)
    give(alice, once)
    assert refused(once, alice) == ["limit_reached"]
    offers = shop.cashier.get(f"/customers/{alice.pk}/loyalty/rewards").json()["data"]["rewards"]
    assert [(each["had"], "limit_reached" in each["reasons"]) for each in offers] == [(1, True)]
    assert refused(offer(shop, tiers=["gold"]), alice) == ["wrong_tier"]
    ending: datetime = now() + timedelta(days=3)
    assert give(alice, offer(shop, valid_until=ending)).expires_at == ending


def test_a_promise_is_kept_when_its_reward_changes(shop: Shop, alice: Customer) -> None:
    reward = offer(shop, kind="percentage", value=Decimal(20), sku="")
    voucher = give(alice, reward)
    path = f"/loyalty/rewards/{reward.pk}"
    assert shop.manager.patch(path, {"value": "5"}).status_code == 200
    assert shop.manager.delete(path).status_code == 200
    found = use(shop, voucher).json()["data"]
    assert (found["value"], found["discount"]) == ("20.00", None)


def test_nothing_is_given_twice_for_the_same_cause(shop: Shop, alice: Customer) -> None:
    reward = offer(shop)
    give(alice, reward, "campaign:1")
    with pytest.raises(IntegrityError), transaction.atomic():
        give(alice, reward, "campaign:1")
    assert (Voucher.objects.count(), taken(reward)) == (1, 1)


def test_a_merge_takes_it_along_and_its_undo_back(shop: Shop, alice: Customer, bob: Customer) -> None:
    voucher = give(alice, offer(shop))
    merge = shop.manager.post(f"/customers/{bob.pk}/merge", {"sourceId": str(alice.pk)}).json()["data"]
    voucher.refresh_from_db()
    assert voucher.customer_id == bob.pk
    assert use(shop, voucher).json()["data"]["customerId"] == str(bob.pk)
    assert shop.manager.post(f"/customers/{bob.pk}/merge/{merge['mergeId']}/undo").status_code == 200
    voucher.refresh_from_db()
    assert (voucher.customer_id, findings(shop)) == (alice.pk, [])


def test_of_somebody_who_was_erased_it_is_nothing(shop: Shop, alice: Customer) -> None:
    voucher = give(alice, offer(shop))
    erase_customer(access=shop.owner.access, customer_id=alice.pk)
    assert use(shop, voucher).status_code == 404
    assert shop.cashier.get(f"/loyalty/vouchers/lookup?code={voucher.code}").status_code == 404
