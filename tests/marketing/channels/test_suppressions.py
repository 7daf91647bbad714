"""GET and POST /suppressions, DELETE /suppressions/{id}."""

import uuid
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from marketing.channels.suppressions import suppress, suppressed
from marketing.models import Suppression
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

ALICE = {"channel": "email", "address": "Alice@Mail.example"}


def add(shop: Shop, body: dict[str, Any] = ALICE, status: int = 201) -> Any:
    answer = shop.manager.post("/suppressions", body)
    assert answer.status_code == status, answer.content
    return answer.json()["data"]


def listed(shop: Shop, query: str = "") -> list[Any]:
    answer = shop.manager.get(f"/suppressions{query}")
    assert answer.status_code == 200, answer.content
    found: list[Any] = answer.json()["data"]["suppressions"]
    return found


def test_an_address_is_suppressed_once_and_not_shown(shop: Shop) -> None:
    row = add(shop)
    assert {**row, "id": "", "createdAt": ""} == {
        "id": "",
        "channel": "email",
        "reason": "manual",
        "createdAt": "",
    }
    again = add(shop, {**ALICE, "address": "alice@mail.example"}, 200)
    assert again == row
    assert listed(shop) == [row]
    kept = Suppression.objects.get()
    assert len(bytes(kept.address_hash)) == 16
    assert suppressed(shop.merchant.pk, "email", ["ALICE@mail.example", "bob@mail.example", "x", ""]) == {
        "ALICE@mail.example"
    }
    assert suppressed(shop.merchant.pk, "sms", ["+441614960111"]) == set()


def test_a_given_address_is_looked_up(shop: Shop) -> None:
    row = add(shop)
    number = add(shop, {"channel": "sms", "address": "0161 496 0111"})
    assert listed(shop, "?address=alice%40mail.example") == [row]
    assert listed(shop, "?address=%2B441614960111") == [number]
    assert listed(shop, "?channel=sms") == [number]
    assert listed(shop, "?address=bob%40mail.example") == []
    assert listed(shop, "?reason=bounce") == []
    assert shop.manager.get("/suppressions?address=x").status_code == 400


def test_it_is_written_to_again(shop: Shop) -> None:
    row = add(shop)
    assert shop.manager.delete(f"/suppressions/{row['id']}").status_code == 200
    assert shop.manager.delete(f"/suppressions/{row['id']}").json()["code"] == "suppression_not_found"
    assert listed(shop) == []


def test_merchants_do_not_see_each_others_nor_have_the_same_hashes(shop: Shop, foreign_shop: Shop) -> None:
    row = add(shop)
    add(foreign_shop)
    assert len({bytes(each.address_hash) for each in Suppression.objects.all()}) == 2
    assert shop.manager.delete(f"/suppressions/{listed(foreign_shop)[0]['id']}").status_code == 404
    assert listed(shop) == [row]
    assert shop.manager.delete(f"/suppressions/{uuid.uuid4()}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channel": "push", "address": "x"}, "channel"),
        ({"channel": "email", "address": "x"}, "address"),
        ({"channel": "sms", "address": "12"}, "address"),
        ({"channel": "email"}, "address"),
    ],
)
def test_what_is_no_address_is_refused(shop: Shop, body: dict[str, Any], field: str) -> None:
    answer = shop.manager.post("/suppressions", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_cashiers_do_not(shop: Shop) -> None:
    assert shop.cashier.get("/suppressions").status_code == 403
    assert shop.cashier.post("/suppressions", ALICE).status_code == 403


def test_ten_addresses_are_one_query(shop: Shop, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    merchant_id = shop.merchant.pk
    said = ["a3@mail.example", "A3@mail.example", "nobody", "a4@mail.example"]
    assert suppress(merchant_id=merchant_id, channel="email", addresses=said, reason="bounce") == 2
    assert suppress(merchant_id=merchant_id, channel="email", addresses=said, reason="complaint") == 0
    assert set(Suppression.objects.values_list("reason", flat=True)) == {"bounce"}
    with django_assert_num_queries(1):
        found = suppressed(merchant_id, "email", [f"a{n}@mail.example" for n in range(10)])
    assert found == {"a3@mail.example", "a4@mail.example"}
    with django_assert_num_queries(0):
        assert suppressed(merchant_id, "email", []) == set()
