"""/loyalty/promotions"""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from cloudpos.tenancy.models import Store
from customers.models import Customer
from loyalty.models import Program, Promotion
from loyalty.services.promotions import PROMOTIONS_MAX
from tests.fixtures import Shop
from tests.tills import sell

pytestmark = pytest.mark.django_db

TUESDAYS: dict[str, Any] = {
    "name": "Double Tuesdays",
    "kind": "multiplier",
    "multiplier": "2",
    "weekdays": [2],
}
BONUS: dict[str, Any] = {"name": "Welcome", "kind": "bonus", "points": 100}


def made(shop: Shop, values: dict[str, Any]) -> dict[str, Any]:
    response = shop.manager.post("/loyalty/promotions", values)
    assert response.status_code == 201, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


def test_a_promotion_is_a_draft_until_it_is_made_active(shop: Shop, program: Program) -> None:
    promotion = made(shop, TUESDAYS)
    assert {
        **promotion,
        "id": 0,
        "createdAt": 0,
        "updatedAt": 0,
    } == {
        "id": 0,
        "name": "Double Tuesdays",
        "description": "",
        "kind": "multiplier",
        "multiplier": "2",
        "points": None,
        "status": "draft",
        "startsAt": None,
        "endsAt": None,
        "weekdays": [2],
        "opens": None,
        "closes": None,
        "storeIds": [],
        "tiers": [],
        "segments": [],
        "categories": [],
        "skus": [],
        "minQuantity": None,
        "minSpend": None,
        "firstPurchase": False,
        "birthdayDays": None,
        "everyVisit": None,
        "memberTimes": None,
        "memberPoints": None,
        "memberPeriod": "total",
        "totalTimes": None,
        "totalPoints": None,
        "priority": 0,
        "exclusive": False,
        "summary": "Double points on Tuesdays in all stores",
        "version": 1,
        "createdAt": 0,
        "updatedAt": 0,
        "usage": {
            "times": 0,
            "points": 0,
            "pointsReturned": 0,
            "pointsNet": 0,
            "customers": 0,
            "sales": "0.00",
        },
    }
    before = now()
    path = f"/loyalty/promotions/{promotion['id']}"
    active = shop.manager.patch(path, {"status": "active"}, headers={"if-match": '"1"'})
    assert active.headers["ETag"] == '"2"'
    assert before.isoformat() <= active.json()["data"]["startsAt"].replace("Z", "+00:00")
    row = Promotion.objects.get()
    assert row.actor_id == shop.manager.user_id
    stale = shop.manager.patch(path, {"name": "Other"}, headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")


def test_what_was_read_may_be_sent_back(shop: Shop, program: Program) -> None:
    promotion = made(
        shop,
        {
            **TUESDAYS,
            "opens": "22:00",
            "closes": "02:00",
            "storeIds": [str(shop.store.pk)],
            "tiers": ["gold"],
            "segments": ["vip"],
            "minSpend": "20.00",
            "memberTimes": 1,
            "memberPeriod": "day",
            "startsAt": "2026-07-01T00:00:00+01:00",
            "endsAt": "2026-08-01T00:00:00+01:00",
        },
    )
    again = shop.manager.patch(f"/loyalty/promotions/{promotion['id']}", promotion)
    assert again.status_code == 200, again.content
    assert again.json()["data"] == promotion
    assert promotion["summary"] == (
        "Double points from 20.00 GBP on Tuesdays between 22:00 and 02:00 for Gold members for vip customers in"
        " Corner Shop High Street, from 1 Jul 2026 until 31 Jul 2026; at most once for each customer and day"
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"multiplier": "1"}, "multiplier"),
        ({"multiplier": "0.5"}, "multiplier"),
        ({"multiplier": "100.001"}, "multiplier"),
        ({"multiplier": None}, "multiplier"),
        ({"points": 5}, "points"),
        ({"kind": "bonus"}, "multiplier"),
        ({"kind": "bonus", "multiplier": None}, "points"),
        ({"kind": "bonus", "multiplier": None, "points": 0}, "points"),
        ({"kind": "bonus", "multiplier": None, "points": 2**31}, "points"),
        ({"startsAt": "2026-07-01T00:00:00Z", "endsAt": "2026-07-01T00:00:00Z"}, "endsAt"),
        ({"startsAt": "2026-07-02T00:00:00Z", "endsAt": "2026-07-01T00:00:00Z"}, "endsAt"),
        ({"startsAt": "2026-07-02"}, "startsAt"),
        ({"weekdays": []}, "weekdays"),
        ({"weekdays": [0]}, "weekdays.0"),
        ({"weekdays": [1, 1]}, "weekdays"),
        ({"weekdays": [True]}, "weekdays.0"),
        ({"opens": "10:00"}, "closes"),
        ({"closes": "10:00"}, "opens"),
        ({"opens": "10:00", "closes": "10:00"}, "closes"),
        ({"opens": "25:00", "closes": "10:00"}, "opens"),
        ({"storeIds": ["00000000-0000-0000-0000-000000000000"]}, "storeIds"),
        ({"tiers": ["wood"]}, "tiers"),
        ({"segments": ["rich"]}, "segments.0"),
        ({"categories": ["tea"] * 201}, "categories"),
        ({"minQuantity": 2, "skus": ["TEA"]}, "minQuantity"),
        ({"kind": "bonus", "multiplier": None, "points": 5, "minQuantity": 2}, "minQuantity"),
        ({"minSpend": "0"}, "minSpend"),
        ({"everyVisit": 1}, "everyVisit"),
        ({"everyVisit": 5, "firstPurchase": True}, "everyVisit"),
        ({"birthdayDays": -1}, "birthdayDays"),
        ({"birthdayDays": 400}, "birthdayDays"),
        ({"memberTimes": 0}, "memberTimes"),
        ({"memberPoints": -1}, "memberPoints"),
        ({"totalTimes": 0}, "totalTimes"),
        ({"totalPoints": 1.5}, "totalPoints"),
        ({"totalPoints": "100"}, "totalPoints"),
        ({"priority": 5_000}, "priority"),
        ({"status": "gone"}, "status"),
        ({"name": ""}, "name"),
        ({"usedPoints": 5}, "usedPoints"),
    ],
)
def test_what_cannot_be_is_refused(shop: Shop, program: Program, changes: dict[str, Any], field: str) -> None:
    for response in (
        shop.manager.post("/loyalty/promotions", {**TUESDAYS, **changes}),
        shop.manager.patch(f"/loyalty/promotions/{made(shop, TUESDAYS)['id']}", changes),
    ):
        assert response.status_code == 400, response.content
        assert field in [error["field"] for error in response.json()["errors"]], response.content
    assert Promotion.objects.count() == 1
    assert Promotion.objects.get().version == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("value_of_kind", {"multiplier": 1}),
        ("value_of_kind", {"points": 5}),
        ("status_known", {"status": "gone", "starts_at": now()}),
        ("active_has_start", {"status": "active"}),
        ("window", {"starts_at": now(), "ends_at": now() - timedelta(days=1)}),
        ("hours", {"opens": "10:00"}),
        ("hours", {"opens": "10:00", "closes": "10:00"}),
        ("weekdays", {"weekdays": [8]}),
        ("lists_bounded", {"skus": ["A"] * 201}),
        ("min_quantity", {"min_quantity": 2}),
        ("min_spend", {"min_spend": 0}),
        ("birthday_days", {"birthday_days": -1}),
        ("every_visit", {"every_visit": 1}),
        ("caps_bounds", {"total_times": 0}),
        ("total_caps_hold", {"total_times": 3, "used_times": 4}),
        ("priority_bounds", {"priority": 1_001}),
    ],
)
def test_the_database_refuses_it_too(shop: Shop, program: Program, name: str, values: dict[str, Any]) -> None:
    row = Promotion(merchant_id=shop.merchant.pk, program=program, name="X", kind="multiplier", multiplier=2)
    for column, value in values.items():
        setattr(row, column, value)
    with pytest.raises(IntegrityError, match=f"loyalty_promotions_{name}"), transaction.atomic():
        row.save(force_insert=True)


