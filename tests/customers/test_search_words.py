"""The words that a name is found by: kept by triggers, read instead of the customers."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from customers import list_plans
from customers.models import Customer, CustomerWord
from customers.search import prefix_query, word_start
from customers.services import hide_customer, lock_customer
from customers.services.bulk import load_customers
from tests.customers.conftest import Make
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def words_are_those_of_the_search_index(request: pytest.FixtureRequest, db: None) -> Iterator[None]:
    """After each test, whatever it did."""
    yield
    due = {
        (lexeme, customer.created_at, customer.pk)
        for customer in Customer.objects.filter(deleted_at=None)
        for lexeme in lexemes_of(customer)
        if lexeme.split(":", 1)[1][:1] == "w" and lexeme.split(":", 1)[1][1] > "9" and "@" not in lexeme
    }
    assert {(row.lexeme, row.created_at, row.customer_id) for row in CustomerWord.objects.all()} == due


def lexemes_of(customer: Customer) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT unnest(tsvector_to_array(search)) FROM customers WHERE id = %s", [customer.pk])
        return [row[0] for row in cursor.fetchall()]


def words(shop: Shop) -> set[str]:
    return {row.lexeme.removeprefix(f"{shop.access.search_key}:w") for row in CustomerWord.objects.all()}


def names(shop: Shop, **parameters: Any) -> list[str]:
    """First names, found without asking the search index."""
    with CaptureQueriesContext(connection) as queries:
        data = shop.cashier.get("/customers", parameters).json()["data"]
    assert [query for query in queries if "customer_words" in query["sql"]]
    assert not [query for query in queries if '"search" @@' in query["sql"]]
    return [row["firstName"] for row in data["customers"]]


def test_each_start_of_a_word_finds_whom_the_search_index_finds(shop: Shop, make: Make) -> None:
    make("Ann", last_name="Anderson-Böhm", email="anna.x@example.org", company_name="Antons & Co")
    make("Ænn", last_name="O'Neil", phone="+442071838750", tags=["annual"])
    make("Nanna", email="44ann@example.com")
    make("زهرة", last_name="𝒜nn")
    for whole in (
        "anderson",
        "Böhm",
        "AEnn",
        "oneil",
        "neil",
        "example",
        "annual",
        "زهرة",
        "ann",
        "ａnn",
        "x",
    ):
        for letters in range(1, len(whole) + 1):
            start = whole[:letters]
            # An order of its own is answered by the search index.
            other = shop.cashier.get("/customers", {"query": start, "sortBy": "name"}).json()["data"]
            expected = {row["id"] for row in other["customers"]}
            data = shop.cashier.get("/customers", {"query": start}).json()["data"]
            assert {row["id"] for row in data["customers"]} == expected
            assert (data["total"], data["totalIsExact"]) == (len(expected), True)


def test_a_word_is_read_from_its_own_index(shop: Shop, make: Make) -> None:
    for name in ("Anna", "Ben", "Anne", "Anton"):
        make(name, last_name="Ander", email=f"{name.lower()}.ander@example.com")
    assert names(shop, query="an") == ["Anton", "Anne", "Ben", "Anna"]
    assert names(shop, query="ANN", sortOrder="asc") == ["Anna", "Anne"]
    assert names(shop, query="ander", limit=3) == ["Anton", "Anne", "Ben"]
    assert names(shop, query="ander", limit=3, page=2) == ["Anna"]
    assert names(shop, query="nobody") == []


def test_pages_and_cursors_of_a_word(shop: Shop, make: Make) -> None:
    for name in ("Ann", "Ben", "Cat"):
        make(name, company_name="Acme")
    for order, expected in (("asc", ["Ann", "Ben", "Cat"]), ("desc", ["Cat", "Ben", "Ann"])):
        parameters = {"query": "acm", "limit": "2", "sortOrder": order}
        data = shop.cashier.get("/customers", parameters).json()["data"]
        following = names(shop, **parameters, cursor=data["nextCursor"])
        assert [row["firstName"] for row in data["customers"]] + following == expected
        assert data["total"] == 3


@pytest.mark.parametrize(("most", "total"), [(3, (3, False)), (5, (5, True))])
def test_a_frequent_word_has_a_bound_for_a_total(
    shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch, most: int, total: tuple[int, bool]
) -> None:
    monkeypatch.setattr(list_plans, "WORD_CANDIDATES_MAX", most)
    for name in ("Ann", "Ben", "Cat", "Dan", "Eve"):
        make(name, company_name="Acme")
    for _ in range(2):
        data = shop.cashier.get("/customers?query=acme&limit=2").json()["data"]
        assert (data["total"], data["totalIsExact"]) == total
        assert [row["firstName"] for row in data["customers"]] == ["Eve", "Dan"]


@pytest.fixture
def frequent(shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Ann to Eve with two words each that begin with "acm", and others between them; two are as many as are collected."""
    monkeypatch.setattr(list_plans, "WORD_CANDIDATES_MAX", 2)
    for name in ("Ann", "Ben", "Cat", "Dan", "Eve"):
        make(name, last_name="Acmé", company_name="Acme", email=f"{name}@acme-acmes.example")
        make("Other", company_name="Acmon")
    return shop


