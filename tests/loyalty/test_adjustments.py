"""What a person may adjust: a cap per role, and never without a reason."""

from typing import Any

import pytest

from customers.models import Customer
from loyalty.models import Program
from tests.fixtures import Shop
from tests.tills import move

pytestmark = pytest.mark.django_db


def adjust(client: Any, customer: Customer, points: int, **more: Any) -> Any:
    body = {"customerId": str(customer.pk), "type": "adjusted", "points": points, **more}
    return client.post("/customers/loyalty/points", body)


@pytest.mark.parametrize("points", [10_001, -10_001])
def test_a_manager_s_cap(shop: Shop, program: Program, alice: Customer, points: int) -> None:
    move(shop.owner.access, alice, "earned", 20_000)
    for client in (shop.manager, shop.service):
        response = adjust(client, alice, points, description="Counted anew")
        assert (response.status_code, response.json()["code"]) == (403, "adjustment_too_large")
        assert response.json()["limit"] == 10_000
    assert adjust(shop.manager, alice, 10_000, description="Sorry").status_code == 201
    assert adjust(shop.owner, alice, points, description="Counted anew").status_code == 201


def test_the_cap_is_a_setting(shop: Shop, program: Program, alice: Customer, settings: Any) -> None:
    settings.ADJUSTMENT_POINTS_MAX = 5
    assert adjust(shop.manager, alice, 6, description="Sorry").status_code == 403
    assert adjust(shop.manager, alice, 5, description="Sorry").status_code == 201


@pytest.mark.parametrize("points", [1, -1])
def test_it_needs_a_reason(shop: Shop, program: Program, alice: Customer, points: int) -> None:
    move(shop.access, alice, "earned", 10)
    for more in ({}, {"description": ""}, {"description": "  "}):
        response = adjust(shop.owner, alice, points, **more)
        assert response.status_code == 400
        assert [error["field"] for error in response.json()["errors"]] == ["description"]
    assert adjust(shop.manager, alice, points, description="Given by mistake").status_code == 201


def test_redeemable_amount(shop: Shop, program: Program, alice: Customer) -> None:
    def shown() -> Any:
        return shop.cashier.get(f"/customers/{alice.pk}/loyalty").json()["data"]["redeemableAmount"]

    move(shop.access, alice, "earned", 99)
    assert shown() is None
    Program.objects.filter(pk=program.pk).update(redeem_value="0.0133", redeem_points_min=100)
    assert shown() == "0.00"
    move(shop.access, alice, "earned", 1)
    assert shown() == "1.33"
