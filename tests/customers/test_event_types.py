"""/events/types: the catalogue, and types that a merchant describes, with schemas that intake checks."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from cloudpos import outbox
from cloudpos.event_retention import forget_old_events
from customers.event_catalogue import CATALOGUE
from customers.models import CustomEventType, Event
from customers.services import create_customer
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "page": {"type": "string", "maxLength": 20},
        "items": {"type": "array", "items": {"type": "object", "properties": {"count": {"type": "integer"}}}},
    },
    "required": ["page"],
    "additionalProperties": False,
}


def describe(shop: Shop, **more: Any) -> Any:
    return shop.manager.post("/events/types", {"type": "page.viewed", "schema": SCHEMA, **more})


def test_ours_and_the_merchants_are_listed(shop: Shop, foreign_shop: Shop) -> None:
    describe(foreign_shop, type="theirs.seen")
    assert describe(shop, description="Somebody looked").status_code == 201
    types = {each["type"]: each for each in shop.cashier.get("/events/types").json()["data"]["types"]}
    assert set(types) == {*CATALOGUE, "page.viewed"}
    assert types["purchase.recorded"]["isOurs"] is True
    assert types["purchase.recorded"]["schema"]["required"][0] == "purchaseId"
    mine = types["page.viewed"]
    assert (mine["isOurs"], mine["description"], mine["schema"]) == (False, "Somebody looked", SCHEMA)


def test_intake_checks_the_schema(shop: Shop) -> None:
    describe(shop)
    alice = create_customer(access=shop.access, data={"first_name": "Alice"})
    path = f"/customers/{alice.pk}/events"
    good = {"type": "page.viewed", "data": {"page": "tea", "items": [{"count": 1}]}}
    assert shop.cashier.post(path, good).status_code == 201
    bad = {"type": "page.viewed", "data": {"page": "tea", "items": [{"count": "one"}]}}
    answer = shop.cashier.post(path, bad)
    assert answer.status_code == 400
    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [
        ("data.items.0.count", "schema_mismatch")
    ]
    assert shop.cashier.post(path, {"type": "page.viewed"}).json()["errors"][0]["field"] == "data"
    assert shop.cashier.post(path, {"type": "page.left", "data": {"x": 1}}).status_code == 201, (
        "not described"
    )

    batch = {"events": [{**each, "customerId": str(alice.pk)} for each in (good, bad)]}
    results = shop.cashier.post("/events/batch", batch).json()["data"]["results"]
    assert [each["status"] for each in results] == ["created", "failed"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "array"}, 'schema: the type must be "object"'),
        (
            {"type": "object", "properties": {"a": {"$ref": "https://evil.example/"}}},
            "schema.properties.a.$ref",
        ),
        ({"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}}, "schema.properties.a.pattern"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "schema.properties.a.type"),
        ({"type": "object", "properties": {"a": 5}}, "schema.properties.a: this must be an object"),
        ({"type": "object", "required": "a"}, "schema.required"),
        ({"type": "object", "allOf": []}, "schema.allOf"),
    ],
)
def test_schemas_that_are_refused(shop: Shop, schema: dict[str, Any], said: str) -> None:
    answer = describe(shop, schema=schema)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("schema", "schema_refused")
    assert error["message"].startswith(said)


def test_a_schema_is_not_deep(shop: Shop) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(5):
        schema = {"type": "object", "properties": {"a": schema}}
    assert "5 levels deep" in describe(shop, schema=schema).json()["errors"][0]["message"]


def test_change_and_delete(shop: Shop, foreign_shop: Shop) -> None:
    made = describe(shop).json()["data"]
    path = f"/events/types/{made['id']}"
    assert describe(shop).json()["code"] == "event_type_exists"
    assert describe(shop, type="purchase.recorded").json()["errors"][0]["code"] == "invalid_event_type"
    assert foreign_shop.manager.get(path).status_code == 404
    changed = shop.manager.patch(path, {"schema": None, "description": "Anything"}).json()["data"]
    assert (changed["schema"], changed["description"], changed["type"]) == (None, "Anything", "page.viewed")
    assert shop.manager.delete(path).status_code == 200
    assert not CustomEventType.objects.exists()


def test_old_events_that_nothing_needs_are_forgotten(shop: Shop, settings: Any) -> None:
    alice = create_customer(access=shop.access, data={"first_name": "Alice"})
    for type in ("page.viewed", "page.left", "page.kept"):
        shop.cashier.post(f"/customers/{alice.pk}/events", {"type": type})
    outbox.sweep()
    past = now() - timedelta(days=91)
    Event.objects.exclude(type="page.kept").update(occurred_at=past, recorded_at=past)
    Event.objects.filter(type="page.left").update(dispatched_at=None)
    assert forget_old_events(at=now()) == 0, "kept for ever, unless told otherwise"
    settings.EVENTS_KEPT_DAYS = 90
    assert forget_old_events(at=now()) == 1
    assert set(Event.objects.values_list("type", flat=True)) >= {"customer.created", "page.left", "page.kept"}
    assert not Event.objects.filter(type="page.viewed").exists()
