"""POST and DELETE /customers/{customerId}/loyalty/tier-override, and what becomes of a tier that was given by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, InternalError, connection, transaction

from cloudpos.lifecycle.erasing import erase_customer
from cloudpos.lifecycle.exporting import export_customer
from cloudpos.lifecycle.merging import merge_customers
from cloudpos.lifecycle.unmerging import undo_merge
from customers.models import Customer, Event
from loyalty import reading
from loyalty.models import Enrollment, Program, TierOverride
from loyalty.services.overrides import end_tier, give_tier
from loyalty.tasks import review_due_tiers
from tests.fixtures import Shop
from tests.tills import findings, register, sell

pytestmark = pytest.mark.django_db

MAY = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def give(shop: Shop, customer: Customer, **fields: Any) -> Any:
    sent = {"tier": "gold", "reason": "Opened the shop with us", **fields}
    return shop.manager.post(f"/customers/{customer.pk}/loyalty/tier-override", sent)


def take_back(shop: Shop, customer: Customer) -> Any:
    return shop.manager.delete(f"/customers/{customer.pk}/loyalty/tier-override")


def standing(shop: Shop, customer: Customer) -> Any:
    return shop.cashier.get(f"/customers/{customer.pk}/loyalty").json()["data"]


def tiers(customer: Customer) -> tuple[str, str]:
    return (
        Enrollment.objects.get(customer_id=customer.pk).tier,
        Customer.objects.defer("search").get(pk=customer.pk).tier,
    )


def test_over_http(shop: Shop, program: Program, alice: Customer) -> None:
    response = give(shop, alice, until="2199-06-01T00:00:00Z")
    assert response.status_code == 201
    override = TierOverride.objects.get()
    begins_at = override.begins_at.isoformat().replace("+00:00", "Z")
    expected = {
        "id": str(override.pk),
        "customerId": str(alice.pk),
        "tier": "gold",
        "mode": "at_least",
        "beginsAt": begins_at,
        "until": "2199-06-01T00:00:00Z",
        "reason": "Opened the shop with us",
        "actorId": str(shop.manager.access.user_id),
        "recordedAt": override.recorded_at.isoformat().replace("+00:00", "Z"),
        "endedAt": None,
        "currentTier": "gold",
    }
    assert response.json()["data"] == expected
    assert tiers(alice) == ("gold", "gold")
    found = standing(shop, alice)
    assert found["tierDetails"] == {
        "code": "gold",
        "name": "Gold",
        "multiplier": "1.5",
        "benefits": [],
        "since": begins_at,
    }
    assert found["why"] == {
        "code": "override",
        "message": "Gold was given by hand until 2199-06-01: Opened the shop with us",
        "until": "2199-06-01T00:00:00Z",
    }
    assert found["keep"] == {"until": "2199-06-01T00:00:00Z", "from": None, "amountNeeded": "2000.00"}
    assert (found["nextTier"]["tier"], found["nextTier"]["spendToReach"]) == ("platinum", "5000.00")
    response = take_back(shop, alice)
    override.refresh_from_db()
    assert override.ended_at is not None
    ended_at = override.ended_at.isoformat().replace("+00:00", "Z")
    assert response.json()["data"] == {**expected, "endedAt": ended_at, "currentTier": "bronze"}
    assert take_back(shop, alice).json()["code"] == "override_not_found"
    changes = shop.cashier.get(f"/customers/{alice.pk}/loyalty/tiers").json()["data"]["changes"]
    assert [(change["from"], change["to"], change["reason"]) for change in changes] == [
        ("gold", "bronze", "override_ended"),
        (None, "gold", "override"),
    ]
    assert changes[1]["until"] == "2199-06-01T00:00:00Z"
    assert changes[0]["actorId"] == str(shop.manager.access.user_id)
    assert findings(shop) == []


def test_at_least(shop: Shop, program: Program, alice: Customer) -> None:
    with time_machine.travel(MAY, tick=False):
        given = give_tier(access=shop.access, customer_id=alice.pk, tier="gold", reason="Fair", until=JUNE)
        assert (given.tier, given.override.begins_at) == ("gold", MAY)
    with time_machine.travel(MAY + timedelta(hours=1), tick=False):
        # It earns as Gold; what is reached above it counts.
        assert sell(shop.access, alice, "T-1", "100").receipt["pointsEarned"] == 150
        assert sell(shop.access, alice, "T-2", "4900").receipt["tier"] == "platinum"
        assert findings(shop) == []
    with time_machine.travel(JUNE, tick=False):
        review_due_tiers()
        assert tiers(alice) == ("platinum", "platinum")
        assert findings(shop) == []


def test_exactly_and_its_end(shop: Shop, program: Program, alice: Customer) -> None:
    with time_machine.travel(MAY, tick=False):
        sell(shop.access, alice, "T-1", "2000")
        fields = {"tier": "silver", "mode": "exactly", "reason": "Resells"}
        assert give_tier(access=shop.access, customer_id=alice.pk, **fields).tier == "silver"
    with time_machine.travel(MAY + timedelta(days=1), tick=False):
        assert sell(shop.access, alice, "T-2", "100").receipt["pointsEarned"] == 125
        # A purchase of before it was given earned as Gold, whenever it arrives.
        late = sell(shop.access, alice, "T-3", "10", MAY + timedelta(microseconds=1))
        assert late.receipt["tier"] == "silver"
        assert findings(shop) == []
        assert end_tier(access=shop.access, customer_id=alice.pk, reason="Settled").tier == "gold"
        assert tiers(alice) == ("gold", "gold")
        assert findings(shop) == []
    override = TierOverride.objects.get()
    assert (override.ended_by, override.end_reason) == (shop.access.user_id, "Settled")
    told = Event.objects.filter(customer_id=alice.pk, type="tier.changed").order_by("pk")
    assert [(event.data["from"], event.data["to"], event.data["reason"]) for event in told] == [
        ("", "gold", "reached"),
        ("gold", "silver", "override"),
        ("silver", "gold", "override_ended"),
    ]


def test_it_ends_at_its_instant(shop: Shop, program: Program, alice: Customer) -> None:
    with time_machine.travel(MAY, tick=False):
        sell(shop.access, alice, "T-1", "10")
        give_tier(access=shop.access, customer_id=alice.pk, tier="gold", reason="Fair", until=JUNE)
    with time_machine.travel(JUNE, tick=False):
        assert reading.standing(access=shop.access, customer_id=alice.pk)["tier"] == "bronze"
        assert tiers(alice) == ("gold", "gold")
        assert sell(shop.access, alice, "T-2", "100").receipt["pointsEarned"] == 100
        assert tiers(alice) == ("bronze", "bronze")
        assert findings(shop) == []
    event = Event.objects.filter(type="tier.changed").latest("pk")
    assert (event.occurred_at, event.data["reason"]) == (JUNE, "override_ended")


def test_another_one_takes_its_place(shop: Shop, program: Program, alice: Customer) -> None:
    give(shop, alice, tier="platinum")
    assert give(shop, alice, tier="silver").json()["data"]["currentTier"] == "silver"
    first, second = TierOverride.objects.order_by("recorded_at")
    assert (first.ended_at, first.end_reason) == (second.begins_at, "Replaced by another one")
    assert findings(shop) == []


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"tier": "diamond"}, "tier", "unknown_tier"),
        ({"mode": "mostly"}, "mode", "invalid_choice"),
        ({"until": "2020-01-01T00:00:00Z"}, "until", "in_the_past"),
        ({"until": "tomorrow"}, "until", "invalid"),
        ({"reason": ""}, "reason", "blank"),
        ({"reason": "x" * 201}, "reason", "max_length"),
        ({"beginsAt": "2020-01-01T00:00:00Z"}, "beginsAt", "unknown_field"),
    ],
)
def test_bad_input(
    shop: Shop, program: Program, alice: Customer, changed: dict[str, Any], field: str, code: str
) -> None:
    response = give(shop, alice, **changed)
    assert response.status_code == 400
    assert [(error["field"], error["code"]) for error in response.json()["errors"]] == [(field, code)]
    assert not TierOverride.objects.exists()


def test_who_may(shop: Shop, program: Program, alice: Customer, foreign_shop: Shop) -> None:
    path = f"/customers/{alice.pk}/loyalty/tier-override"
    assert shop.cashier.post(path, {"tier": "gold", "reason": "x"}).status_code == 403
    assert shop.cashier.delete(path).status_code == 403
    assert foreign_shop.manager.post(path, {"tier": "gold", "reason": "x"}).status_code == 404
    assert foreign_shop.manager.delete(path).status_code == 404


def test_a_merge_moves_it_and_its_undo_moves_it_back(shop: Shop, program: Program, alice: Customer) -> None:
    twin = register(shop, "Alice")
    for customer, number in ((alice, "T-1"), (twin, "T-2")):
        sell(shop.access, customer, number, "10")
    give(shop, alice, tier="silver")
    give(shop, twin, tier="gold")
    report = merge_customers(access=shop.access, customer_id=alice.pk, source_id=twin.pk)
    # Both are kept; the later counts.
    assert tiers(alice) == ("gold", "gold")
    assert TierOverride.objects.filter(customer_id=alice.pk, ended_at=None).count() == 2
    assert findings(shop) == []
    assert report.merge_id is not None
    undo_merge(access=shop.access, customer_id=alice.pk, merge_id=report.merge_id)
    assert (tiers(alice), tiers(twin)) == (("silver", "silver"), ("gold", "gold"))
    assert findings(shop) == []
    assert take_back(shop, alice).status_code == 200
    assert tiers(alice) == ("bronze", "bronze")


def test_the_words_go_with_the_person(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "T-1", "10")
    give(shop, alice)
    exported = export_customer(access=shop.access, customer_id=alice.pk)
    (row,) = exported["loyaltyTierOverrides"]
    assert (row["tier"], row["reason"]) == ("gold", "Opened the shop with us")
    erase_customer(access=shop.access, customer_id=alice.pk)
    override = TierOverride.objects.get()
    assert (override.tier, override.reason, override.ended_at) == ("gold", "", None)
    assert findings(shop) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE loyalty_tier_overrides SET tier = 'platinum'",
        "UPDATE loyalty_tier_overrides SET until = now() + interval '1 year'",
        "UPDATE loyalty_tier_overrides SET begins_at = begins_at - interval '1 year'",
        "UPDATE loyalty_tier_overrides SET reason = 'Another'",
        "UPDATE loyalty_tier_overrides SET ended_at = ended_at + interval '1 day'",
        "UPDATE loyalty_tier_overrides SET ended_at = NULL, ended_by = NULL",
        "UPDATE loyalty_tier_overrides SET end_reason = 'Another'",
        "DELETE FROM loyalty_tier_overrides",
    ],
)
def test_nothing_of_it_changes_afterwards(shop: Shop, program: Program, alice: Customer, change: str) -> None:
    give(shop, alice)
    take_back(shop, alice)
    refused = pytest.raises((IntegrityError, InternalError), match="is refused: end it")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
