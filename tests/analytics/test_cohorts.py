"""GET /analytics/cohorts, and the customers of a cell."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache

from analytics.cohorts import PERIODS_MAX
from analytics.rollups.refresh import refresh
from analytics.rollups.spans import first_of, nth
from analytics.views import cohorts as views
from cloudpos import outbox
from cloudpos.lifecycle.merging import merge_customers
from cloudpos.tenancy.models import Store
from customers.models import Customer
from customers.services import delete_customer
from tests.analytics.conftest import buy, give_back, new_customer
from tests.analytics.naive import Ledger
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db


def at(month: int, day: int, hour: int = 12, year: int = 2025) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def read(client: ApiClient, query: str) -> dict[str, Any]:
    answer = client.get(f"/analytics/cohorts?{query}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()["data"]
    return found


@pytest.fixture
def mid_april(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "now", lambda: at(4, 15))


SPRING = "startDate=2025-01-01&endDate=2025-04-30"


@pytest.fixture
def spring(shop: Shop, alice: Customer, bob: Customer, mid_april: None) -> None:
    """Alice since January, Bob and Carol since February; it is the middle of April."""
    carol = new_customer(shop, "Carol")
    buy(shop, alice, "10.00", at(1, 5))
    buy(shop, alice, "20.00", at(3, 5))
    buy(shop, bob, "30.00", at(2, 5))
    apples = buy(shop, bob, "8.00", at(3, 5))
    give_back(shop, apples, at(4, 6), "3.00")
    buy(shop, carol, "50.00", at(2, 6))


def test_retention(shop: Shop, spring: None) -> None:
    assert read(shop.manager, SPRING) == {
        "granularity": "month",
        "metric": "retention",
        "timezone": "Europe/London",
        "currency": "GBP",
        "periods": 4,
        "cohorts": [
            {
                "cohort": "2025-01-01",
                "to": "2025-01-31",
                "size": 1,
                "values": [1.0, 0.0, 1.0, 0.0],
                "customers": [1, 0, 1, 0],
                "runningFrom": 3,
            },
            {
                "cohort": "2025-02-01",
                "to": "2025-02-28",
                "size": 2,
                "values": [1.0, 0.5, 0.0, None],
                "customers": [2, 1, 0, None],
                "runningFrom": 2,
            },
            {
                "cohort": "2025-03-01",
                "to": "2025-03-31",
                "size": 0,
                "values": [0.0, 0.0, None, None],
                "customers": [0, 0, None, None],
                "runningFrom": 1,
            },
            {
                "cohort": "2025-04-01",
                "to": "2025-04-30",
                "size": 0,
                "values": [0.0, None, None, None],
                "customers": [0, None, None, None],
                "runningFrom": 0,
            },
        ],
        # Periods 2 and 3 of February and January are April, which is not over.
        "means": [1.0, 0.3333, 1.0, None],
        "asOf": None,
        "notes": [],
    }


@pytest.mark.parametrize(
    ("metric", "january", "february", "means"),
    [
        ("revenue", ["10.00", "0.00", "20.00", "0.00"], ["80.00", "8.00", "-3.00", None], ["56.67", "5.33", "20.00", None]),
        (
            "revenuePerCustomer",
            ["10.00", "0.00", "20.00", "0.00"],
            ["40.00", "4.00", "-1.50", None],
            ["30.00", "2.67", "20.00", None],
        ),
        (
            "cumulativeValue",
            ["10.00", "10.00", "30.00", "30.00"],
            ["40.00", "44.00", "42.50", None],
            ["30.00", "32.67", "30.00", None],
        ),
    ],
)  # fmt: skip
def test_money(
    shop: Shop, spring: None, metric: str, january: list[Any], february: list[Any], means: list[Any]
) -> None:
    found = read(shop.manager, f"{SPRING}&metric={metric}")
    assert [cohort["values"] for cohort in found["cohorts"][:2]] == [january, february]
    assert found["means"] == means


def test_quarters(shop: Shop, spring: None) -> None:
    found = read(shop.manager, f"{SPRING}&granularity=quarter")
    assert [(row["cohort"], row["size"], row["values"]) for row in found["cohorts"]] == [
        ("2025-01-01", 3, [1.0, 0.0]),
        ("2025-04-01", 0, [0.0, None]),
    ]


def test_weeks_begin_on_monday(shop: Shop, alice: Customer, bob: Customer, mid_april: None) -> None:
    buy(shop, alice, "1.00", at(4, 6))  # a Sunday
    buy(shop, bob, "1.00", at(4, 7))
    buy(shop, alice, "1.00", at(4, 13))
    found = read(shop.manager, "startDate=2025-04-01&endDate=2025-04-08&granularity=week")
    assert [(row["cohort"], row["customers"]) for row in found["cohorts"]] == [
        ("2025-03-31", [1, 1, 0]),
        ("2025-04-07", [1, 0, None]),
    ]


def test_a_purchase_that_was_taken_back_never_happened(shop: Shop, alice: Customer, mid_april: None) -> None:
    cancelled = buy(shop, alice, "100.00", at(1, 31))
    give_back(shop, cancelled, at(2, 1), "60.00")
    outbox.relay()
    refresh(merchant_id=shop.merchant.pk)
    give_back(shop, cancelled, at(3, 1))
    buy(shop, alice, "7.00", at(2, 10))
    for _ in range(2):
        found = read(shop.manager, f"{SPRING}&metric=revenue")
        assert [(row["size"], row["values"]) for row in found["cohorts"][:2]] == [
            (0, ["0.00"] * 4),
            (1, ["7.00", "0.00", "0.00", None]),
        ]
        outbox.relay()
        refresh(merchant_id=shop.merchant.pk)
        cache.clear()


def test_an_earlier_purchase_that_comes_late_moves_its_customer(
    shop: Shop, spring: None, bob: Customer
) -> None:
    refresh(merchant_id=shop.merchant.pk)
    buy(shop, bob, "5.00", at(1, 9))
    found = read(shop.manager, SPRING)
    assert [(row["size"], row["customers"]) for row in found["cohorts"][:2]] == [
        (2, [2, 1, 2, 0]),
        (1, [1, 0, 0, None]),
    ]


def test_customers_merged_are_one(shop: Shop, spring: None, alice: Customer, bob: Customer) -> None:
    refresh(merchant_id=shop.merchant.pk)
    merge_customers(access=shop.access, customer_id=bob.pk, source_id=alice.pk)
    found = read(shop.manager, SPRING)
    assert [(row["size"], row["customers"]) for row in found["cohorts"][:2]] == [
        (1, [1, 1, 1, 0]),
        (1, [1, 0, 0, None]),
    ]


def test_a_store_as_if_there_were_no_other(shop: Shop, spring: None, alice: Customer) -> None:
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    there = ApiClient(user_id=shop.manager.user_id, store_id=second.pk)
    buy(shop, alice, "1.00", at(3, 9), access=there.access)
    found = read(shop.manager, f"{SPRING}&storeId={second.pk}")
    assert [row["size"] for row in found["cohorts"]] == [0, 0, 1, 0]


def test_without_days_there_are_the_latest_twelve(shop: Shop, mid_april: None) -> None:
    found = read(shop.manager, "")
    assert [row["cohort"] for row in found["cohorts"]][::11] == ["2024-05-01", "2025-04-01"]
    assert found["notes"] == ["Nobody bought for the first time in these cohorts."]
    assert found["means"] == [None] * 12
    assert read(shop.manager, "startDate=2025-06-01")["cohorts"] == []


@pytest.mark.parametrize("granularity", ["week", "month", "quarter"])
def test_as_worked_out_the_plain_way(shop: Shop, granularity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random year at three stores around the world, with years' ends and changes of the clock in it."""
    chance = random.Random(granularity)
    accesses = [shop.access]
    for code, zone in (("AKL", "Pacific/Auckland"), ("LAX", "America/Los_Angeles")):
        store = Store.objects.create(merchant=shop.merchant, name=code, code=code, timezone=zone)
        accesses.append(ApiClient(user_id=shop.manager.user_id, store_id=store.pk).access)
    people = [new_customer(shop, f"Person {n}") for n in range(12)]
    for n in range(70):
        instant = at(12, 20, year=2024) + timedelta(minutes=chance.randrange(400 * 24 * 60))
        amount = f"{chance.randint(1, 90)}.25"
        buy(shop, chance.choice(people), amount, instant, access=chance.choice(accesses))
        if n == 50:
            outbox.relay()
            refresh(merchant_id=shop.merchant.pk)
    # The hours around midnight of the year's end, in each of the zones.
    for access in accesses:
        for hour in (7, 8, 10, 11, 23):
            buy(shop, chance.choice(people), "3.00", at(12, 31, hour), access=access)
    monkeypatch.setattr(views, "now", lambda: at(2, 10, year=2026))
    found = read(
        shop.manager, f"startDate=2024-12-20&endDate=2026-02-10&granularity={granularity}&metric=revenue"
    )
    ledger = Ledger(shop.merchant.pk)
    first: dict[Any, date] = {}
    for sale in ledger.sales:
        first[sale.customer_id] = min(first.get(sale.customer_id, sale.day), sale.day)
    active = defaultdict(set)
    revenue: dict[Any, Any] = defaultdict(int)
    for sale in ledger.sales:
        cell = (first_of(first[sale.customer_id], granularity), first_of(sale.day, granularity))
        active[cell].add(sale.customer_id)
        revenue[cell] += sale.amount
    for row in found["cohorts"]:
        cohort = date.fromisoformat(row["cohort"])
        for k, (customers, value) in enumerate(zip(row["customers"], row["values"], strict=True)):
            cell = (cohort, nth(cohort, granularity, k).first)
            if customers is None:
                assert cell not in active
            else:
                assert (customers, value) == (len(active[cell]), f"{revenue[cell]:.2f}"), cell


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("startDate=2025-02-01&endDate=2025-01-01", "endDate", "invalid_period"),
        ("startDate=1925-01-01&endDate=2025-01-01", "startDate", "too_many_cohorts"),
        ("startDate=1900-01-01&endDate=2200-01-01&granularity=quarter", "startDate", "too_many_cohorts"),
        ("startDate=2021-01-01&endDate=2025-01-01&granularity=week", "startDate", "too_many_cohorts"),
        ("startDate=2015-01-01&endDate=2025-01-01", "startDate", "too_many_cohorts"),
        ("granularity=year", "granularity", "invalid_choice"),
        ("metric=profit", "metric", "invalid_choice"),
        ("startDate=2025-13-01", "startDate", "invalid"),
        ("storeId=1", "storeId", "invalid"),
        ("from=2025-01-01", "from", "unknown_parameter"),
    ],
)
def test_bad_parameters_are_named(shop: Shop, query: str, field: str, code: str) -> None:
    answer = shop.manager.get(f"/analytics/cohorts?{query}")
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]


