"""GET /me: whose token it is, and where they may work."""

from typing import Any

import pytest
from django.test import Client

from cloudpos.ids import new_id
from cloudpos.tenancy.models import Membership, Role, Store, User
from cloudpos.tenancy.tokens import mint_access_token
from cloudpos.tenancy.views import MeView
from tests.fixtures import Shop, make_shop

pytestmark = pytest.mark.django_db


def ask(user_id: Any, query: str = "") -> Any:
    token = mint_access_token(user_id=user_id)
    return Client().get(f"/api/v1/me{query}", headers={"authorization": f"Bearer {token}"})


def test_a_token_alone_tells_who_and_where(shop: Shop, foreign_shop: Shop) -> None:
    """Somebody with a role at one shop and at one store of another: a currency and a time zone for each."""
    paris = Store.objects.create(
        merchant=foreign_shop.merchant, name="Paris", code="PAR", timezone="Europe/Paris"
    )
    Membership.objects.create(
        merchant=foreign_shop.merchant, store=paris, user_id=shop.manager.user_id, role=Role.CASHIER
    )
    response = ask(shop.manager.user_id)
    assert response.status_code == 200
    assert response.json()["data"] == {
        "user": {
            "id": str(shop.manager.user_id),
            "email": "manager@corner-shop.example",
            "name": "manager of Corner Shop",
        },
        "stores": [
            {
                "id": str(shop.store.pk),
                "name": "Corner Shop High Street",
                "code": "HIGH",
                "merchantId": str(shop.merchant.pk),
                "merchantName": "Corner Shop",
                "role": "manager",
                "currency": "GBP",
                "timezone": "Europe/London",
            },
            {
                "id": str(paris.pk),
                "name": "Paris",
                "code": "PAR",
                "merchantId": str(foreign_shop.merchant.pk),
                "merchantName": "Far Away Traders",
                "role": "cashier",
                "currency": "USD",
                "timezone": "Europe/Paris",
            },
        ],
    }


def test_a_store_that_it_names_opens_the_other_routes(shop: Shop) -> None:
    token = mint_access_token(user_id=shop.cashier.user_id)
    store = ask(shop.cashier.user_id).json()["data"]["stores"][0]["id"]
    response = Client().get(
        "/api/v1/customers", headers={"authorization": f"Bearer {token}", "x-store-id": store}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("store", ["", "nonsense", "01900000-0000-7000-8000-000000000000"])
def test_a_store_header_changes_nothing(shop: Shop, store: str) -> None:
    """A client that sends one with every request need not leave it out."""
    response = shop.cashier.get("/me", headers={"x-store-id": store})
    assert response.status_code == 200
    assert response.json()["data"] == ask(shop.cashier.user_id).json()["data"]


def test_without_a_token_nobody_is_told(shop: Shop) -> None:
    response = Client().get("/api/v1/me", headers={"x-store-id": str(shop.store.pk)})
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_a_closed_account_and_an_unknown_one_are_told_to_log_in(shop: Shop) -> None:
    User.objects.filter(pk=shop.cashier.user_id).update(is_active=False)
    for user_id in (shop.cashier.user_id, new_id()):
        response = ask(user_id)
        assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


def test_closed_stores_and_merchants_are_left_out(shop: Shop) -> None:
    shop.store.is_active = False
    shop.store.save()
    assert ask(shop.cashier.user_id).json()["data"]["stores"] == []


def test_parameters_are_refused(shop: Shop) -> None:
    assert ask(shop.cashier.user_id, "?page=1").status_code == 400


def test_it_counts_per_person_not_per_address(shop: Shop, settings: Any) -> None:
    """Behind one router stand many tills."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "anonymous": 1, "user": 3}
    other = make_shop("Next Door")
    assert [ask(shop.cashier.user_id).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert ask(other.cashier.user_id).status_code == 200


def test_queries(shop: Shop, django_assert_num_queries: Any) -> None:
    for number in range(5):
        Store.objects.create(merchant=shop.merchant, name=f"Store {number}", code=str(number))
    # Who it is, their memberships, and the stores.
    with django_assert_num_queries(3):
        assert len(ask(shop.cashier.user_id).json()["data"]["stores"]) == 6


def test_the_schema_asks_for_a_token_and_no_store(client: Client) -> None:
    document = client.get("/api/schema", headers={"accept": "application/json"}).json()
    operation = document["paths"]["/api/v1/me"]["get"]
    assert operation["security"] == [{"bearerAuth": []}]
    assert "403" not in operation["responses"]


def test_a_view_that_forgets_to_ask_for_a_token_lets_nobody_in(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeView, "authentication_classes", ())
    assert ask(shop.owner.user_id).status_code == 403
