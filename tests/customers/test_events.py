"""/customers/{customerId}/events and /events/batch."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, close_old_connections, connection, transaction
from django.utils.timezone import now

from customers.event_types import OUR_EVENTS, OUR_NOUNS, is_client_type
from customers.events import emit_once, event
from customers.models import Customer, Event
from customers.serializers_events import EVENT_DATA_BYTES_MAX, EVENTS_PER_BATCH_MAX
from customers.services import create_customer, delete_customer
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

CART = {"type": "cart.abandoned", "data": {"cart_value": "12.50", "itemCount": 3}, "eventId": "web-1"}


@pytest.fixture
def alice(shop: Shop) -> Customer:
    return create_customer(access=shop.access, data={"first_name": "Alice"})


@pytest.fixture
def bob(shop: Shop) -> Customer:
    return create_customer(access=shop.access, data={"first_name": "Bob"})


def path(customer: Customer | uuid.UUID) -> str:
    return f"/customers/{getattr(customer, 'pk', customer)}/events"


def clients_own(customer: Customer) -> int:
    return Event.objects.filter(customer_id=customer.pk).exclude(type__startswith="customer.").count()


def test_create(shop: Shop, alice: Customer) -> None:
    answer = shop.cashier.post(path(alice), {**CART, "occurredAt": "2026-05-01T12:00:00+02:00"})
    assert answer.status_code == 201
    row = Event.objects.get(type="cart.abandoned")
    found = answer.json()["data"]
    assert found == {
        "id": str(row.pk),
        "type": "cart.abandoned",
        "customerId": str(alice.pk),
        "storeId": str(shop.store.pk),
        "eventId": "web-1",
        "data": {"cart_value": "12.50", "itemCount": 3},
        "occurredAt": "2026-05-01T10:00:00Z",
        "recordedAt": found["recordedAt"],
    }
    assert answer.headers["Location"] == f"/api/v1{path(alice)}"
    assert (row.actor_id, row.request_id) == (shop.cashier.user_id, answer.headers["X-Request-ID"])
    assert row.dispatched_at is None, "the relay takes it from here"


def test_only_a_type_is_needed(shop: Shop, alice: Customer) -> None:
    before = now()
    found = shop.cashier.post(path(alice), {"type": "app.opened"}).json()["data"]
    assert (found["eventId"], found["data"]) == (None, {})
    assert datetime.fromisoformat(found["occurredAt"]) >= before


def test_the_same_event_again_is_answered_again(shop: Shop, alice: Customer) -> None:
    first = shop.cashier.post(path(alice), CART)
    again = shop.cashier.post(path(alice), CART)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["data"] == again.json()["data"]
    assert clients_own(alice) == 1


@pytest.mark.parametrize(
    "other",
    [
        {**CART, "type": "cart.filled"},
        {**CART, "data": {}},
        {**CART, "occurredAt": "2026-05-01T12:00:00Z"},
    ],
)
def test_an_event_id_stands_for_one_event(shop: Shop, alice: Customer, other: dict[str, Any]) -> None:
    shop.cashier.post(path(alice), CART)
    answer = shop.cashier.post(path(alice), other)
    assert (answer.status_code, answer.json()["code"]) == (409, "event_conflict")
    assert clients_own(alice) == 1


def test_an_event_id_of_another_customer_is_taken(shop: Shop, alice: Customer, bob: Customer) -> None:
    shop.cashier.post(path(alice), CART)
    assert shop.cashier.post(path(bob), CART).status_code == 409


def test_an_event_id_of_another_merchant_is_free(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    mallory = create_customer(access=foreign_shop.access, data={"first_name": "Mallory"})
    assert foreign_shop.cashier.post(path(mallory), CART).status_code == 201
    assert shop.cashier.post(path(alice), CART).status_code == 201


@pytest.mark.parametrize(
    "type",
    ["cart.abandoned", "app.opened", "loyalty_card.scanned", "a.b", "web2.page_viewed", "x." + "y" * 58],
)
def test_types_a_client_may_send(type: str) -> None:
    assert is_client_type(type)


@pytest.mark.parametrize(
    "type",
    [
        *sorted(OUR_EVENTS),
        *(f"{noun}.invented" for noun in sorted(OUR_NOUNS)),
        "cart",
        "cart.",
        ".abandoned",
        "Cart.abandoned",
        "cart.Abandoned",
        "cart abandoned",
        "cart.abandoned.again",
        "cart-abandoned",
        "1cart.abandoned",
        "cart.abandoned\n",
        "x." + "y" * 59,
    ],
)
def test_types_a_client_may_not_send(type: str) -> None:
    assert not is_client_type(type)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "type", "required"),
        ({"type": "purchase.recorded"}, "type", "invalid_event_type"),
        ({"type": "Cart.Abandoned"}, "type", "invalid_event_type"),
        ({"type": 5}, "type", "invalid"),
        ({"type": "cart.abandoned", "data": []}, "data", "invalid"),
        ({"type": "cart.abandoned", "data": {"x": "y" * EVENT_DATA_BYTES_MAX}}, "data", "too_large"),
        ({"type": "cart.abandoned", "occurredAt": "yesterday"}, "occurredAt", "invalid"),
        ({"type": "cart.abandoned", "occurredAt": "2026-05-01T12:00:00"}, "occurredAt", "invalid"),
        ({"type": "cart.abandoned", "eventId": "x" * 101}, "eventId", "max_length"),
        ({"type": "cart.abandoned", "merchantId": "x"}, "merchantId", "unknown_field"),
    ],
)
def test_bad_bodies_are_named(shop: Shop, alice: Customer, body: Any, field: str, code: str) -> None:
    answer = shop.cashier.post(path(alice), body)
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]


def test_a_time_in_the_future_is_refused_beyond_what_clocks_differ(shop: Shop, alice: Customer) -> None:
    soon, late = (now() + timedelta(minutes=minutes) for minutes in (4, 6))
    assert shop.cashier.post(path(alice), {**CART, "occurredAt": soon.isoformat()}).status_code == 201
    answer = shop.cashier.post(path(alice), {**CART, "occurredAt": late.isoformat()})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "occurredAt"


def test_what_the_service_writes_cannot_be_sent(shop: Shop, alice: Customer) -> None:
    body = {
        **CART,
        "id": str(uuid.uuid4()),
        "storeId": str(uuid.uuid4()),
        "recordedAt": "2020-01-01T00:00:00Z",
    }
    found = shop.cashier.post(path(alice), body).json()["data"]
    assert found["id"] != body["id"]
    assert found["storeId"] == str(shop.store.pk)
    assert found["recordedAt"] > "2021"


def test_a_foreign_customer_is_as_absent_as_any(shop: Shop, foreign_shop: Shop) -> None:
    mallory = create_customer(access=foreign_shop.access, data={"first_name": "Mallory"})
    for call in (lambda id: shop.cashier.get(path(id)), lambda id: shop.cashier.post(path(id), CART)):
        foreign, absent = call(mallory.pk), call(uuid.uuid4())
        assert foreign.status_code == absent.status_code == 404
        assert {**foreign.json(), "requestId": ""} == {**absent.json(), "requestId": ""}


def test_a_deleted_customer_has_no_events(shop: Shop, alice: Customer) -> None:
    delete_customer(access=shop.access, customer_id=alice.pk)
    assert shop.cashier.post(path(alice), CART).status_code == 404


# --- The list -----------------------------------------------------------------------------------------------


@pytest.fixture
def history(shop: Shop, alice: Customer) -> list[str]:
    """Ids, the latest first; sent in another order."""
    for day, type in ((3, "cart.filled"), (1, "app.opened"), (2, "app.opened")):
        body = {"type": type, "occurredAt": f"2026-05-0{day}T22:30:00Z", "eventId": str(day)}
        assert shop.cashier.post(path(alice), body).status_code == 201
    return ["3", "2", "1"]


def listed(shop: Shop, customer: Customer, query: str) -> list[str]:
    answer = shop.cashier.get(f"{path(customer)}?{query}")
    assert answer.status_code == 200, answer.content
    return [row["eventId"] for row in answer.json()["data"]["events"]]


def test_the_latest_comes_first(shop: Shop, alice: Customer, history: list[str]) -> None:
    answer = shop.cashier.get(path(alice)).json()["data"]
    assert [row["type"] for row in answer["events"]][0] == "customer.created", "our own are in the same log"
    assert [row["eventId"] for row in answer["events"][1:]] == history
    assert (answer["total"], answer["totalIsExact"], answer["page"], answer["limit"]) == (4, True, 1, 20)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=app.opened", ["2", "1"]),
        ("type=app.opened,cart.filled", ["3", "2", "1"]),
        ("type=nobody.knows", []),
        ("type=app.opened&sortOrder=asc", ["1", "2"]),
        # 22:30 UTC is 23:30 in London: still the same day.
        ("from=2026-05-02&to=2026-05-02", ["2"]),
        ("from=2026-05-02&to=2026-05-03", ["3", "2"]),
        ("from=2026-05-02T22:30:00Z&to=2026-05-02T22:30:00Z", ["2"]),
        ("to=2026-05-01", ["1"]),
        ("type=cart.filled,app.opened&limit=1&page=2", ["2"]),
    ],
)
def test_filters(shop: Shop, alice: Customer, history: list[str], query: str, expected: list[str]) -> None:
    assert listed(shop, alice, query) == expected


def test_a_cursor_walks_everything_once(shop: Shop, alice: Customer, history: list[str]) -> None:
    seen: list[Any] = []
    query = "limit=1"
    while True:
        found = shop.cashier.get(f"{path(alice)}?{query}").json()["data"]
        seen += [row["eventId"] for row in found["events"]]
        if found["nextCursor"] is None:
            break
        query = f"limit=1&cursor={found['nextCursor']}"
    assert seen == [None, *history]


@pytest.mark.parametrize("query", ["from=never", "type=", "limit=0", "sortBy=type", "actorId=1", "type=a,,b"])
def test_bad_parameters_are_refused(shop: Shop, alice: Customer, query: str) -> None:
    assert shop.cashier.get(f"{path(alice)}?{query}").status_code == 400


def test_the_list_takes_three_queries(
    shop: Shop, alice: Customer, history: list[str], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(3):  # the customer, the count, the rows
        shop.cashier.get(path(alice))


# --- The batch ----------------------------------------------------------------------------------------------


def batched(customer: Customer | uuid.UUID, event_id: str, **fields: Any) -> dict[str, Any]:
    customer_id = str(getattr(customer, "pk", customer))
    return {"customerId": customer_id, "type": "app.opened", "eventId": event_id, **fields}


def test_each_row_stands_for_itself(shop: Shop, foreign_shop: Shop, alice: Customer, bob: Customer) -> None:
    mallory = create_customer(access=foreign_shop.access, data={"first_name": "Mallory"})
    shop.cashier.post(path(alice), {"type": "app.opened", "eventId": "known"})
    shop.cashier.post(path(alice), {"type": "app.closed", "eventId": "taken"})
    answer = shop.cashier.post(
        "/events/batch",
        {
            "events": [
                batched(alice, "a"),
                batched(bob, "b", data={"screen": "home"}),
                batched(alice, "known"),
                batched(alice, "taken"),
                batched(alice, "c", type="purchase.recorded"),
                batched(mallory, "d"),
                batched(uuid.uuid4(), "e"),
                batched(alice, "a"),
                batched(bob, "a"),
                "not an object",
                {"type": "app.opened", "eventId": "f"},
                {"customerId": str(bob.pk), "type": "app.opened"},
                batched(bob, "g", occurredAt=(now() + timedelta(hours=1)).isoformat()),
            ]
        },
    )
    assert answer.status_code == 200
    found = answer.json()["data"]
    assert [(row["index"], row["status"], row.get("error", {}).get("code")) for row in found["results"]] == [
        (0, "created", None),
        (1, "created", None),
        (2, "duplicate", None),
        (3, "failed", "event_conflict"),
        (4, "failed", "validation_error"),
        (5, "failed", "customer_not_found"),
        (6, "failed", "customer_not_found"),
        (7, "duplicate", None),
        (8, "failed", "event_conflict"),
        (9, "failed", "validation_error"),
        (10, "failed", "validation_error"),
        (11, "created", None),
        (12, "failed", "validation_error"),
    ]
    assert (found["created"], found["duplicates"], found["failed"]) == (3, 2, 8)
    assert found["results"][1]["event"]["data"] == {"screen": "home"}
    assert found["results"][0]["event"]["id"] == found["results"][7]["event"]["id"]
    assert found["results"][4]["error"]["errors"][0]["field"] == "type"
    assert (clients_own(alice), clients_own(bob), clients_own(mallory)) == (3, 2, 0)


def test_a_batch_again_changes_nothing(shop: Shop, alice: Customer) -> None:
    body = {"events": [batched(alice, str(number)) for number in range(20)]}
    first, again = (shop.cashier.post("/events/batch", body).json()["data"] for _ in range(2))
    assert (first["created"], again["created"], again["duplicates"]) == (20, 0, 20)
    assert [row["event"] for row in first["results"]] == [row["event"] for row in again["results"]]


def test_five_hundred_events_take_a_handful_of_queries(
    shop: Shop, alice: Customer, bob: Customer, django_assert_max_num_queries: Any
) -> None:
    body = {
        "events": [batched((alice, bob)[number % 2], str(number)) for number in range(EVENTS_PER_BATCH_MAX)]
    }
    shop.cashier.get(path(alice))  # the access is cached from here on
    # Resolve, lock, insert, read back; and the two of the test case's savepoint.
    with django_assert_max_num_queries(7):
        answer = shop.cashier.post("/events/batch", body)
    assert answer.json()["data"]["created"] == EVENTS_PER_BATCH_MAX


@pytest.mark.parametrize(
    ("events", "status"),
    [([], 400), ({}, 400), (None, 400), ([{}] * (EVENTS_PER_BATCH_MAX + 1), 400)],
)
def test_a_batch_has_one_to_five_hundred_events(shop: Shop, events: Any, status: int) -> None:
    assert shop.cashier.post("/events/batch", {"events": events}).status_code == status


def test_a_batch_may_be_larger_than_other_bodies(shop: Shop, alice: Customer) -> None:
    filler = {"filler": "x" * 1900}
    body = {"events": [batched(alice, str(number), data=filler) for number in range(400)]}
    assert shop.cashier.post("/events/batch", body).status_code == 200
    body["events"] += [batched(alice, f"more {number}", data=filler) for number in range(100)]
    body["events"][0]["data"] = {"filler": "x" * settings.BATCH_BODY_BYTES_MAX}
    assert shop.cashier.post("/events/batch", body).status_code == 413


@pytest.mark.django_db(transaction=True)
def test_the_same_batch_from_two_tills_at_once(shop: Shop) -> None:
    customers = [
        create_customer(access=shop.access, data={"first_name": f"C{number}"}) for number in range(10)
    ]
    rows = [batched(customers[number % 10], str(number)) for number in range(100)]
    answers: list[dict[str, Any]] = []

    def send(events: list[dict[str, Any]]) -> None:
        answer = shop.cashier.post("/events/batch", {"events": events})
        assert answer.status_code == 200
        answers.append(answer.json()["data"])
        close_old_connections()
        connection.close()

    threads = [threading.Thread(target=send, args=(events,)) for events in (rows, rows[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer["created"] for answer in answers) == 100
    assert sum(answer["failed"] for answer in answers) == 0
    assert Event.objects.filter(type="app.opened").count() == 100


@pytest.mark.django_db(transaction=True)
def test_the_same_ids_in_another_order_do_not_deadlock(shop: Shop) -> None:
    failures: list[Exception] = []
    start = threading.Barrier(2)

    def emit(ids: list[str]) -> None:
        for batch in range(5):
            events = [
                event(merchant_id=shop.merchant.pk, type="app.opened", data={}, external_id=f"{batch} {id}")
                for id in ids
            ]
            start.wait(30)
            try:
                with transaction.atomic():
                    emit_once(events)
            except OperationalError as error:
                failures.append(error)
        connection.close()

    ids = [f"{number:04}" for number in range(1500)]
    threads = [threading.Thread(target=emit, args=(order,)) for order in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Event.objects.filter(type="app.opened").count() == 5 * 1500


def test_times_of_ours_are_utc(shop: Shop, alice: Customer) -> None:
    shop.cashier.post(path(alice), {**CART, "occurredAt": "2026-05-01T12:00:00+02:00"})
    assert Event.objects.get(type="cart.abandoned").occurred_at == datetime(2026, 5, 1, 10, tzinfo=UTC)