def test_as_many_cohorts_as_there_may_be(shop: Shop) -> None:
    for granularity, start, end in (
        ("week", "2023-01-02", "2025-04-20"),
        ("month", "2015-01-01", "2024-12-31"),
        ("quarter", "1995-01-01", "2024-12-31"),
    ):
        found = read(shop.manager, f"startDate={start}&endDate={end}&granularity={granularity}")
        assert (len(found["cohorts"]), found["periods"]) == (120, 120)


def test_as_csv(shop: Shop, spring: None) -> None:
    answer = shop.manager.get(f"/analytics/cohorts?{SPRING}&format=csv")
    assert answer.content.decode().splitlines() == [
        "cohort,size,0,1,2,3",
        "2025-01-01,1,1.0,0.0,1.0,0.0",
        "2025-02-01,2,1.0,0.5,0.0",
        "2025-03-01,0,0.0,0.0",
        "2025-04-01,0,0.0",
    ]


# --- The customers of a cell --------------------------------------------------------------------------------------


def members(client: ApiClient, query: str, cohort: str = "2025-02-01") -> dict[str, Any]:
    answer = client.get(f"/analytics/cohorts/{cohort}/customers?{query}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()["data"]
    return found


def test_the_customers_of_a_cell(shop: Shop, spring: None, bob: Customer) -> None:
    for _ in range(2):
        assert members(shop.manager, "period=1") == {
            "customers": [
                {
                    "id": str(bob.pk),
                    "customerNumber": bob.customer_number,
                    "name": "Bob",
                    "segment": "new",
                    "tier": "",
                    "purchases": 1,
                    "revenue": "8.00",
                    "isDeleted": False,
                }
            ],
            "total": 1,
            "page": 1,
            "limit": 20,
            "totalPages": 1,
            "totalIsExact": True,
            "nextCursor": None,
            "cohort": "2025-02-01",
            "from": "2025-03-01",
            "to": "2025-03-31",
            "size": 2,
            "asOf": None,
        }
        refresh(merchant_id=shop.merchant.pk)


def test_who_spent_most_comes_first(shop: Shop, spring: None) -> None:
    found = members(shop.manager, "limit=1")
    assert ([row["name"] for row in found["customers"]], found["total"], found["totalPages"]) == (
        ["Carol"],
        2,
        2,
    )
    assert [row["name"] for row in members(shop.manager, "limit=1&page=2")["customers"]] == ["Bob"]
    assert members(shop.manager, "limit=1&page=3")["customers"] == []


def test_a_deleted_customer_is_counted_and_not_named(shop: Shop, spring: None, bob: Customer) -> None:
    delete_customer(access=shop.access, customer_id=bob.pk)
    (row,) = members(shop.manager, "period=1")["customers"]
    assert (row["name"], row["isDeleted"], row["id"]) == ("", True, str(bob.pk))


def test_a_period_that_has_not_begun_has_nobody(shop: Shop, spring: None) -> None:
    assert members(shop.manager, "period=9")["total"] == 0


@pytest.mark.parametrize("period", [PERIODS_MAX + 1, 10**9, -1])
def test_periods_are_bounded(shop: Shop, spring: None, period: int) -> None:
    answer = shop.manager.get(f"/analytics/cohorts/2025-02-01/customers?period={period}")
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [
        ("period", "out_of_range")
    ]


def test_members_as_csv(shop: Shop, mid_april: None) -> None:
    mallory = new_customer(shop, "=HYPERLINK(1)")
    buy(shop, mallory, "5.00", at(2, 1))
    answer = shop.manager.get("/analytics/cohorts/2025-02-01/customers?format=csv")
    head, row = answer.content.decode().splitlines()
    assert head == "id,customerNumber,name,segment,tier,purchases,revenue,isDeleted"
    assert row == f"{mallory.pk},{mallory.customer_number},'=HYPERLINK(1),new,,1,5.00,false"


@pytest.mark.parametrize(
    "path",
    ["2025-02-02", "2025-02", "february", "2025-02-30", "20250201", "0001-01-01", "2199-01-01"],
)
def test_no_such_cohort(shop: Shop, path: str) -> None:
    answer = shop.manager.get(f"/analytics/cohorts/{path}/customers")
    assert (answer.status_code, answer.json()["code"]) == (404, "cohort_not_found")


def test_cashiers_see_no_cohorts(shop: Shop) -> None:
    assert shop.cashier.get("/analytics/cohorts").status_code == 403
    assert shop.cashier.get("/analytics/cohorts/2025-02-01/customers").status_code == 403
