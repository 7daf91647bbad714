"""GET /analytics/customers/{customerId} and GET /analytics/segments."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from analytics.model_words import METHODS
from analytics.models import ModelRun
from analytics.serializers.models import NOT_TESTED
from customers.models import Customer
from tests.analytics.conftest import buy, give_back, new_customer, recalculate
from tests.fixtures import ApiClient, Shop, make_shop

pytestmark = pytest.mark.django_db


def item(sku: str, category: str, quantity: str, price: str) -> dict[str, Any]:
    return {
        "sku": sku,
        "name": f"{sku} by name",
        "category": category,
        "quantity": Decimal(quantity),
        "unit_price": Decimal(price),
    }


@time_machine.travel(datetime(2026, 6, 30, 12, tzinfo=UTC), tick=False)
def test_how_a_customer_buys() -> None:
    shop = make_shop("Corner Shop")
    alice = new_customer(shop, "Alice")
    first = buy(
        shop,
        alice,
        "25.00",
        datetime(2026, 4, 10, 8, 30, tzinfo=UTC),
        items=[item("APPLE", "fruit", "2", "10.00"), item("MILK", "dairy", "1", "5.00")],
        payment_method="card",
        discount=Decimal("5.00"),
    )
    buy(
        shop,
        alice,
        "10.00",
        datetime(2026, 5, 10, 22, 30, tzinfo=UTC),
        items=[item("APPLE", "fruit", "1", "10.00")],
        payment_method="cash",
    )
    give_back(shop, first, datetime(2026, 4, 12, 12, tzinfo=UTC), amount="5.00")

    bob = new_customer(shop, "Bob")
    for day in (20, 29):
        buy(shop, bob, "5.00", datetime(2026, 6, day, 12, tzinfo=UTC))
    recalculate(shop)

    answer = shop.manager.get(f"/analytics/customers/{alice.pk}")
    assert answer.status_code == 200
    found = answer.json()["data"]
    hours, weekdays = found.pop("purchasesByHour"), found.pop("purchasesByWeekday")
    value, churn = found.pop("lifetimeValue"), found.pop("churn")
    assert found == {
        "customerId": str(alice.pk),
        "currency": "GBP",
        "segment": {
            "name": "at_risk",
            "reason": "may_not_return",
            "explanation": "Last purchase 51 days ago, usually every 30 days. With a probability of 61.4 % no purchase in the"
            " next 90 days: at risk from 60 % on with 2 or more purchase days.",
        },
        "figuresOn": "2026-06-30",
        "rfm": {"recency": 1, "frequency": 1, "monetary": 3, "cutPointsOn": "2026-06-30"},
        "loyalty": None,
        "history": [],
        "purchases": 2,
        "purchaseDays": 2,
        "totalSpent": "30.00",
        "value12Months": "30.00",
        "averageOrderValue": "15.00",
        "averageBasketItems": 2.0,
        "discountShare": 0.125,
        "returnRate": 0.5,
        "firstPurchaseOn": "2026-04-10",
        "lastPurchaseOn": "2026-05-10",
        "daysSinceLastPurchase": 51,
        "usualGapDays": 30.0,
        "gapDeviationDays": None,
        "gapTrend": None,
        "nextPurchaseExpectedOn": "2026-06-09",
        "favouriteCategories": [
            {"category": "fruit", "quantity": "3", "spent": "30.00", "purchases": 2},
            {"category": "dairy", "quantity": "1", "spent": "5.00", "purchases": 1},
        ],
        "favouriteProducts": [
            {"sku": "APPLE", "name": "APPLE by name", "quantity": "3", "spent": "30.00", "purchases": 2},
            {"sku": "MILK", "name": "MILK by name", "quantity": "1", "spent": "5.00", "purchases": 1},
        ],
        "favouriteStores": [
            {
                "storeId": str(shop.store.pk),
                "name": "Corner Shop High Street",
                "purchases": 2,
                "spent": "35.00",
            }
        ],
        "paymentMethods": [
            {"paymentMethod": "card", "purchases": 1, "spent": "25.00"},
            {"paymentMethod": "cash", "purchases": 1, "spent": "10.00"},
        ],
    }
    runs = {run.kind: str(run.pk) for run in ModelRun.objects.all()}
    back_test = {
        "explanation": NOT_TESTED,
        "from": None,
        "to": None,
        "customers": 0,
        "metrics": {},
        "activeMetrics": {},
        "naiveRule": {},
    }
    model = {
        "method": "fixed",
        "explanation": METHODS[ModelRun.Method.FIXED],
        "learntUntil": "2026-06-30",
        "horizonDays": 90,
        "sampleSize": 2,
        "backTest": back_test,
    }
    assert value.pop("model") == {
        "id": runs["lifetime_value"],
        "kind": "lifetime_value",
        **model,
    }
    assert churn.pop("model") == {
        "id": runs["churn"],
        "kind": "churn",
        **model,
    }
    assert 0 < value.pop("aliveProbability") < 1
    expected = value.pop("expected")
    assert value == {"toDate": "30.00", "interval": 0.8, "explanation": "Counted from the end of 2026-06-30."}
    assert [each["days"] for each in expected] == [90, 180, 365]
    for each in expected:
        assert each["purchases"] > 0 and Decimal(each["low"]) <= Decimal(each["value"]) <= Decimal(
            each["high"]
        )
    probability, reasons = churn.pop("probability"), churn.pop("reasons")
    assert churn == {"horizonDays": 90, "band": "high", "confidence": "medium"}
    assert 0.61 < probability < 0.62
    assert reasons[0] == {
        "text": "The last purchase was 51 days ago; until then one came every 30 days: raises the risk.",
        "raises": True,
    }
    # London is an hour ahead of UTC in summer; 10 April is a Friday, 10 May a Sunday.
    assert {hour: count for hour, count in enumerate(hours) if count} == {9: 1, 23: 1}
    assert weekdays == [0, 0, 0, 0, 1, 0, 1]


def test_a_customer_without_purchases_has_empty_figures(shop: Shop, bob: Customer) -> None:
    found = shop.manager.get(f"/analytics/customers/{bob.pk}").json()["data"]
    assert found["segment"] == {
        "name": "new",
        "reason": "no_purchase_yet",
        "explanation": "Has not bought anything yet.",
    }
    assert (found["totalSpent"], found["averageOrderValue"], found["returnRate"]) == ("0.00", "0.00", None)
    assert (found["favouriteProducts"], found["usualGapDays"]) == ([], None)


def test_a_foreign_customer_is_as_absent_as_any(shop: Shop, foreign_shop: Shop) -> None:
    mallory = new_customer(foreign_shop, "Mallory")
    foreign = shop.manager.get(f"/analytics/customers/{mallory.pk}")
    absent = shop.manager.get(f"/analytics/customers/{uuid.uuid4()}")
    assert foreign.status_code == absent.status_code == 404
    assert {**foreign.json(), "requestId": ""} == {**absent.json(), "requestId": ""}


def test_cashiers_and_unknown_parameters_are_refused(shop: Shop, alice: Customer) -> None:
    for path in (f"/analytics/customers/{alice.pk}", "/analytics/segments"):
        assert shop.cashier.get(path).status_code == 403
        assert shop.manager.get(f"{path}?limit=1").status_code == 400


def test_segments_are_counted(shop: Shop, foreign_shop: Shop) -> None:
    new_customer(foreign_shop, "Mallory")
    gone = new_customer(shop, "Gone")
    buy(shop, gone, "10.00", datetime(2020, 1, 1, tzinfo=UTC))
    for number in range(3):
        new_customer(shop, f"C{number}")
    at = datetime.now(UTC)
    recalculate(shop)
    found = segments(shop.manager)
    assert [(each["name"], each["customers"], each["share"]) for each in found["segments"]] == [
        ("new", 3, 0.75),
        ("regular", 0, 0.0),
        ("vip", 0, 0.0),
        ("at_risk", 0, 0.0),
        ("churned", 1, 0.25),
    ]
    assert (found["totalCustomers"], found["vipValue"]) == (4, None)
    assert found["refreshedAt"] >= at.isoformat()[:19]


def segments(client: ApiClient) -> dict[str, Any]:
    answer = client.get("/analytics/segments")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()["data"]
    return found


def test_the_average_is_the_customers_own_also_after_a_return(shop: Shop, bob: Customer) -> None:
    at = datetime(2026, 4, 10, 8, 30, tzinfo=UTC)
    first = buy(shop, bob, "25.00", at)
    buy(shop, bob, "15.01", at)
    give_back(shop, first, at, amount="5.00")
    figures = shop.manager.get(f"/analytics/customers/{bob.pk}").json()["data"]
    customer = shop.manager.get(f"/customers/{bob.pk}").json()["data"]
    assert figures["averageOrderValue"] == customer["averageOrderValue"] == "17.51"
