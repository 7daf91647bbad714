"""POST /auth/token, /auth/refresh, /auth/logout."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from cloudpos.tenancy.models import Membership, Role, Store, User
from cloudpos.tenancy.tokens import read_access_token
from tests.fixtures import Shop, make_shop

PASSWORD = "correct horse battery"


@pytest.fixture
def alice(shop: Shop) -> User:
    user = User.objects.create_user("alice@corner.example", PASSWORD, name="Alice Archer")
    Membership.objects.create(merchant=shop.merchant, user=user, role=Role.MANAGER)
    return user


def post(path: str, **body: str):
    return Client().post(f"/api/v1/auth/{path}", body, content_type="application/json")


def log_in(email: str = "alice@corner.example", password: str = PASSWORD):
    return post("token", email=email, password=password)


def test_logging_in_gives_tokens_and_the_stores(shop: Shop, alice: User) -> None:
    response = log_in()
    assert response.status_code == 200
    data = response.json()["data"]
    assert read_access_token(data["access"]) == alice.pk
    assert data["tokenType"] == "Bearer"
    assert data["expiresIn"] == 900
    assert data["user"] == {"id": str(alice.pk), "email": "alice@corner.example", "name": "Alice Archer"}
    assert data["stores"] == [
        {
            "id": str(shop.store.pk),
            "name": "Corner Shop High Street",
            "code": "HIGH",
            "merchantId": str(shop.merchant.pk),
            "merchantName": "Corner Shop",
            "role": "manager",
            "currency": "GBP",
            "timezone": "Europe/London",
        }
    ]


def test_the_address_is_not_case_sensitive(alice: User) -> None:
    assert log_in(email=" Alice@Corner.Example ").status_code == 200


def test_a_store_membership_lists_that_store_only(shop: Shop) -> None:
    bob = User.objects.create_user("bob@corner.example", PASSWORD)
    station = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    Membership.objects.create(merchant=shop.merchant, user=bob, store=station, role=Role.CASHIER)
    stores = log_in(email="bob@corner.example").json()["data"]["stores"]
    assert [(s["name"], s["role"]) for s in stores] == [("Station", "cashier")]


@pytest.mark.parametrize(
    ("email", "password"), [("alice@corner.example", "wrong"), ("nobody@corner.example", PASSWORD), ("", "")]
)
def test_every_failure_looks_the_same_or_names_the_field(alice: User, email: str, password: str) -> None:
    response = log_in(email, password)
    if email:
        assert response.status_code == 401
        assert response.json()["code"] == "login_failed"
        assert response.json()["message"] == "The e-mail address or the password is not right"
    else:
        assert response.status_code == 400
        assert [e["field"] for e in response.json()["errors"]] == ["email", "password"]


def test_a_closed_account_cannot_log_in_or_refresh(alice: User) -> None:
    refresh = log_in().json()["data"]["refresh"]
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert log_in().status_code == 401
    assert post("refresh", refresh=refresh).status_code == 401


def test_a_refresh_token_works_once(alice: User) -> None:
    refresh = log_in().json()["data"]["refresh"]
    again = post("refresh", refresh=refresh)
    assert again.status_code == 200
    assert read_access_token(again.json()["data"]["access"]) == alice.pk
    replayed = post("refresh", refresh=refresh)
    assert (replayed.status_code, replayed.json()["code"]) == (401, "invalid_refresh_token")


def test_logging_out_ends_the_session(alice: User) -> None:
    refresh = log_in().json()["data"]["refresh"]
    assert post("logout", refresh=refresh).status_code == 200
    assert post("refresh", refresh=refresh).status_code == 401
    assert post("logout", refresh=refresh).status_code == 401


@pytest.mark.parametrize("refresh", ["", "x", "a.b.c", "x" * 5000])
def test_nonsense_is_no_refresh_token(alice: User, refresh: str) -> None:
    assert post("refresh", refresh=refresh).status_code in (400, 401)


def test_an_access_token_is_no_refresh_token(alice: User) -> None:
    access = log_in().json()["data"]["access"]
    assert post("refresh", refresh=access).status_code == 401


def test_the_eleventh_attempt_in_a_minute_is_refused(alice: User) -> None:
    statuses = [log_in(password="wrong").status_code for _ in range(12)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


@pytest.mark.django_db(transaction=True)
def test_of_simultaneous_refreshes_one_wins() -> None:
    shop = make_shop("Race Shop")
    user = User.objects.create_user("carol@race.example", PASSWORD)
    Membership.objects.create(merchant=shop.merchant, user=user, role=Role.CASHIER)
    refresh = log_in(email="carol@race.example").json()["data"]["refresh"]

    def attempt(_: int) -> int:
        try:
            return post("refresh", refresh=refresh).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(attempt, range(4)))
    assert sorted(statuses) == [200, 401, 401, 401]
