"""Nothing of another merchant: every route x foreign store, ids in path, body, filter and batch.

A foreign id is answered with the same bytes as an absent one, no foreign byte is in any answer, and no foreign row
changes. A route that tests/routes.py does not declare fails tests/test_roles.py.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.core.cache import cache
from django.db import connection, transaction
from django.utils.timezone import now

from cloudpos.tenancy.models import TenantModel
from tests.fixtures import Shop, make_foreign_shop, make_shop
from tests.routes import CASES, EXPORT, PUBLIC, SIGNED_IN, World, absent_world, send
from tests.worlds import make_world

pytestmark = pytest.mark.django_db

OURS = "Ourscorner"
THEIRS = "Foreignbyte"
PRIVATE = sorted(key for key, case in CASES.items() if case.least != PUBLIC)
AT_A_STORE = [key for key in PRIVATE if CASES[key].least != SIGNED_IN]
# A cohort is a month, which is nobody's: there foreign and absent are the same, and whose people are listed is tested with it.
IN_PATH = [key for key in PRIVATE if "<" in key.replace("<str:cohort>", "")]
NAMING = [
    pytest.param(key, index, id=f"{key} {index}")
    for key in PRIVATE
    for index in range(len(CASES[key].naming))
]
QUERIES = [
    pytest.param(key, index, id=f"{key} {index}")
    for key in PRIVATE
    for index in range(len(CASES[key].queries))
]


@pytest.fixture(scope="module")
def shop(kept_world: tuple[Shop, World]) -> Shop:
    return kept_world[0]


@pytest.fixture(scope="module")
def ours(kept_world: tuple[Shop, World]) -> World:
    return kept_world[1]


@pytest.fixture(scope="module")
def foreign_shop(kept: None) -> Shop:
    return make_foreign_shop()


@pytest.fixture(scope="module")
def theirs(foreign_shop: Shop) -> World:
    return make_world(foreign_shop, THEIRS)


def foreign_rows(foreign_shop: Shop) -> dict[str, list[str]]:
    """Every row of the foreign merchant as text."""
    found = {}
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if issubclass(model, TenantModel):
                table = model._meta.db_table
                cursor.execute(
                    f"SELECT t::text FROM {table} t WHERE merchant_id = %s ORDER BY 1",
                    [foreign_shop.merchant.pk],
                )
                found[table] = [row[0] for row in cursor.fetchall()]
    return found


def plain(response: Any) -> tuple[int, Any]:
    """Status and body without the request's own id."""
    if response.streaming:
        return response.status_code, response.getvalue()
    body = response.json()
    if isinstance(body, dict):
        body.pop("requestId", None)
    return response.status_code, body


def told(world: World, response: Any, sent: str) -> list[str]:
    """What of the world is in an answer although the request did not name it."""
    text = response.getvalue().decode() + str(dict(response.headers))
    known = [THEIRS, *(str(value) for value in vars(world).values() if value)]
    return [what for what in known if what in text and what not in sent]


def tried(client: Any, key: str, world: World, **more: Any) -> Any:
    """The answer to a case's request, with everything that it wrote taken back."""
    # Not an atomic block: use cases refuse to run inside one.
    before = transaction.savepoint()
    try:
        return send(client, key, world, **more)
    finally:
        transaction.savepoint_rollback(before)


def masked(body: Any, world: World) -> Any:
    """A body with the ids of the world it named as one word: answers may repeat what was sent."""
    text = repr(body)
    for value in vars(world).values():
        if value:
            text = text.replace(str(value), "NAMED")
    return text


@pytest.fixture
def untouched(foreign_shop: Shop, theirs: World) -> Iterator[None]:
    """Fails when a foreign row has changed by the end of the test."""
    before = foreign_rows(foreign_shop)
    assert sum(len(rows) for rows in before.values()) > 25
    yield
    assert foreign_rows(foreign_shop) == before


def test_foreign_ids_in_the_path_are_absent_ids(
    shop: Shop, ours: World, theirs: World, untouched: None
) -> None:
    """All ids foreign; and each alone below an object of ours."""
    absent = absent_world()
    for key in IN_PATH:
        body = CASES[key].body(ours)
        foreign = tried(shop.owner, key, theirs, body=body)
        missing = tried(shop.owner, key, absent, body=body)
        assert foreign.status_code == 404, (key, foreign.content)
        assert plain(foreign) == plain(missing), key
        assert told(theirs, foreign, sent="") == [], key
        for variable in ("address", "merge"):
            if f"<uuid:{variable}_id>" in key:
                foreign, missing = (
                    tried(shop.owner, key, replace(ours, **{variable: getattr(world, variable)}), body=body)
                    for world in (theirs, absent)
                )
                assert foreign.status_code == 404, (key, variable)
                assert plain(foreign) == plain(missing), (key, variable)


def test_a_cohort_lists_our_people_alone(shop: Shop, ours: World, theirs: World) -> None:
    month = now().astimezone(shop.merchant.tz).replace(day=1).date()
    answer = shop.owner.get(f"/analytics/cohorts/{month}/customers?period=0")
    assert str(ours.customer) in answer.content.decode()
    assert told(theirs, answer, sent="") == []