def test_a_status_follows_another(shop: Shop, program: Program) -> None:
    promotion = made(shop, TUESDAYS)
    path = f"/loyalty/promotions/{promotion['id']}"

    def to(status: str) -> Any:
        return shop.manager.patch(path, {"status": status})

    assert to("paused").json()["code"] == "invalid_status"
    assert to("active").status_code == 200
    assert shop.manager.delete(path).json()["code"] == "not_a_draft"
    assert to("draft").json()["code"] == "invalid_status"
    assert to("paused").status_code == 200
    assert to("active").status_code == 200
    ended = to("ended").json()["data"]
    assert ended["endsAt"] is not None
    assert to("active").json()["code"] == "promotion_ended"
    assert shop.manager.patch(path, {"name": "X"}).json()["code"] == "promotion_ended"
    draft = f"/loyalty/promotions/{made(shop, BONUS)['id']}"
    assert shop.manager.delete(draft, headers={"if-match": '"7"'}).status_code == 412
    assert shop.manager.delete(draft).status_code == 200
    assert shop.manager.get(draft).json()["code"] == "promotion_not_found"


def test_one_that_ends_before_it_begins_was_never_there(shop: Shop, program: Program) -> None:
    later = (now() + timedelta(days=5)).isoformat()
    promotion = made(shop, {**TUESDAYS, "status": "active", "startsAt": later})
    ended = shop.manager.patch(f"/loyalty/promotions/{promotion['id']}", {"status": "ended"}).json()["data"]
    assert ended["startsAt"] == ended["endsAt"]