def by_cursor(shop: Shop, **parameters: Any) -> list[str]:
    """First names of all pages."""
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        data = shop.cashier.get("/customers", parameters | ({"cursor": cursor} if cursor else {})).json()[
            "data"
        ]
        assert (data["total"], data["totalIsExact"]) == (2, False)
        found += [row["firstName"] for row in data["customers"]]
        cursor = data["nextCursor"]
    return found


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 20])
@pytest.mark.parametrize("walked", [list_plans.WALKED_MAX, 4])
def test_a_frequent_word_is_walked_to_in_the_order_of_creation(
    frequent: Shop, monkeypatch: pytest.MonkeyPatch, order: str, limit: int, walked: int
) -> None:
    monkeypatch.setattr(list_plans, "WALKED_MAX", walked)
    five = ["Ann", "Ben", "Cat", "Dan", "Eve"]
    expected = five if order == "asc" else five[::-1]
    assert by_cursor(frequent, query="acme", sortOrder=order, limit=limit) == expected
    second = frequent.cashier.get("/customers", {"query": "acme", "sortOrder": order, "limit": 1, "page": 2})
    assert [row["firstName"] for row in second.json()["data"]["customers"]] == expected[1:2]


def test_a_walk_reads_one_index_in_its_order(frequent: Shop) -> None:
    """Not the words of the start, to sort them: there may be a hundred thousand."""
    with CaptureQueriesContext(connection) as queries:
        first = frequent.cashier.get("/customers?query=acme&limit=2").json()
        assert frequent.cashier.get("/customers?query=acme&limit=2").json() == first
    # One statement also when how frequent the word is has to be found out.
    both, walk = [query["sql"] for query in queries if query["sql"].startswith("WITH")]
    with connection.cursor() as cursor:
        # A handful of rows is read in any way; which ways are there is what counts.
        cursor.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
        )
        cursor.execute(f"EXPLAIN {walk}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan Backward using customer_words_head_idx on customer_words" in plan
    assert "Sort Key: walked" not in plan and "Sort Key: customer_words" not in plan
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {both}")
        # Nobody walks for a word that is not frequent.
        assert any("One-Time Filter" in line for (line,) in cursor.fetchall())


def test_texts_are_short_enough_to_be_known_again(shop: Shop, make: Make) -> None:
    """psycopg takes longer ones apart each time."""
    from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH

    lengths = {}

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        lengths[query] = max(lengths.get(query, 0), len(sql.encode()))
        return execute(sql, params, many, context)

    make("Ann", tags=["vip"])
    with connection.execute_wrapper(note):
        for query in ("", "query=ann", "query=ann&page=2", "query=ann%20b", "tier=gold", "tags=vip"):
            shop.cashier.get(f"/customers?{query}")
    assert lengths and max(lengths.values()) <= MAX_CACHED_STATEMENT_LENGTH, lengths


def test_another_merchants_word_finds_nobody(shop: Shop, mallory: Customer) -> None:
    assert names(shop, query="mallory") == []
    mine = word_start(search_key=shop.access.search_key, text="mallory")
    assert mine and not CustomerWord.objects.filter(lexeme__gte=mine.first, lexeme__lt=mine.end).exists()


def places(shop: Shop) -> set[tuple[str, str]]:
    """(word, where its row is)"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT split_part(lexeme, ':', 2), ctid::text FROM customer_words")
        return set(cursor.fetchall())


def test_renamed(shop: Shop, alice: Customer) -> None:
    assert "archer" in words(shop)
    before = places(shop)
    shop.cashier.patch(f"/customers/{alice.pk}", {"lastName": "Becker"})
    # The other words are not written again.
    assert {word for word, _ in before - places(shop)} == {"warcher"}
    assert names(shop, query="beck") == ["Alice"]
    assert "archer" not in words(shop)


def test_hidden_and_deleted(shop: Shop, alice: Customer, bob: Customer) -> None:
    hide_customer(lock_customer(merchant_id=shop.merchant.pk, customer_id=bob.pk), merged_into=alice)
    assert names(shop, query="bob") == []
    assert words(shop).isdisjoint({"bob", "baker"})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM customers")
        assert not CustomerWord.objects.exists()
        # Their history refers to them.
        transaction.set_rollback(True)


def test_created_at_another_time(shop: Shop, alice: Customer, bob: Customer) -> None:
    Customer.objects.filter(pk=bob.pk).update(created_at="2020-01-01T00:00:00Z")
    assert names(shop, query="example") == ["Alice", "Bob"]


def test_loaded(shop: Shop) -> None:
    load_customers(access=shop.access, rows=[{"first_name": "Ann"}, {"first_name": "Ben"}])
    assert names(shop, query="be") == ["Ben"]


def test_filled_by_the_migration(
    shop: Shop, alice: Customer, bob: Customer, mallory: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_customer(lock_customer(merchant_id=shop.merchant.pk, customer_id=bob.pk), merged_into=alice)
    before = set(CustomerWord.objects.values_list("pk", flat=True))
    CustomerWord.objects.filter(lexeme__contains="a").delete()
    migration = importlib.import_module("customers.migrations.0011_words")
    monkeypatch.setattr(migration, "BATCH_ROWS", 1)
    with connection.schema_editor() as editor:
        migration.fill(apps, editor)
    assert set(CustomerWord.objects.values_list("pk", flat=True)) == before


def test_what_only_the_search_index_knows() -> None:
    for text in ("ann baker", "1234", "ann1", "ann@example.com", "o'neil", "", "-", "ﷺ"):
        assert word_start(search_key="m7", text=text) is None
    assert word_start(search_key="m7", text="Zoés") == ("m7:wzoes", "m7:wzoes\U0010ffff", "m7:wzoe")
    assert word_start(search_key="m7", text="Zo") == ("m7:wzo", "m7:wzo\U0010ffff", None)


@pytest.mark.parametrize("text", ["Zo", "ÆRØ", "Straße", "x" * 60, "زهرة", "ａnn", "𝒜nn"])
def test_both_indexes_are_asked_for_the_same(text: str) -> None:
    found = word_start(search_key="m7", text=text)
    assert found and found.tsquery == prefix_query(search_key="m7", text=text)
