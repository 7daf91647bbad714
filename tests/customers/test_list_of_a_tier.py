"""GET /customers?tier=: the page is walked to, unless those of the tier are not where an even spread would have them."""

import pytest

from customers import list_plans
from customers.models import Customer
from customers.services import lock_customer, write_standing
from tests.customers.conftest import Make, statements
from tests.fixtures import Shop

CUSTOMERS = 30
MEMBERS = 8


def members(shop: Shop, made: list[Customer]) -> list[str]:
    for customer in made:
        write_standing(lock_customer(merchant_id=shop.merchant.pk, customer_id=customer.pk), tier="gold")
    return [str(customer.pk) for customer in reversed(made)]


def walk(shop: Shop, limit: int) -> list[str]:
    """All pages by cursor."""
    ids: list[str] = []
    cursor = ""
    while cursor is not None:
        parameters = {"tier": "gold", "limit": limit} | ({"cursor": cursor} if cursor else {})
        data = shop.cashier.get("/customers", parameters).json()["data"]
        assert (data["total"], data["totalIsExact"]) == (MEMBERS, True)
        ids += [row["id"] for row in data["customers"]]
        cursor = data["nextCursor"]
    return ids


@pytest.mark.parametrize("where", ["oldest", "newest", "spread"])
@pytest.mark.parametrize("factor", [1, 4])
def test_every_member_is_found_once_in_order(
    shop: Shop, make: Make, where: str, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_plans, "WALKED_FACTOR", factor)
    everybody = [make(f"Customer {number}") for number in range(CUSTOMERS)]
    chosen = {"oldest": everybody[:MEMBERS], "newest": everybody[-MEMBERS:], "spread": everybody[::4]}[where]
    expected = members(shop, chosen)
    assert walk(shop, 1) == expected
    assert walk(shop, 5) == expected
    second = shop.cashier.get("/customers", {"tier": "gold", "limit": 1, "page": 2}).json()["data"]
    assert [row["id"] for row in second["customers"]] == expected[1:2]


def test_it_gives_up_only_when_they_are_far(shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = [make(f"Customer {number}") for number in range(CUSTOMERS)]
    members(shop, everybody[-MEMBERS:])
    shop.cashier.get("/customers")
    with statements(2):
        shop.cashier.get("/customers", {"tier": "gold", "limit": 1})
    # Walked and sorted: the nearest one is further away than an even spread would have it. That is remembered.
    monkeypatch.setattr(list_plans, "WALKED_FACTOR", 1)
    oldest = {"tier": "gold", "limit": 1, "sortOrder": "asc"}
    with statements(2):
        first = shop.cashier.get("/customers", oldest).json()
    with statements(1):
        assert shop.cashier.get("/customers", oldest).json() == first
