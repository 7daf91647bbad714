"""/customers/{customerId}/preferences and /customers/{customerId}/consents"""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.utils.timezone import now

from customers.models import Consent, Customer, Event, Preferences
from tests.customers.conftest import ABSENT, DEFAULT_PREFERENCES
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

ON = {"marketing": True, "transactional": True, "analytics": False}


def preferences(shop: Shop, customer: Customer) -> dict[str, Any]:
    data: dict[str, Any] = shop.cashier.get(f"/customers/{customer.pk}/preferences").json()["data"]
    return data


def say(shop: Shop, customer: Customer, **said: Any) -> Any:
    body = {"channel": "email", "purpose": "marketing", "state": "granted", "source": "till", **said}
    return shop.cashier.post(f"/customers/{customer.pk}/consents", body)


def test_marketing_starts_off(shop: Shop, alice: Customer) -> None:
    response = shop.cashier.get(f"/customers/{alice.pk}/preferences")
    assert response.json() == {"success": True, "data": DEFAULT_PREFERENCES, "message": ""}
    assert response.headers["ETag"] == '"1"'


def test_patch(shop: Shop, alice: Customer) -> None:
    response = shop.cashier.patch(
        f"/customers/{alice.pk}/preferences",
        {
            "email": {"marketing": True},
            "quietHours": {"start": "22:00", "end": "07:00"},
            "maxMessagesPerWeek": 3,
        },
    )
    expected = {
        **DEFAULT_PREFERENCES,
        "email": ON,
        "quietHours": {"start": "22:00", "end": "07:00"},
        "maxMessagesPerWeek": 3,
    }
    assert response.json() == {"success": True, "data": expected, "message": "Preferences updated"}
    assert response.headers["ETag"] == '"2"'
    response = shop.cashier.patch(f"/customers/{alice.pk}/preferences", {"language": "de"})
    assert response.json()["data"] == {**expected, "language": "de"}
    assert preferences(shop, alice) == {**expected, "language": "de"}


def test_a_withdrawal_counts_against_what_a_fast_clock_dated_after_it(shop: Shop, alice: Customer) -> None:
    ahead = (now() + timedelta(minutes=4)).isoformat()
    assert say(shop, alice, occurredAt=ahead).status_code == 201
    response = shop.cashier.patch(f"/customers/{alice.pk}/preferences", {"email": {"marketing": False}})
    assert response.json()["data"]["email"]["marketing"] is False
    assert preferences(shop, alice)["email"]["marketing"] is False
    assert [row.state for row in Consent.objects.order_by("-occurred_at")] == ["withdrawn", "granted"]


def test_put_resets_the_style_and_keeps_what_was_said(shop: Shop, alice: Customer) -> None:
    path = f"/customers/{alice.pk}/preferences"
    shop.cashier.patch(path, {"email": {"marketing": True}, "language": "de", "maxMessagesPerWeek": 0})
    assert shop.cashier.put(path, {"maxMessagesPerWeek": 1}).json()["data"] == {
        **DEFAULT_PREFERENCES,
        "email": ON,
        "maxMessagesPerWeek": 1,
    }


def test_only_what_differs_is_logged(shop: Shop, alice: Customer) -> None:
    path = f"/customers/{alice.pk}/preferences"
    shop.cashier.put(path, {**DEFAULT_PREFERENCES, "sms": ON})
    shop.cashier.put(path, {**DEFAULT_PREFERENCES, "sms": ON})
    (row,) = shop.cashier.get(f"/customers/{alice.pk}/consents").json()["data"]["consents"]
    assert row == {
        "id": row["id"],
        "channel": "sms",
        "purpose": "marketing",
        "state": "granted",
        "source": "preferences",
        "wordingVersion": None,
        "actorId": str(shop.cashier.user_id),
        "ip": "127.0.0.1",
        "occurredAt": row["occurredAt"],
        "recordedAt": row["recordedAt"],
    }
    assert shop.cashier.get(f"/customers/{alice.pk}").json()["data"]["version"] == 2


def test_a_statement(shop: Shop, alice: Customer) -> None:
    response = say(
        shop,
        alice,
        channel="sms",
        source="web form",
        wordingVersion="2026-01",
        ip="203.0.113.7",
        occurredAt="2026-01-01T12:00:00+01:00",
    )
    data = response.json()["data"]
    assert (response.status_code, response.json()["message"]) == (201, "Consent recorded")
    assert data == {
        "id": data["id"],
        "channel": "sms",
        "purpose": "marketing",
        "state": "granted",
        "source": "web form",
        "wordingVersion": "2026-01",
        "actorId": str(shop.cashier.user_id),
        "ip": "203.0.113.7",
        "occurredAt": "2026-01-01T11:00:00Z",
        "recordedAt": data["recordedAt"],
    }
    assert shop.cashier.get(f"/customers/{alice.pk}/consents").json()["data"]["consents"] == [data]
    assert preferences(shop, alice)["sms"] == ON
    event = Event.objects.for_merchant(shop.merchant).get(type="consent.changed")
    assert event.data == {"channel": "sms", "purpose": "marketing", "state": "granted"}


