"""GET /analytics/overview."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from analytics.periods import PERIOD_DAYS_MAX, Period, read_interval, read_period
from analytics.rollups.refresh import refresh
from cloudpos import outbox
from cloudpos.api.errors import BadRequest
from cloudpos.tenancy.models import Store
from customers.models import Customer
from loyalty.services import create_program
from tests.analytics.conftest import buy, give_back, new_customer
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db


def may(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def figures(client: ApiClient, query: str) -> dict[str, Any]:
    answer = client.get(f"/analytics/overview?{query}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()["data"]
    return found


def test_every_figure_of_a_period_and_the_one_before(shop: Shop, alice: Customer, bob: Customer) -> None:
    create_program(merchant_id=shop.merchant.pk, begins_at=datetime(2026, 1, 1, tzinfo=UTC))
    carol = new_customer(shop, "Carol")
    buy(shop, alice, "30.00", datetime(2026, 4, 10, 12, tzinfo=UTC))  # long before
    buy(shop, carol, "40.00", datetime(2026, 4, 29, 12, tzinfo=UTC))  # the period before
    apples = buy(shop, alice, "20.00", may(1))
    buy(shop, bob, "50.00", may(2))
    buy(shop, bob, "6.00", may(2, 22))
    give_back(shop, apples, may(3), amount="4.00")
    give_back(shop, apples, may(9), amount="1.00")  # after the period

    assert figures(shop.manager, "from=2026-05-01&to=2026-05-03") == {
        "from": "2026-05-01",
        "to": "2026-05-03",
        "interval": "day",
        "timezone": "Europe/London",
        "currency": "GBP",
        "revenue": "72.00",
        "sales": "76.00",
        "returns": "4.00",
        "purchases": 3,
        "averageOrderValue": "25.33",
        "customers": {"active": 2, "new": 1, "returning": 1},
        "repeatRate": 1.0,
        "purchaseFrequency": 1.5,
        "discounts": "0.00",
        "points": {"earned": 76, "redeemed": 0, "expired": 0},
        "redemptionRate": 0.0,
        "totalCustomers": 3,
        "customersAtRisk": 0,
        "valueAtRisk": "0.00",
        "series": [
            {
                "from": "2026-05-01",
                "to": "2026-05-01",
                "revenue": "20.00",
                "purchases": 1,
                "customers": 1,
                "newCustomers": 0,
            },
            {
                "from": "2026-05-02",
                "to": "2026-05-02",
                "revenue": "56.00",
                "purchases": 2,
                "customers": 1,
                "newCustomers": 1,
            },
            {
                "from": "2026-05-03",
                "to": "2026-05-03",
                "revenue": "-4.00",
                "purchases": 0,
                "customers": 0,
                "newCustomers": 0,
            },
        ],
        "previous": {
            "from": "2026-04-28",
            "to": "2026-04-30",
            "revenue": "40.00",
            "sales": "40.00",
            "returns": "0.00",
            "purchases": 1,
            "averageOrderValue": "40.00",
            "customers": {"active": 1, "new": 1, "returning": 0},
            "repeatRate": 0.0,
            "purchaseFrequency": 1.0,
            "discounts": "0.00",
            "points": {"earned": 40, "redeemed": 0, "expired": 0},
            "redemptionRate": 0.0,
        },
        "change": {
            "revenue": 0.8,
            "purchases": 2.0,
            "averageOrderValue": -0.3668,
            "activeCustomers": 1.0,
            "newCustomers": 0.0,
            "returningCustomers": None,
        },
        "compare": "previous_period",
        "asOf": None,
        "notes": ["Nobody's risk has been worked out yet: the value at risk is 0."],
    }


def test_a_purchase_belongs_to_the_day_of_its_store(shop: Shop, alice: Customer) -> None:
    auckland = Store.objects.create(
        merchant=shop.merchant, name="Auckland", code="AKL", timezone="Pacific/Auckland"
    )
    there = ApiClient(user_id=shop.manager.user_id, store_id=auckland.pk)
    late = datetime(
        2026, 4, 30, 20, 30, tzinfo=UTC
    )  # 08:30 on 1 May in Auckland, 21:30 on 30 April in London
    buy(shop, alice, "7.00", late, access=there.access)
    buy(shop, alice, "2.00", late)
    assert figures(shop.manager, "from=2026-05-01&to=2026-05-01")["revenue"] == "7.00"
    assert figures(shop.manager, "from=2026-04-30&to=2026-04-30")["revenue"] == "2.00"


def test_one_store(shop: Shop, alice: Customer, bob: Customer) -> None:
    create_program(merchant_id=shop.merchant.pk, begins_at=datetime(2026, 1, 1, tzinfo=UTC))
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    there = ApiClient(user_id=shop.manager.user_id, store_id=second.pk)
    buy(shop, alice, "10.00", may(1))
    buy(shop, bob, "3.00", may(1), access=there.access)
    found = figures(shop.manager, f"from=2026-05-01&to=2026-05-01&storeId={second.pk}")
    assert (found["revenue"], found["customers"]["active"], found["points"]["earned"]) == ("3.00", 1, 3)


def test_a_foreign_store_is_as_absent_as_any(shop: Shop, foreign_shop: Shop) -> None:
    answer = shop.manager.get(f"/analytics/overview?storeId={foreign_shop.store.pk}")
    assert (answer.status_code, answer.json()["code"]) == (404, "store_not_found")


def test_another_merchants_sales_are_not_counted(shop: Shop, foreign_shop: Shop) -> None:
    buy(foreign_shop, new_customer(foreign_shop, "Mallory"), "99.00", may(1))
    found = figures(shop.manager, "from=2026-05-01&to=2026-05-01")
    assert (found["revenue"], found["purchases"], found["totalCustomers"]) == ("0.00", 0, 0)


def test_weeks_begin_on_monday_and_the_ends_are_cut(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "1.00", may(1))  # a Friday
    buy(shop, alice, "2.00", may(4))
    buy(shop, alice, "4.00", may(10))
    series = figures(shop.manager, "from=2026-05-01&to=2026-05-12&interval=week")["series"]
    assert [(step["from"], step["to"], step["revenue"]) for step in series] == [
        ("2026-05-01", "2026-05-03", "1.00"),
        ("2026-05-04", "2026-05-10", "6.00"),
        ("2026-05-11", "2026-05-12", "0.00"),
    ]


def test_months(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "1.00", datetime(2026, 2, 28, 12, tzinfo=UTC))
    buy(shop, alice, "2.00", may(1))
    series = figures(shop.manager, "from=2026-02-10&to=2026-05-02&interval=month")["series"]
    assert [(step["from"], step["to"], step["revenue"]) for step in series] == [
        ("2026-02-10", "2026-02-28", "1.00"),
        ("2026-03-01", "2026-03-31", "0.00"),
        ("2026-04-01", "2026-04-30", "0.00"),
        ("2026-05-01", "2026-05-02", "2.00"),
    ]


def test_it_takes_three_queries_while_nothing_changes(
    shop: Shop, alice: Customer, django_assert_num_queries: Any
) -> None:
    figures(shop.manager, "")
    with django_assert_num_queries(3):
        figures(shop.manager, "")
    buy(shop, alice, "1.00", may(1))
    with django_assert_num_queries(8):
        figures(shop.manager, "")
    outbox.relay()
    refresh(merchant_id=shop.merchant.pk)
    with django_assert_num_queries(8):
        figures(shop.manager, "")


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        ("previous_period", ("2026-04-28", "2026-04-30", "2.00")),
        ("previous_year", ("2025-05-01", "2025-05-03", "1.00")),
    ],
)
def test_what_a_period_is_compared_with(
    shop: Shop, alice: Customer, compare: str, expected: tuple[str, str, str]
) -> None:
    buy(shop, alice, "1.00", datetime(2025, 5, 2, 12, tzinfo=UTC))
    buy(shop, alice, "2.00", datetime(2026, 4, 28, 12, tzinfo=UTC))
    buy(shop, alice, "4.00", may(3))
    found = figures(shop.manager, f"from=2026-05-01&to=2026-05-03&compare={compare}")
    assert found["compare"] == compare
    before = found["previous"]
    assert (before["from"], before["to"], before["revenue"]) == expected


def test_compared_with_nothing(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "4.00", may(3))
    found = figures(shop.manager, "from=2026-05-01&to=2026-05-03&compare=none")
    assert (found["previous"], found["change"], found["revenue"]) == (None, None, "4.00")


def test_a_purchase_that_was_taken_back_makes_nobody_active(
    shop: Shop, alice: Customer, bob: Customer
) -> None:
    cancelled = buy(shop, alice, "4.00", may(1))
    buy(shop, bob, "4.00", may(1))
    give_back(shop, cancelled, may(2))
    found = figures(shop.manager, "from=2026-05-01&to=2026-05-03")
    assert (found["purchases"], found["revenue"]) == (2, "4.00")
    assert found["customers"] == {"active": 1, "new": 1, "returning": 0}


def test_a_merchant_without_a_purchase_is_told_so(shop: Shop) -> None:
    found = figures(shop.manager, "from=2026-05-01&to=2026-05-31")
    assert (found["revenue"], found["purchases"], found["customers"]["active"]) == ("0.00", 0, 0)
    assert found["averageOrderValue"] is None
    assert len(found["series"]) == 31
    assert found["notes"] == [
        "Nobody's risk has been worked out yet: the value at risk is 0.",
        "Nothing was bought in this period: averages and rates are null.",
        "Nothing was bought in the period before: changes are null.",
    ]


def test_the_series_as_csv(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "4.00", may(1))
    answer = shop.manager.get("/analytics/overview?from=2026-05-01&to=2026-05-02&format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert (
        answer.headers["Content-Disposition"] == 'attachment; filename="overview-2026-05-01-2026-05-02.csv"'
    )
    expected = (
        b"from,to,revenue,sales,returns,purchases,customers,newCustomers\r\n"
        b"2026-05-01,2026-05-01,4.00,4.00,0.00,1,1,1\r\n"
        b"2026-05-02,2026-05-02,0.00,0.00,0.00,0,0,0\r\n"
    )
    assert answer.content == expected
    by_header = shop.manager.get(
        "/analytics/overview?from=2026-05-01&to=2026-05-02", headers={"accept": "text/csv"}
    )
    assert by_header.content == expected
    assert shop.manager.get("/customers", headers={"accept": "text/csv"}).status_code == 406


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("from=2026-05-02&to=2026-05-01", "to", "invalid_period"),
        ("from=2010-01-01&to=2026-05-01", "from", "period_too_long"),
        ("from=2024-01-01&to=2026-05-01&interval=day", "interval", "too_many_steps"),
        ("from=1926-05-01&to=2026-05-01", "from", "period_too_long"),
        ("from=1899-12-31", "from", "invalid"),
        ("to=9999-12-31", "to", "invalid"),
        ("compare=last_week", "compare", "invalid_choice"),
        ("format=xlsx", "format", "invalid_choice"),
        ("from=yesterday", "from", "invalid"),
        ("from=2026-02-30", "from", "invalid"),
        ("from=2026-05-01T00:00:00Z", "from", "invalid"),
        ("interval=year", "interval", "invalid_choice"),
        ("storeId=1", "storeId", "invalid"),
        ("page=1", "page", "unknown_parameter"),
    ],
)
def test_bad_parameters_are_named(shop: Shop, query: str, field: str, code: str) -> None:
    answer = shop.manager.get(f"/analytics/overview?{query}")
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]


def test_cashiers_see_no_figures(shop: Shop) -> None:
    assert shop.cashier.get("/analytics/overview").status_code == 403


TODAY = date(2026, 6, 30)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, Period(date(2026, 6, 1), TODAY)),
        (date(2026, 6, 29), None, Period(date(2026, 6, 29), TODAY)),
        (date(2026, 7, 5), None, Period(date(2026, 7, 5), date(2026, 7, 5))),
        (None, date(2026, 3, 30), Period(date(2026, 3, 1), date(2026, 3, 30))),
    ],
)
def test_the_ends_of_a_period(first: date | None, last: date | None, expected: Period) -> None:
    assert read_period(first=first, last=last, today=TODAY) == expected


def test_a_start_long_ago_gets_the_longest_period() -> None:
    assert read_period(first=date(1950, 1, 1), last=None, today=TODAY).days == PERIOD_DAYS_MAX


def test_the_step_follows_the_length() -> None:
    def step(days: int) -> str:
        return read_interval(
            None, Period(date(2020, 1, 1), date.fromordinal(date(2020, 1, 1).toordinal() + days - 1))
        )

    assert [step(days) for days in (1, 92, 93, 366, 367, PERIOD_DAYS_MAX)] == [
        "day", "day", "week", "week", "month", "month",
    ]  # fmt: skip
    with pytest.raises(BadRequest):
        read_interval("day", Period(date(2020, 1, 1), date(2021, 12, 31)))
