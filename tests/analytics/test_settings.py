"""GET and PUT /analytics/settings, POST /analytics/settings/preview."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.models import AnalyticsSettings, CustomerFigures
from analytics.recalculating.job import refresh_customers
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_jobs
from customers.models import Customer, Event
from tests.analytics.conftest import buy, new_customer, recalculate
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

DEFAULTS = {
    "horizonDays": 90,
    "newDays": 30,
    "activeDays": 180,
    "vipShare": 0.1,
    "churnedProbability": 0.9,
    "churnedGaps": 4.0,
    "churnedDays": 180,
    "atRiskProbability": 0.6,
    "atRiskPurchaseDays": 2,
}


def days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def segment_of(customer: Customer) -> str:
    return Customer.objects.values_list("segment", flat=True).get(pk=customer.pk)


def test_the_defaults(shop: Shop) -> None:
    answer = shop.manager.get("/analytics/settings")
    assert answer.status_code == 200
    assert answer.json()["data"] == {**DEFAULTS, "suggestedHorizonDays": None, "updatedAt": None}


def test_everybodys_segment_follows_a_change(shop: Shop, alice: Customer, bob: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(40))
    recalculate(shop)
    assert segment_of(alice) == "regular"
    answer = shop.owner.put("/analytics/settings", {**DEFAULTS, "newDays": 40})
    assert answer.status_code == 200
    changed = answer.json()["data"]
    assert changed["newDays"] == 40 and changed["updatedAt"]
    assert Job.objects.get(pk=changed["jobId"]).kind == "analytics.settle_segments"
    run_jobs()
    job = Job.objects.get(pk=changed["jobId"])
    assert (job.state, job.done, job.total, job.counts) == ("done", 2, 2, {"moved": 1})
    assert segment_of(alice) == CustomerFigures.objects.get().segment == "new"
    event = Event.objects.filter(type="segment.changed").latest("recorded_at")
    assert event.data == {"from": "regular", "to": "new", "reason": "first_purchase_recent"}
    assert shop.manager.get("/analytics/settings").json()["data"]["newDays"] == 40


def test_the_same_again_changes_nothing(shop: Shop) -> None:
    answer = shop.owner.put("/analytics/settings", DEFAULTS)
    assert (answer.status_code, answer.json()["data"]["jobId"]) == (200, None)
    assert not AnalyticsSettings.objects.exists()
    assert not Job.objects.exists()


def test_another_horizon_needs_another_training(shop: Shop, alice: Customer) -> None:
    buy(shop, alice, "10.00", days_ago(40))
    recalculate(shop)
    answer = shop.owner.put("/analytics/settings", {**DEFAULTS, "horizonDays": 30})
    job = Job.objects.get(pk=answer.json()["data"]["jobId"])
    assert (job.kind, job.parameters) == ("analytics.recalculate", {"mode": "full"})
    before = CustomerFigures.objects.get().churn
    run_jobs()
    assert shop.manager.get(f"/analytics/customers/{alice.pk}").json()["data"]["churn"]["horizonDays"] == 30
    assert CustomerFigures.objects.get().churn > before, "not to come in 30 days is likelier than in 90"


def test_purchases_are_judged_by_the_merchants_own_thresholds(shop: Shop, alice: Customer) -> None:
    shop.owner.put("/analytics/settings", {**DEFAULTS, "newDays": 400})
    buy(shop, alice, "10.00", days_ago(300))
    refresh_customers(merchant_id=shop.merchant.pk, customer_ids=[alice.pk], at=datetime.now(UTC))
    assert segment_of(alice) == "new"


def test_a_preview_says_who_would_move_and_saves_nothing(shop: Shop, foreign_shop: Shop) -> None:
    buy(foreign_shop, new_customer(foreign_shop, "Mallory"), "10.00", days_ago(40))
    recalculate(foreign_shop)
    for ago in (10, 40, 45, 300):
        buy(shop, new_customer(shop, f"C{ago}"), "10.00", days_ago(ago))
    new_customer(shop, "Nobody")
    recalculate(shop)
    answer = shop.manager.post("/analytics/settings/preview", {**DEFAULTS, "newDays": 42, "horizonDays": 60})
    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "segments": [
            {"name": "new", "customers": 2, "customersAfter": 3},
            {"name": "regular", "customers": 2, "customersAfter": 1},
            {"name": "vip", "customers": 0, "customersAfter": 0},
            {"name": "at_risk", "customers": 0, "customersAfter": 0},
            {"name": "churned", "customers": 1, "customersAfter": 1},
        ],
        "movements": [{"from": "regular", "to": "new", "customers": 1}],
        "moving": 1,
        "vipValue": None,
        "vipValueAfter": None,
        "notes": [
            "By the figures of the last recalculation, and each purchase since.",
            "Churn in 60 days is predicted after the next training; until then by the present models, for 90 days.",
        ],
    }
    assert not AnalyticsSettings.objects.exists()
    assert segment_of(Customer.objects.get(first_name="C40")) == "regular"


def test_what_a_preview_says_is_what_happens(shop: Shop) -> None:
    for number in range(20):
        customer = new_customer(shop, f"C{number}")
        for time in range(1 + number % 3):
            buy(shop, customer, f"{number + 1}.00", days_ago(20 + 13 * number + 9 * time))
    recalculate(shop)
    changed = {
        **DEFAULTS,
        "vipShare": 0.3,
        "atRiskProbability": 0.4,
        "churnedProbability": 0.8,
        "newDays": 50,
    }
    found = shop.manager.post("/analytics/settings/preview", changed).json()["data"]
    assert found["vipValue"] != found["vipValueAfter"]
    shop.owner.put("/analytics/settings", changed)
    run_jobs()
    counted = shop.manager.get("/analytics/segments").json()["data"]
    after = {each["name"]: each["customersAfter"] for each in found["segments"]}
    assert {each["name"]: each["customers"] for each in counted["segments"]} == after
    moved = Job.objects.latest("created_at").counts["moved"]
    assert moved == found["moving"] > 5
    assert counted["vipValue"] == found["vipValueAfter"]


def test_an_empty_merchant_is_previewed_too(shop: Shop) -> None:
    found = shop.manager.post("/analytics/settings/preview", {**DEFAULTS, "vipShare": 0.2}).json()["data"]
    assert (found["moving"], found["movements"], found["vipValueAfter"]) == (0, [], None)
    assert all(each["customers"] == each["customersAfter"] == 0 for each in found["segments"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("horizonDays", 6),
        ("horizonDays", 731),
        ("horizonDays", "90"),
        ("newDays", 0),
        ("vipShare", 0),
        ("vipShare", 0.51),
        ("vipShare", 0.1234),
        ("churnedProbability", 1.001),
        ("churnedProbability", "often"),
        ("churnedGaps", 0.9),
        ("atRiskProbability", 0.9),
        ("atRiskPurchaseDays", None),
    ],
)
def test_nonsense_is_refused_by_name(shop: Shop, field: str, value: Any) -> None:
    for answer in (
        shop.owner.put("/analytics/settings", {**DEFAULTS, field: value}),
        shop.owner.post("/analytics/settings/preview", {**DEFAULTS, field: value}),
    ):
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_all_of_them_are_said(shop: Shop) -> None:
    answer = shop.owner.put("/analytics/settings", {"newDays": 40})
    assert answer.status_code == 400
    assert {error["field"] for error in answer.json()["errors"]} == DEFAULTS.keys() - {"newDays"}


def test_managers_read_and_owners_change(shop: Shop) -> None:
    assert shop.cashier.get("/analytics/settings").status_code == 403
    assert shop.manager.put("/analytics/settings", DEFAULTS).status_code == 403
    assert shop.manager.get("/analytics/settings?limit=1").status_code == 400