def test_our_own_ids_are_found(shop: Shop, ours: World) -> None:
    """Or the tests around this one would prove nothing."""
    for key in IN_PATH:
        before = transaction.savepoint()
        for step in CASES[key].after:
            send(shop.owner, step, ours)
        response = tried(shop.owner, key, ours)
        transaction.savepoint_rollback(before)
        # The export of this world is made already, and says so.
        is_over = key == f"POST {EXPORT}/cancel" and response.json()["code"] == "job_is_over"
        assert is_over or response.status_code in (200, 201, 202), (key, response.content)


def test_a_foreign_or_absent_store_is_refused(
    shop: Shop, ours: World, theirs: World, untouched: None
) -> None:
    for key in AT_A_STORE:
        # One person at so many routes within a second is more than the limits allow.
        cache.clear()
        answers = [
            send(shop.owner, key, ours, headers={"x-store-id": str(store)})
            for store in (theirs.store, absent_world().store)
        ]
        assert [answer.status_code for answer in answers] == [403, 403], key
        assert plain(answers[0]) == plain(answers[1]), key
        assert answers[0].json()["code"] == "store_forbidden"


def test_their_people_do_not_get_in_with_our_store(
    shop: Shop, foreign_shop: Shop, ours: World, theirs: World, untouched: None
) -> None:
    for key in AT_A_STORE:
        response = send(foreign_shop.owner, key, ours, headers={"x-store-id": str(ours.store)})
        assert response.status_code == 403, key
        assert OURS not in response.content.decode()


@pytest.mark.parametrize(("key", "index"), NAMING)
def test_foreign_ids_in_a_body_are_absent_ids(
    shop: Shop, ours: World, theirs: World, untouched: None, key: str, index: int
) -> None:
    naming, absent = CASES[key].naming[index], absent_world()
    foreign = tried(shop.owner, key, ours, body=naming(theirs))
    missing = tried(shop.owner, key, ours, body=naming(absent))
    own = tried(shop.owner, key, ours, body=naming(ours))

    sent = repr(naming(theirs))
    assert told(theirs, foreign, sent) == []
    assert foreign.status_code == missing.status_code
    if "eventId" in sent:
        # An id that only another merchant has used is free here.
        assert foreign.status_code == 201
        return
    if "addresses" in sent and key.startswith("POST"):
        # A new customer's addresses are new.
        assert str(theirs.address) not in foreign.content.decode()
        return
    assert masked(plain(foreign), theirs) == masked(plain(missing), absent)
    refused = foreign.status_code >= 400 or "error" in foreign.content.decode()
    assert refused, foreign.content
    assert (own.status_code, own.content) != (foreign.status_code, foreign.content)


@pytest.mark.parametrize(("key", "index"), QUERIES)
def test_foreign_ids_in_a_filter_are_absent_ids(
    shop: Shop, ours: World, theirs: World, key: str, index: int
) -> None:
    query, absent = CASES[key].queries[index], absent_world()
    foreign = send(shop.owner, key, ours, query=query(theirs))
    missing = send(shop.owner, key, ours, query=query(absent))
    own = send(shop.owner, key, ours, query=query(ours))

    assert own.status_code == 200
    assert masked(plain(foreign), theirs) == masked(plain(missing), absent)
    assert told(theirs, foreign, sent=query(theirs)) == []


def test_no_list_and_no_figure_shows_foreign_rows(
    shop: Shop, foreign_shop: Shop, ours: World, theirs: World
) -> None:
    """Every GET, with everything that the foreign merchant has lying beside it in the same tables."""
    for key in PRIVATE:
        if not key.startswith("GET"):
            continue
        for query in ["", *(query(ours) for query in CASES[key].queries)]:
            response = send(shop.owner, key, ours, query=query)
            assert response.status_code in (200, 400), (key, response.content)
            assert told(theirs, response, sent="") == [], key


def test_figures_do_not_change_when_a_foreign_merchant_does(shop: Shop, ours: World) -> None:
    # An export is itself on record, and in what is read after it; a link carries the time it was made.
    keys = [
        key for key in PRIVATE if key.startswith("GET") and not key.endswith(("/export", "/consents/links"))
    ]
    # Figures say when they were worked out.
    with time_machine.travel(now(), tick=False):
        before = {key: plain(send(shop.owner, key, ours)) for key in keys}
        make_world(make_shop("Newcomers"), "Newcomer")
        after = {key: plain(send(shop.owner, key, ours)) for key in keys}
    for key in keys:
        assert after[key] == before[key], key


def test_a_cursor_of_another_merchant_shows_nothing_of_it(
    shop: Shop, foreign_shop: Shop, ours: World, theirs: World
) -> None:
    page = foreign_shop.owner.get("/customers?limit=1").json()["data"]
    assert page["nextCursor"]
    response = shop.owner.get(f"/customers?limit=10&cursor={page['nextCursor']}")
    assert THEIRS not in response.content.decode()


def test_the_same_words_may_be_used_by_everybody(ours: World) -> None:
    """E-mail, phone, transaction ids, event ids and codes are unique within a merchant only."""
    other = make_world(make_shop("Newcomers"), OURS)
    assert ours.email == other.email
    assert ours.transaction == other.transaction


def test_an_idempotency_key_belongs_to_a_merchant(shop: Shop, foreign_shop: Shop) -> None:
    keyed = {"Idempotency-Key": "the-same"}
    for owner in (shop, foreign_shop):
        response = owner.owner.post("/customers", {"firstName": owner.merchant.name}, headers=keyed)
        assert response.status_code == 201
        assert response.json()["data"]["firstName"] == owner.merchant.name
