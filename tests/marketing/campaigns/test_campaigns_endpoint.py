"""Campaigns over the API."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils.timezone import now

from customers.models import Customer
from marketing.channels.settings import change_messaging_settings
from marketing.models import Campaign, Segment
from tests.fixtures import Shop
from tests.marketing.campaigns.conftest import EMAIL, launch, person, send, write

pytestmark = pytest.mark.django_db


def data(response: Any) -> Any:
    assert response.status_code < 300, response.content
    return response.json()["data"]


def refused(response: Any) -> tuple[int, str, list[str]]:
    body = response.json()
    return response.status_code, body["code"], [each["field"] for each in body["errors"]]


def test_write_read_change_delete(shop: Shop) -> None:
    response = shop.manager.post("/campaigns", {"name": "Spring", "variants": EMAIL})
    made = data(response)
    assert response["Location"] == f"/api/v1/campaigns/{made['id']}"
    assert {
        name: made[name]
        for name in (
            "name", "kind", "channel", "consentChannel", "purpose", "state", "includeSegments", "controlPercent",
            "conversionDays", "sendWithinHours", "sendAt", "recurrence", "trigger", "version",
        )
    } == {
        "name": "Spring", "kind": "once", "channel": "email", "consentChannel": "email", "purpose": "marketing",
        "state": "draft", "includeSegments": [], "controlPercent": 10, "conversionDays": 7, "sendWithinHours": 48,
        "sendAt": None, "recurrence": None, "trigger": None, "version": 1,
    }  # fmt: skip
    assert made["variants"] == [{"key": "A", "weight": 1, "content": EMAIL[0]["content"]}]
    path = f"/campaigns/{made['id']}"
    changed = shop.manager.patch(path, {"name": "Summer"}, headers={"if-match": '"1"'})
    assert (data(changed)["name"], changed["ETag"]) == ("Summer", '"2"')
    stale = shop.manager.patch(path, {"name": "Autumn"}, headers={"if-match": '"1"'})
    assert refused(stale)[:2] == (412, "precondition_failed")
    (listed,) = data(shop.manager.get("/campaigns?state=draft"))["campaigns"]
    assert (listed["id"], listed["name"]) == (made["id"], "Summer")
    assert data(shop.manager.delete(path)) is None
    assert shop.manager.get(path).status_code == 404


def test_its_life(shop: Shop) -> None:
    person(shop, "Alice")
    path = f"/campaigns/{write(shop, send_at=now() + timedelta(hours=1)).pk}"

    def step(name: str) -> Any:
        response = shop.manager.post(f"{path}/{name}")
        return data(response)["state"] if response.status_code == 200 else refused(response)[:2]

    assert step("pause") == (409, "wrong_campaign_state")
    assert step("schedule") == "scheduled"
    assert step("schedule") == (409, "wrong_campaign_state")
    assert step("pause") == "paused"
    assert step("resume") == "scheduled"
    assert step("cancel") == "cancelled"
    assert step("resume") == (409, "wrong_campaign_state")
    assert data(shop.manager.delete(path)) is None


def test_what_has_begun_is_kept_as_it_was(shop: Shop, alice: Customer) -> None:
    campaign = launch(shop, kind="triggered", trigger={"event": "order.shipped"})
    path = f"/campaigns/{campaign.pk}"
    text = [{"content": {"subject": "Other", "html": "<p>Other</p>"}}]
    assert refused(shop.manager.patch(path, {"variants": text}))[:2] == (409, "campaign_has_begun")
    assert data(shop.manager.patch(path, {"name": "Renamed"}))["name"] == "Renamed"
    data(shop.manager.post(f"{path}/pause"))
    assert data(shop.manager.patch(path, {"variants": text}))["variants"][0]["content"]["subject"] == "Other"
    assert refused(shop.manager.patch(path, {"controlPercent": 20}))[:2] == (409, "campaign_has_begun")
    more = [*text, *text]
    assert refused(shop.manager.patch(path, {"variants": more}))[:2] == (409, "campaign_has_begun")
    assert refused(shop.manager.delete(path))[:2] == (409, "wrong_campaign_state")


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"variants": []}, ["variants"]),
        ({"variants": "x"}, ["variants"]),
        ({"variants": EMAIL * 6}, ["variants"]),
        ({"variants": [5]}, ["variants.0"]),
        ({"variants": [{"content": {"subject": "x", "html": "{% if %}"}}]}, ["variants.0.content.html"]),
        ({"variants": [{**EMAIL[0], "weight": 0}]}, ["variants.0.weight"]),
        ({"variants": [{**EMAIL[0], "key": "B"}]}, ["variants.0.key"]),
        ({"includeSegments": [str(uuid.UUID(int=5))]}, ["includeSegments"]),
        ({"kind": "recurring"}, ["recurrence"]),
        ({"kind": "triggered"}, ["trigger"]),
        ({"kind": "triggered", "trigger": {"segment": str(uuid.UUID(int=5))}}, ["trigger.segment"]),
        ({"channel": "webhook", "variants": [{"content": {"body": {}}}]}, ["consentChannel"]),
        ({"purpose": "analytics"}, ["purpose"]),
        ({"controlPercent": 51}, ["controlPercent"]),
        ({"conversionDays": 0}, ["conversionDays"]),
        ({"sendAt": "2027-01-02T00:00:00Z", "endsAt": "2027-01-01T00:00:00Z"}, ["endsAt"]),
        ({"channel": "pigeon"}, ["channel"]),
        ({"name": ""}, ["name"]),
    ],
)
def test_what_is_refused(shop: Shop, given: dict[str, Any], fields: list[str]) -> None:
    answer = shop.manager.post("/campaigns", {"name": "Spring", "variants": EMAIL, **given})
    status, _, found = refused(answer)
    assert (status, found) == (400, fields)
    assert not Campaign.objects.exists()


def test_a_foreign_segment_is_none(shop: Shop, foreign_shop: Shop) -> None:
    segment = Segment.objects.create(merchant=foreign_shop.merchant, name="Theirs", kind="list")
    answer = shop.manager.post(
        "/campaigns", {"name": "Spring", "variants": EMAIL, "includeSegments": [str(segment.pk)]}
    )
    assert refused(answer) == (400, "invalid_campaign", ["includeSegments"])


def test_points_without_a_program(shop: Shop) -> None:
    campaign = write(shop, incentive_points=50)
    answer = shop.manager.post(f"/campaigns/{campaign.pk}/schedule")
    assert refused(answer) == (409, "campaign_not_ready", ["incentivePoints"])


def test_no_provider(shop: Shop) -> None:
    campaign = write(shop, channel="sms", variants=[{"content": {"text": "Hello"}}])
    answer = shop.manager.post(f"/campaigns/{campaign.pk}/schedule")
    assert refused(answer)[:2] == (409, "no_provider")


def test_the_audience_and_why_not_the_others(shop: Shop) -> None:
    for name in ("Alice", "Bob"):
        person(shop, name)
    person(shop, "Carol", consent=False)
    person(shop, "Dave", email="")
    campaign = write(shop)
    assert data(shop.manager.get(f"/campaigns/{campaign.pk}/audience")) == {
        "customers": 4,
        "recipients": 2,
        "control": 0,
        "variants": {"A": 2},
        "notReached": {"no_address": 1, "no_consent": 1},
        "isWhole": True,
    }


def test_preview_for_a_customer_and_of_an_example(shop: Shop, alice: Customer) -> None:
    path = f"/campaigns/{write(shop).pk}/preview"
    found = data(shop.manager.post(path, {"customerId": str(alice.pk)}))
    assert (found["subject"], found["isExample"]) == ("News for Alice", False)
    assert "Hello Alice" in found["html"]
    assert "Hello Alice" in found["text"]
    change_messaging_settings(merchant_id=shop.merchant.pk, changes={"foot_texts": {"": "Company No. 7"}})
    example = data(shop.manager.post(path))
    assert (example["isExample"], "Company No. 7" in example["html"]) == (True, True)
    assert refused(shop.manager.post(path, {"variant": "B"})) == (400, "unknown_variant", ["variant"])
    assert shop.manager.post(path, {"customerId": str(uuid.UUID(int=5))}).status_code == 404


def test_a_test_to_ones_own_people(shop: Shop, alice: Customer) -> None:
    path = f"/campaigns/{write(shop).pk}/test"
    given = {"addresses": ["owner@shop.example"], "customerId": str(alice.pk)}
    found = data(shop.manager.post(path, given))
    assert found == {"messages": [{"address": "owner@shop.example", "outcome": "sent", "error": ""}]}
    assert [(one.to, one.subject) for one in mail.outbox] == [
        (["owner@shop.example"], "[Test] News for Alice")
    ]
    assert refused(shop.manager.post(path, {"addresses": ["nobody"]}))[2] == ["addresses.0"]
    assert len(mail.outbox) == 1


def test_messages_and_runs(shop: Shop, alice: Customer) -> None:
    campaign = launch(shop)
    send()
    path = f"/campaigns/{campaign.pk}"
    (run,) = data(shop.manager.get(f"{path}/runs"))["runs"]
    assert (run["number"], run["state"], run["audience"]) == (1, "done", 1)
    (message,) = data(shop.manager.get(f"{path}/messages?state=sent"))["messages"]
    assert (message["customerId"], message["variant"], message["runId"]) == (str(alice.pk), "A", run["id"])
    assert data(shop.manager.get(f"{path}/messages?state=control"))["messages"] == []


def test_a_copy_is_a_draft(shop: Shop, alice: Customer) -> None:
    campaign = launch(shop)
    copy = data(shop.manager.post(f"/campaigns/{campaign.pk}/copy", {"name": "Again"}))
    assert (copy["name"], copy["state"], copy["startedAt"]) == ("Again", "draft", None)


def test_a_cashier_may_not(shop: Shop) -> None:
    assert shop.cashier.get("/campaigns").status_code == 403