def test_the_list(shop: Shop, program: Program) -> None:
    first = made(shop, {**TUESDAYS, "status": "active", "startsAt": "2026-07-01T00:00:00Z"})
    second = made(
        shop,
        {**BONUS, "status": "active", "startsAt": "2026-06-01T00:00:00Z", "endsAt": "2026-07-01T00:00:00Z"},
    )
    third = made(shop, BONUS)

    def found(query: str = "") -> list[str]:
        rows = shop.cashier.get(f"/loyalty/promotions{query}").json()["data"]["promotions"]
        return [row["id"] for row in rows]

    assert found() == [third["id"], second["id"], first["id"]]
    assert found("?status=active") == [second["id"], first["id"]]
    assert found("?at=2026-07-01T00:00:00Z") == [first["id"]]
    assert found("?at=2026-06-30") == [second["id"]]
    assert found("?status=draft&limit=1") == [third["id"]]
    assert shop.cashier.get("/loyalty/promotions?at=yesterday").status_code == 400


def test_a_list_takes_the_same_queries_however_long(
    shop: Shop, program: Program, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        made(shop, TUESDAYS)
    shop.cashier.get("/loyalty/promotions")
    with django_assert_num_queries(5):
        shop.cashier.get("/loyalty/promotions")


def test_without_a_program_there_are_no_promotions(shop: Shop) -> None:
    refused = shop.manager.post("/loyalty/promotions", TUESDAYS)
    assert (refused.status_code, refused.json()["code"]) == (404, "program_not_found")


def test_there_is_a_most(shop: Shop, program: Program) -> None:
    Promotion.objects.bulk_create(
        Promotion(merchant_id=shop.merchant.pk, program=program, name="X", kind="bonus", points=1)
        for _ in range(PROMOTIONS_MAX)
    )
    refused = shop.manager.post("/loyalty/promotions", TUESDAYS)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_promotions")


def test_a_cap_counts_what_was_given_before_it_and_does_not_go_below(
    shop: Shop, program: Program, alice: Customer
) -> None:
    promotion = made(shop, {**BONUS, "status": "active"})
    path = f"/loyalty/promotions/{promotion['id']}"
    for number in range(3):
        sell(shop.access, alice, f"T-{number}", "10.00")
    refused = shop.manager.patch(path, {"totalPoints": 250})
    assert (refused.status_code, refused.json()["code"]) == (409, "cap_below_used")
    assert refused.json()["used"] == 300
    assert shop.manager.patch(path, {"totalPoints": 340}).status_code == 200
    receipts = [sell(shop.access, alice, f"U-{number}", "10.00").receipt for number in range(2)]
    assert [receipt["pointsEarned"] for receipt in receipts] == [50, 10]
    usage = shop.manager.get(path).json()["data"]["usage"]
    assert usage == {
        "times": 4,
        "points": 340,
        "pointsReturned": 0,
        "pointsNet": 340,
        "customers": 1,
        "sales": "40.00",
    }


def test_a_store_of_another_merchant_is_no_store(shop: Shop, foreign_shop: Shop, program: Program) -> None:
    theirs = shop.manager.post("/loyalty/promotions", {**TUESDAYS, "storeIds": [str(foreign_shop.store.pk)]})
    assert (theirs.status_code, theirs.json()["errors"][0]["message"]) == (400, "There is no such store.")
    mine = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    assert made(shop, {**TUESDAYS, "storeIds": [str(mine.pk)]})["storeIds"] == [str(mine.pk)]


def test_awards_are_append_only(shop: Shop, program: Program, alice: Customer) -> None:
    made(shop, {**BONUS, "status": "active"})
    sell(shop.access, alice, "T-1", "10.00")
    for sql in ("UPDATE loyalty_awards SET points = 1", "DELETE FROM loyalty_awards"):
        with (
            pytest.raises(IntegrityError, match="loyalty_awards"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
