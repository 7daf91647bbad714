"""GET /campaigns/{id}/results."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from pytest_django import DjangoAssertNumQueries

from cloudpos.lifecycle.merging import merge_customers
from cloudpos.tenancy.access import forget_access
from customers.models import Customer
from customers.services import create_customer
from marketing.campaigns.results import WATCHED_SECONDS, kept_for
from marketing.models import Campaign, CampaignClick, CampaignMessage, CampaignRun
from tests.fixtures import ApiClient, Shop

pytestmark = pytest.mark.django_db

DUE = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
AFTER = DUE + timedelta(days=10)
VARIANTS = [
    {"key": "A", "weight": 50, "content": {"subject": "A", "html": '<a href="https://a.example">x</a><a href="#">y</a>'}},
    {"key": "B", "weight": 50, "content": {"subject": "B", "html": "<p>Nothing to follow</p>"}},
]  # fmt: skip
NOTHING = {
    "recipients": 0, "waiting": 0, "sent": 0, "delivered": 0, "bounced": 0, "failed": 0, "unknown": 0, "cancelled": 0,
    "skipped": {}, "opened": 0, "clicked": 0, "unsubscribed": 0, "complained": 0, "converted": 0, "purchases": 0,
    "revenue": "0.00", "averageOrderValue": None,
}  # fmt: skip
Add = Callable[..., CampaignMessage]


@pytest.fixture
def campaign(shop: Shop) -> Campaign:
    made: Campaign = Campaign.objects.create(
        merchant=shop.merchant, name="Spring", consent_channel="email", variants=VARIANTS
    )
    return made


@pytest.fixture
def run(campaign: Campaign) -> CampaignRun:
    made: CampaignRun = CampaignRun.objects.create(
        merchant=campaign.merchant, campaign=campaign, number=1, due_at=DUE
    )
    return made


@pytest.fixture
def add(shop: Shop, campaign: Campaign, run: CampaignRun) -> Add:
    """A customer and their message."""
    names = iter(range(10_000))

    def make(variant: str = "A", customer: Customer | None = None, **more: Any) -> CampaignMessage:
        number = next(names)
        if customer is None:
            customer = create_customer(access=shop.access, data={"first_name": f"Person {number}"})
        said: dict[str, Any] = {
            "run": run, "state": "sent" if variant else "control", "due_at": DUE, **more
        }  # fmt: skip
        message: CampaignMessage = CampaignMessage.objects.create(
            merchant=shop.merchant, campaign=campaign, customer=customer, variant=variant, **said
        )
        return message

    return make


@pytest.fixture
def buy(shop: Shop) -> Callable[..., str]:
    numbers = iter(range(10_000))

    def sell(message: CampaignMessage, amount: str, at: datetime = DUE + timedelta(hours=1)) -> str:
        number = f"S-{next(numbers)}"
        sale = {
            "customerId": str(message.customer_id),
            "transactionId": number,
            "amount": amount,
            "occurredAt": at.isoformat(),
        }
        answer = shop.cashier.post("/purchases", sale)
        assert answer.status_code == 201, answer.content
        return number

    return sell


def take_back(shop: Shop, number: str, amount: str) -> None:
    back = {"transactionId": f"R-{number}", "amount": amount}
    assert shop.cashier.post(f"/purchases/{number}/returns", back).status_code == 201


def results(shop: Shop, campaign: Campaign, at: datetime = AFTER) -> Any:
    cache.clear()
    with time_machine.travel(at):
        # A token of that time.
        manager = ApiClient(user_id=shop.manager.user_id, store_id=shop.store.pk)
        answer = manager.get(f"/campaigns/{campaign.pk}/results")
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def bought(funnel: dict[str, Any]) -> tuple[int, int, str, str | None]:
    return funnel["converted"], funnel["purchases"], funnel["revenue"], funnel["averageOrderValue"]


def test_a_campaign_that_has_not_begun(shop: Shop, campaign: Campaign) -> None:
    assert results(shop, campaign) | {"asOf": ""} == {
        "campaignId": str(campaign.pk),
        "asOf": "",
        "conversionDays": 7,
        "windowEndsAt": None,
        "overall": NOTHING,
        "control": {
            "recipients": 0,
            "converted": 0,
            "purchases": 0,
            "revenue": "0.00",
            "averageOrderValue": None,
        },
        "runs": [],
        "variants": [{"key": "A", "funnel": NOTHING}, {"key": "B", "funnel": NOTHING}],
        "links": [
            {"variant": "A", "link": 1, "url": "https://a.example", "clicks": 0, "messages": 0},
            {"variant": "A", "link": 2, "url": "#", "clicks": 0, "messages": 0},
        ],
        "series": {"interval": "hour", "points": []},
        "uplift": None,
        "comparisons": [],
        "given": {"messages": 0, "points": 0, "vouchers": 0, "vouchersUsed": 0, "discount": "0.00"},
        "notes": ["Nobody was to be written to yet."],
    }


def test_how_far_messages_got(shop: Shop, campaign: Campaign, add: Add) -> None:
    lease = {"claim": uuid.uuid4(), "leased_until": AFTER}
    add(state="pending", next_attempt_at=DUE)
    add(state="claimed", **lease)
    add(state="sending", **lease)
    add(state="sent", opened_at=DUE)
    add(state="delivered", opened_at=DUE, clicked_at=DUE, unsubscribed_at=DUE)
    add("B", state="bounced")
    add("B", state="failed")
    add("B", state="unknown", complained_at=DUE)
    add("B", state="cancelled")
    add("B", state="skipped", reason="no_consent")
    add("B", state="skipped", reason="no_consent")
    add(state="skipped", reason="suppressed")
    add("")
    found = results(shop, campaign)
    assert found["overall"] == {
        **NOTHING, "recipients": 12, "waiting": 3, "sent": 3, "delivered": 1, "bounced": 1, "failed": 1, "unknown": 1,
        "cancelled": 1, "skipped": {"no_consent": 2, "suppressed": 1}, "opened": 2, "clicked": 1, "unsubscribed": 1,
        "complained": 1,
    }  # fmt: skip
    assert found["control"]["recipients"] == 1
    (run,) = found["runs"]
    assert (run["number"], run["funnel"], run["control"]["recipients"]) == (1, found["overall"], 1)
    by_key = {each["key"]: each["funnel"] for each in found["variants"]}
    assert (by_key["A"]["recipients"], by_key["B"]["recipients"]) == (6, 6)
    assert by_key["B"]["skipped"] == {"no_consent": 2}


def test_purchases_within_the_days_count_and_no_others(
    shop: Shop, campaign: Campaign, add: Add, buy: Callable[..., str]
) -> None:
    alice, bob = add(), add("")
    # At the very moment it was due, and before, it was no answer; the last moment of the last day is.
    buy(alice, "1.00", DUE - timedelta(seconds=1))
    buy(alice, "2.00", DUE)
    buy(alice, "4.00", DUE + timedelta(seconds=1))
    buy(alice, "8.00", DUE + timedelta(days=7))
    buy(alice, "16.00", DUE + timedelta(days=7, seconds=1))
    buy(bob, "32.00", DUE + timedelta(days=1))
    found = results(shop, campaign)
    assert bought(found["overall"]) == (1, 2, "12.00", "6.00")
    assert bought(found["control"]) == (1, 1, "32.00", "32.00")
    # Nobody knows yet what is bought tomorrow.
    early = results(shop, campaign, DUE + timedelta(days=1, hours=1))
    assert bought(early["overall"]) == (1, 1, "4.00", "4.00")


def test_what_was_taken_back_does_not_count(
    shop: Shop, campaign: Campaign, add: Add, buy: Callable[..., str]
) -> None:
    alice, bob = add(), add()
    take_back(shop, buy(alice, "10.00"), "4.00")
    take_back(shop, buy(bob, "20.00"), "20.00")
    assert bought(results(shop, campaign)["overall"]) == (1, 1, "6.00", "6.00")


def test_who_was_left_out_counts_all_the_same(
    shop: Shop, campaign: Campaign, add: Add, buy: Callable[..., str]
) -> None:
    """Intention to treat: who got it are other people than who did not."""
    buy(add(state="skipped", reason="no_consent"), "10.00")
    add(state="bounced")
    found = results(shop, campaign)
    assert found["overall"]["converted"] == 1
    assert (found["uplift"], found["notes"]) == (
        None,
        ["There is no control group: what customers would have bought anyway is not known."],
    )


def test_purchases_follow_a_merge_and_another(
    shop: Shop, campaign: Campaign, add: Add, buy: Callable[..., str]
) -> None:
    message = add()
    buy(message, "10.00")
    source = message.customer_id
    for name in ("Alicia", "Ally"):
        target = create_customer(access=shop.access, data={"first_name": name})
        merge_customers(access=shop.owner.access, customer_id=target.pk, source_id=source)
        source = target.pk
    message.refresh_from_db()
    assert message.customer_id != source
    assert bought(results(shop, campaign)["overall"]) == (1, 1, "10.00", "10.00")


def test_more_runs_than_one_are_still_the_same_customers(
    shop: Shop, campaign: Campaign, run: CampaignRun, add: Add, buy: Callable[..., str]
) -> None:
    first = add()
    second = CampaignRun.objects.create(
        merchant=shop.merchant, campaign=campaign, number=2, due_at=DUE + timedelta(days=2)
    )
    add(customer=first.customer, run=second, due_at=second.due_at)
    add("")
    buy(first, "10.00", DUE + timedelta(days=3))
    found = results(shop, campaign)
    Campaign.objects.for_merchant(shop.merchant).update(kind="recurring", recurrence={"every": "day"})
    again = results(shop, campaign)
    assert {**again, "asOf": ""} == {**found, "asOf": ""}
    # For each of the runs it was within the days; for the comparison it is one customer and one purchase.
    assert [(each["number"], bought(each["funnel"])) for each in found["runs"]] == [
        (2, (1, 1, "10.00", "10.00")),
        (1, (1, 1, "10.00", "10.00")),
    ]
    assert found["uplift"]["treated"] == {
        "customers": 1, "converted": 1, "rate": 1.0, "revenuePerCustomer": 10.0
    }  # fmt: skip


def test_uplift_and_texts_are_compared(
    shop: Shop, campaign: Campaign, add: Add, buy: Callable[..., str]
) -> None:
    groups = {key: [add(key) for _ in range(10)] for key in ("A", "B", "")}
    for message in (*groups["A"][:8], *groups["B"][:3], *groups[""][:1]):
        buy(message, "10.00")
    found = results(shop, campaign)
    uplift = found["uplift"]
    assert (uplift["treated"]["customers"], uplift["base"]["customers"]) == (20, 10)
    # 11 of 20 beside 1 of 10; the interval by hand: Wilson (0.3421, 0.7418) and (0.0179, 0.4042).
    assert uplift["rateDifference"] == {
        "value": 0.45, "low": pytest.approx(0.0811, abs=1e-3), "high": pytest.approx(0.6586, abs=1e-3)
    }  # fmt: skip
    assert uplift["relativeUplift"] == 4.5
    assert uplift["incrementalConversions"]["value"] == 9.0
    assert uplift["incrementalRevenue"]["value"] == 90.0
    assert uplift["isDistinguishable"] is True
    assert uplift["notes"] == ["One of the groups has fewer than 50 customers: too few to tell."]
    (compared,) = found["comparisons"]
    assert (compared["variant"], compared["against"]) == ("B", "A")
    assert compared["comparison"]["rateDifference"]["value"] == -0.5
    assert compared["comparison"]["words"].startswith("Fewer customers bought than with the other text.")


def test_figures_that_will_still_grow_say_so(shop: Shop, campaign: Campaign, add: Add) -> None:
    add()
    add("")
    early, late = results(shop, campaign, DUE + timedelta(days=6)), results(shop, campaign)
    assert early["windowEndsAt"] == late["windowEndsAt"] == "2026-11-09T09:00:00Z"
    assert early["notes"] == [
        "The days in which purchases count are not over yet: these figures will still grow."
    ]
    assert late["notes"] == []


def test_links_and_hours(shop: Shop, campaign: Campaign, add: Add) -> None:
    alice, bob = add(), add()

    def noted(message: CampaignMessage, kind: str, at: datetime, link: int = 0) -> None:
        CampaignClick.objects.create(
            merchant=shop.merchant,
            message=message,
            campaign_id=campaign.pk,
            kind=kind,
            link=link,
            occurred_at=at,
        )

    noted(alice, "open", DUE)
    noted(alice, "click", DUE + timedelta(minutes=59), 1)
    noted(alice, "click", DUE + timedelta(minutes=60), 1)
    noted(bob, "click", DUE + timedelta(minutes=61), 1)
    found = results(shop, campaign)
    assert found["links"][0] == {
        "variant": "A",
        "link": 1,
        "url": "https://a.example",
        "clicks": 3,
        "messages": 2,
    }
    assert found["series"] == {
        "interval": "hour",
        "points": [
            {"at": "2026-11-02T09:00:00Z", "opens": 1, "clicks": 1},
            {"at": "2026-11-02T10:00:00Z", "opens": 0, "clicks": 2},
        ],
    }
    # Days of the store, not of Greenwich.
    shop.store.timezone = "Pacific/Auckland"
    shop.store.save(update_fields=["timezone"])
    noted(bob, "open", DUE + timedelta(days=5))
    forget_access()
    days = results(shop, campaign)["series"]
    assert (days["interval"], [each["at"][:10] for each in days["points"]]) == (
        "day",
        ["2026-11-02", "2026-11-07"],
    )


def test_results_are_kept_for_a_minute(
    shop: Shop, campaign: Campaign, add: Add, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    add()
    path = f"/campaigns/{campaign.pk}/results"
    first = shop.manager.get(path).json()["data"]
    add()
    with django_assert_max_num_queries(2):
        assert shop.manager.get(path).json()["data"] == first
    cache.clear()
    assert shop.manager.get(path).json()["data"]["overall"]["recipients"] == 2


def test_the_work_does_not_grow_with_runs_and_variants(
    shop: Shop, campaign: Campaign, add: Add, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(2, 8):
        run = CampaignRun.objects.create(merchant=shop.merchant, campaign=campaign, number=number, due_at=DUE)
        add("AB"[number % 2], run=run)
    with django_assert_max_num_queries(12):
        results(shop, campaign)


def test_nobody_elses(shop: Shop, foreign_shop: Shop, campaign: Campaign, add: Add) -> None:
    add()
    assert foreign_shop.manager.get(f"/campaigns/{campaign.pk}/results").status_code == 404
    absent = shop.manager.get(f"/campaigns/{uuid.uuid4()}/results")
    assert (absent.status_code, absent.json()["code"]) == (404, "campaign_not_found")
    assert shop.cashier.get(f"/campaigns/{campaign.pk}/results").status_code == 403


@pytest.mark.parametrize(
    ("ended_minutes_ago", "taken", "seconds"),
    [(None, 0.01, 3), (None, 1.02, 11), (None, 30, 60), (9, 0.01, 3), (11, 0.01, 60)],
)
def test_while_it_is_watched_it_is_kept_for_a_few_seconds_and_never_costs_more_than_a_tenth(
    campaign: Campaign, ended_minutes_ago: int | None, taken: float, seconds: int
) -> None:
    if ended_minutes_ago is not None:
        campaign.finished_at = AFTER - timedelta(minutes=ended_minutes_ago)
    assert kept_for(campaign, at=AFTER, taken=taken) == seconds


def test_right_after_the_start_it_shows_what_is_so(shop: Shop, campaign: Campaign, add: Add) -> None:
    path = f"/campaigns/{campaign.pk}/results"
    assert shop.manager.get(path).json()["data"]["overall"]["recipients"] == 0
    add(state="sent")
    key = f"campaign-results:{shop.merchant.pk}:{campaign.pk}:{shop.merchant.timezone}"
    assert 0 < cache.ttl(key) <= WATCHED_SECONDS