def test_the_fold_does_not_depend_on_the_order_of_arrival(shop: Shop, alice: Customer, bob: Customer) -> None:
    said = [
        ("granted", "2026-01-01T00:00:00Z"),
        ("withdrawn", "2026-03-01T00:00:00Z"),
        ("granted", "2026-02-01T00:00:00Z"),
        ("granted", "2026-04-01T00:00:00Z"),
        ("withdrawn", "2026-04-01T00:00:00Z"),
    ]
    for _ in range(4):
        random.shuffle(said)
        for state, at in said:
            say(shop, bob, state=state, occurredAt=at)
        # Of two things said at one instant the withdrawal counts.
        assert preferences(shop, bob)["email"]["marketing"] is False
    say(shop, alice, state="withdrawn", occurredAt="2026-03-01T00:00:00Z")
    say(shop, alice, state="granted", occurredAt="2026-02-01T00:00:00Z")
    assert preferences(shop, alice)["email"]["marketing"] is False
    say(shop, alice, state="granted", occurredAt="2026-03-02T00:00:00Z")
    assert preferences(shop, alice)["email"]["marketing"] is True


def test_the_log_is_paged_and_filtered(shop: Shop, alice: Customer) -> None:
    for month, channel in ((1, "email"), (2, "sms"), (3, "email")):
        say(shop, alice, channel=channel, occurredAt=f"2026-0{month}-01T12:00:00Z")

    def months(query: str) -> tuple[list[str], int]:
        data = shop.cashier.get(f"/customers/{alice.pk}/consents?{query}").json()["data"]
        return [row["occurredAt"][5:7] for row in data["consents"]], data["total"]

    assert months("") == (["03", "02", "01"], 3)
    assert months("limit=2&page=2") == (["01"], 3)
    assert months("channel=email&sortOrder=asc") == (["01", "03"], 2)
    assert months("purpose=analytics") == ([], 0)
    assert months("occurredFrom=2026-02-01&occurredTo=2026-02-01") == (["02"], 1)
    assert shop.cashier.get(f"/customers/{alice.pk}/consents?channel=fax").status_code == 400


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"channel": "required", "purpose": "required", "state": "required", "source": "required"}),
        ({"channel": "fax"}, {"channel": "invalid_choice"}),
        ({"purpose": "fun"}, {"purpose": "invalid_choice"}),
        ({"state": "maybe"}, {"state": "invalid_choice"}),
        ({"source": ""}, {"source": "blank"}),
        ({"ip": "1.2.3"}, {"ip": "invalid_ip"}),
        ({"ip": "fe80::1%eth0"}, {"ip": "invalid_ip"}),
        ({"occurredAt": "2026-01-01"}, {"occurredAt": "invalid"}),
        ({"occurredAt": "2199-01-01T00:00:00Z"}, {"occurredAt": "future_time"}),
    ],
)
def test_refused_statements(shop: Shop, alice: Customer, body: dict[str, Any], wrong: dict[str, str]) -> None:
    complete = {"channel": "email", "purpose": "marketing", "state": "granted", "source": "till"}
    response = shop.cashier.post(f"/customers/{alice.pk}/consents", {**complete, **body} if body else {})
    assert response.status_code == 400
    assert {error["field"]: error["code"] for error in response.json()["errors"]} == wrong
    assert not Consent.objects.for_merchant(shop.merchant).exists()


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"email": True}, {"email": "invalid"}),
        ({"email": {"marketing": None}}, {"email.marketing": "null"}),
        ({"email": {"fun": True}}, {"email.fun": "unknown_field"}),
        ({"quietHours": {"start": "22:00", "end": "25:00"}}, {"quietHours.end": "invalid_time"}),
        ({"maxMessagesPerWeek": -1}, {"maxMessagesPerWeek": "min_value"}),
        ({"maxMessagesPerWeek": True}, {"maxMessagesPerWeek": "invalid"}),
        ({"language": "x"}, {"language": "invalid_language"}),
    ],
)
def test_refused_preferences(
    shop: Shop, alice: Customer, body: dict[str, Any], wrong: dict[str, str]
) -> None:
    response = shop.cashier.put(f"/customers/{alice.pk}/preferences", body)
    assert response.status_code == 400
    assert {error["field"]: error["code"] for error in response.json()["errors"]} == wrong


def test_half_quiet_hours_in_a_patch(shop: Shop, alice: Customer) -> None:
    response = shop.cashier.patch(f"/customers/{alice.pk}/preferences", {"quietHours": {"start": "22:00"}})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "quietHours")
    response = shop.cashier.patch(
        f"/customers/{alice.pk}", {"preferences": {"quietHours": {"start": "22:00"}}}
    )
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "preferences.quietHours")


def test_if_match(shop: Shop, alice: Customer) -> None:
    path = f"/customers/{alice.pk}/preferences"
    assert shop.cashier.patch(path, {"language": "de"}, headers={"If-Match": '"3"'}).status_code == 412


def test_absent_and_foreign(shop: Shop, mallory: Customer) -> None:
    for customer in (ABSENT, mallory.pk):
        for path in ("preferences", "consents"):
            assert shop.cashier.get(f"/customers/{customer}/{path}").json()["code"] == "customer_not_found"
        assert shop.cashier.patch(f"/customers/{customer}/preferences", {"language": "de"}).status_code == 404
        statement = {"channel": "email", "purpose": "marketing", "state": "granted", "source": "till"}
        assert shop.cashier.post(f"/customers/{customer}/consents", statement).status_code == 404
    assert not Preferences.objects.exists()


def test_the_database_refuses_to_change_the_log(shop: Shop, alice: Customer) -> None:
    say(shop, alice)
    for sql in ("UPDATE customer_consents SET state = 'withdrawn'", "DELETE FROM customer_consents"):
        with (
            pytest.raises((InternalError, IntegrityError)),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
    assert Consent.objects.get().state == "granted"
