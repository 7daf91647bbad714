"""What an import does to customers, and that its check says so before."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudpos.tenancy.models import Store
from customers.imports import ahead, running, writers
from customers.models import Address, Customer, Event, ExternalId
from customers.services import create_customer, delete_customer
from tests.customers.conftest import Make, mallory  # noqa: F401
from tests.customers.imports.conftest import Bring, csv_of
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FULL = (
    ("E-mail", "Phone", "First name", "Last name", "Date of birth", "Gender", "Language", "Tags", "Notes", "Street", "City",
     "Postcode", "Country", "Store", "metadata.shoe_size", "External ID", "Status"),
    ("Ann@Example.com", "020 7183 8750", "Ann", "Archer", "1990-02-03", "Mrs", "German", "Gold; tea", "Likes tea",
     "1 High Street", "London", "N1 9GU", "United Kingdom", "HIGH", "38", "crm-1", "inactive"),
)  # fmt: skip


@pytest.fixture
def make(shop: Shop) -> Make:
    def made(first_name: str = "Alice", **data: Any) -> Customer:
        return create_customer(access=shop.access, data={"first_name": first_name, **data})

    return made


def test_everything_of_a_new_customer(shop: Shop, bring: Bring) -> None:
    brought = bring(csv_of(*FULL))
    brought.set(addTags=["imported"])
    assert brought.check() == {"rows": 1, "created": 1}
    assert Customer.objects.count() == 0
    assert brought.run() == {"rows": 1, "created": 1}

    (shown,) = shop.manager.get("/customers?query=archer").json()["data"]["customers"]
    expected = {
        "email": "Ann@example.com",
        "phone": "+442071838750",
        "firstName": "Ann",
        "lastName": "Archer",
        "dateOfBirth": "1990-02-03",
        "gender": "female",
        "language": "de",
        "status": "inactive",
        "type": "individual",
        "tags": ["gold", "imported", "tea"],
        "notes": "Likes tea",
        "metadata": {"shoe_size": "38"},
        "homeStoreId": str(shop.store.pk),
        "version": 1,
    }
    assert {name: shown[name] for name in expected} == expected
    (address,) = shown["addresses"]
    assert (address["street1"], address["city"], address["postalCode"], address["country"], address["isDefault"]) == (
        "1 High Street", "London", "N1 9GU", "GB", True,
    )  # fmt: skip
    assert ExternalId.objects.get().external_id == "crm-1"
    assert shop.manager.get("/customers/stats").json()["data"]["total"] == 1
    (row,) = brought.rows()
    assert row == {
        "number": 2,
        "outcome": "created",
        "customerId": shown["id"],
        "problems": [],
        "undo": "",
        "undoNotes": [],
    }


def test_the_same_file_again_changes_nothing(shop: Shop, bring: Bring) -> None:
    bring(csv_of(*FULL)).run()
    before = (
        Customer.objects.values().get(),
        list(Address.objects.values()),
        Event.objects.exclude(type="import.finished").count(),
    )

    again = bring(csv_of(*FULL))
    assert again.check() == {"rows": 1, "unchanged": 1}
    assert again.run() == {"rows": 1, "unchanged": 1}

    assert before == (
        Customer.objects.values().get(), list(Address.objects.values()), Event.objects.exclude(type="import.finished").count(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("E-mail", "ALICE@example.com"),
        ("Phone", "020 7183 8750"),
        ("Customer number", ""),
        ("External ID", "crm-7"),
    ],
)
def test_a_customer_is_recognised(shop: Shop, bring: Bring, make: Make, header: str, value: str) -> None:
    alice = make("Alice", email="alice@example.com", phone="+442071838750", notes="Old", tags=["tea"])
    ExternalId.objects.create(merchant=shop.merchant, customer=alice, external_id="crm-7")
    brought = bring(csv_of((header, "Notes", "Tags"), (value or alice.customer_number, "New", "coffee")))

    assert brought.check() == brought.run() == {"rows": 1, "updated": 1}

    alice.refresh_from_db()
    assert (alice.notes, alice.tags, alice.email, alice.version) == (
        "New",
        ["coffee", "tea"],
        "alice@example.com",
        2,
    )
    assert Customer.objects.count() == 1
    changed = Event.objects.get(type="customer.updated")
    assert changed.data == {"fields": ["notes", "tags"], "importId": brought.id}
    assert changed.dispatched_at is not None
    found = shop.manager.get("/customers?tags=coffee").json()["data"]["customers"]
    assert [row["id"] for row in found] == [str(alice.pk)]


def test_empty_cells_keep_unless_told(bring: Bring, make: Make) -> None:
    alice = make("Alice", email="alice@example.com", notes="Old", phone="+442071838750")
    rows = csv_of(("E-mail", "Notes", "Phone", "Last name"), ("alice@example.com", "", " ", "Archer"))
    assert bring(rows).run()["updated"] == 1
    alice.refresh_from_db()
    assert (alice.notes, alice.phone, alice.last_name) == ("Old", "+442071838750", "Archer")

    told = bring(rows)
    told.set(emptyCells="erase")
    assert told.run()["updated"] == 1
    alice.refresh_from_db()
    assert (alice.notes, alice.phone, alice.last_name) == ("", "", "Archer")


@pytest.mark.parametrize(
    ("mode", "counts"),
    [
        ("create", {"rows": 2, "skipped": 1, "created": 1}),
        ("update", {"rows": 2, "updated": 1, "skipped": 1}),
        ("both", {"rows": 2, "updated": 1, "created": 1}),
    ],
)
def test_modes(bring: Bring, make: Make, mode: str, counts: dict[str, int]) -> None:
    make("Alice", email="alice@example.com")
    brought = bring(csv_of(("E-mail", "Notes"), ("alice@example.com", "New"), ("bob@example.com", "New")))
    brought.set(mode=mode)
    assert brought.check() == brought.run() == counts
    assert Customer.objects.count() == 1 + counts.get("created", 0)


def test_a_row_that_means_two_customers(bring: Bring, make: Make) -> None:
    alice = make("Alice", email="alice@example.com")
    bob = make("Bob", phone="+442071838750")
    brought = bring(csv_of(("E-mail", "Phone"), ("alice@example.com", "+442071838750")))
    assert brought.run() == {"rows": 1, "failed": 1}
    (problem,) = brought.rows("?outcome=failed")[0]["problems"]
    assert problem["code"] == "two_customers"
    assert alice.customer_number in problem["message"] and bob.customer_number in problem["message"]

    told = bring(csv_of(("E-mail", "Phone"), ("alice@example.com", "+442071838750")))
    told.set(matchBy=["email"])
    told.check()
    assert told.problems() == [(2, "Phone", "phone_taken")]


def test_rows_that_repeat_an_earlier_one(bring: Bring, make: Make) -> None:
    alice = make("Alice", email="alice@example.com", phone="+442071838750")
    rows = (
        ("E-mail", "Phone", "Notes"),
        ("bob@example.com", "", "1"),
        ("BOB@example.com", "", "2"),
        ("alice@example.com", "", "3"),
        ("", "020 7183 8750", "4"),
        ("carol@example.com", "020 7183 8751", "5"),
        ("dave@example.com", "+442071838751", "6"),
    )
    brought = bring(csv_of(*rows))
    assert brought.check() == brought.run() == {"rows": 6, "created": 2, "updated": 1, "failed": 3}
    assert brought.problems() == [
        (3, "E-mail", "duplicate_in_file"),
        (5, None, "same_customer_twice"),
        (7, "Phone", "duplicate_in_file"),
    ]
    alice.refresh_from_db()
    assert alice.notes == "3"


def test_problems_by_row_and_column_in_words(bring: Bring, make: Make) -> None:
    make("Alice", email="alice@example.com")
    brought = bring(
        csv_of(
            (
                "E-mail",
                "Phone",
                "Date of birth",
                "Gender",
                "Country",
                "City",
                "Customer number",
                "Store",
                "Status",
                "First name",
            ),
            ("no address", "12", "31.2.1990", "blue", "Atlantis", "", "123", "Mars", "asleep", "#N/A"),
            ("", "4.47E+11", "2999-01-01", "", "", "", "", "", "", "Ann"),
            ("", "", "", "", "", "", "1000000008", "", "", "Bob"),
            ("", "", "", "", "", "London", "", "", "", "Carol"),
            ("", "", "", "f", "", "", "", "", "", ""),
            ("", "", "", "", "", "", "", "", "", "N" * 101),
        )
    )
    counts = brought.check()
    assert counts == {"rows": 6, "failed": 6}
    assert brought.problems() == [
        (2, "E-mail", "invalid_email"),
        (2, "Phone", "invalid_phone"),
        (2, "Date of birth", "invalid_date"),
        (2, "Gender", "invalid_choice"),
        (2, "Country", "invalid_country"),
        (2, "Customer number", "invalid_number"),
        (2, "Store", "store_not_found"),
        (2, "Status", "invalid_choice"),
        (2, "First name", "spreadsheet_error"),
        (3, "Phone", "shortened_number"),
        (3, "Date of birth", "invalid_date"),
        (4, "Customer number", "number_unknown"),
        (5, None, "required"),
        (6, "First name", "required"),
        (7, "First name", "max_length"),
    ]
    rows = brought.rows("?outcome=failed")
    assert rows[0]["problems"][7] == {
        "column": "Status",
        "field": "status",
        "code": "invalid_choice",
        "message": "This must be active, inactive or suspended.",
        "value": "asleep",
    }
    assert rows[3]["problems"][0]["message"].startswith("Street: ")
    # Whoever is born tomorrow is told of once the number is right.
    fixed = bring(
        csv_of(("E-mail", "Date of birth"), ("x@example.com", "2999-01-01"), ("y@example.com", "2199-01-01"))
    )
    fixed.check()
    assert fixed.problems() == [(2, "Date of birth", "invalid_date"), (3, "Date of birth", "future_date")]


def test_good_rows_do_not_suffer_from_bad_ones(bring: Bring) -> None:
    brought = bring(csv_of(("E-mail",), ("a@example.com",), ("bad",), ("",), ("c@example.com",)))
    assert brought.run() == {"rows": 3, "created": 2, "failed": 1}
    assert sorted(Customer.objects.values_list("email", flat=True)) == ["a@example.com", "c@example.com"]


def test_the_rows_that_failed_can_be_had_mended_and_imported(bring: Bring) -> None:
    brought = bring(
        csv_of(
            ("E-mail", "First name", "Notes"),
            ("bad", "Ann", "=1+1"),
            ("b@example.com", "Bob", ""),
            ("@x", "+Cee", "-"),
        )
    )
    brought.run()
    text = brought.failed()
    assert text.splitlines() == [
        "\ufeffProblem,Row,E-mail,First name,Notes",
        f"E-mail: {brought.rows('?outcome=failed')[0]['problems'][0]['message']},2,bad,Ann,'=1+1",
        f"E-mail: {brought.rows('?outcome=failed')[1]['problems'][0]['message']},4,'@x,'+Cee,'-",
    ]
    mended = bring(text.replace("bad", "ann@example.com").replace("'@x", "c@example.com").encode())
    counts = mended.run()
    assert (counts, mended.problems()) == ({"rows": 2, "created": 2}, [])
    ann = Customer.objects.get(email="ann@example.com")
    assert ann.notes == "=1+1"


def test_addresses_are_added_and_changed(bring: Bring, make: Make) -> None:
    alice = make(
        "Alice",
        email="alice@example.com",
        addresses=[{"street1": "1 High Street", "city": "London", "country": "GB"}],
    )
    make("Bob", email="bob@example.com")
    brought = bring(
        csv_of(
            ("E-mail", "Street", "City", "Country"),
            ("alice@example.com", "2 High Street", "", ""),
            ("bob@example.com", "3 High Street", "Leeds", "UK"),
            ("carol@example.com", "", "", "Germany"),
        )
    )
    assert brought.run() == {"rows": 3, "updated": 2, "created": 1}
    rows = Address.objects.order_by("street1").values_list("street1", "city", "country", "is_default")
    assert list(rows) == [("2 High Street", "London", "GB", True), ("3 High Street", "Leeds", "GB", True)]
    alice.refresh_from_db()
    assert alice.version == 2


def test_a_merged_customer_s_number_leads_on_and_a_deleted_one_s_e_mail_is_free(
    shop: Shop, bring: Bring, make: Make
) -> None:
    alice, other = make("Alice", email="alice@example.com"), make("Alicia")
    shop.manager.post(f"/customers/{alice.pk}/merge", {"sourceId": str(other.pk)})
    bob = make("Bob", email="bob@example.com")
    delete_customer(access=shop.access, customer_id=bob.pk)
    brought = bring(
        csv_of(
            ("Customer number", "E-mail", "Notes"),
            (other.customer_number, "", "New"),
            ("", "bob@example.com", "New"),
        )
    )
    assert brought.run() == {"rows": 2, "updated": 1, "created": 1}
    alice.refresh_from_db()
    assert alice.notes == "New"


def test_what_somebody_has_taken_meanwhile_is_looked_at_again(
    bring: Bring, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = make("Alice")
    looks = []

    def look(*arguments: Any, **named: Any) -> Any:
        known = look_up(*arguments, **named)
        looks.append(named["locked"])
        if len(looks) == 1:
            ExternalId.objects.create(merchant_id=alice.merchant_id, customer=alice, external_id="crm-1")
        return known

    look_up = ahead.look_up
    monkeypatch.setattr(ahead, "look_up", look)
    brought = bring(csv_of(("E-mail", "External ID"), ("bob@example.com", "crm-1"), ("bad", "")))
    assert brought.run() == {"rows": 2, "updated": 1, "failed": 1}
    assert looks == [False, True]
    assert ExternalId.objects.get().customer.email == "bob@example.com"
    assert len(brought.problems()) == 1


@pytest.mark.parametrize(
    "happens", [{"notes": "theirs", "version": 2}, {"deleted_at": LONG_AGO}, {"version": 1}]
)
def test_what_changes_after_the_look_ahead_is_looked_at_again(
    shop: Shop, bring: Bring, make: Make, monkeypatch: pytest.MonkeyPatch, happens: dict[str, Any]
) -> None:
    """The second chunk is looked up before the first is written: what a till does in between must not be undone by it."""
    monkeypatch.setattr(running, "CHUNK_ROWS", 1)
    bob = make("Bob", email="bob@example.com")
    real, written = writers.write, []

    def write(*arguments: Any) -> None:
        written.append(1)
        if len(written) == 1:
            Customer.objects.filter(pk=bob.pk).update(**happens)
        real(*arguments)

    monkeypatch.setattr(writers, "write", write)
    brought = bring(
        csv_of(
            ("E-mail", "Last name", "Notes"),
            ("ann@example.com", "A", "new"),
            ("bob@example.com", "B", ""),
            ("carl@example.com", "C", "new"),
        )
    )
    counts = {"rows": 3, "created": 2, "updated": 1}
    assert brought.run() == ({"rows": 3, "created": 3} if "deleted_at" in happens else counts)
    bob.refresh_from_db()
    if "deleted_at" in happens:
        assert Customer.objects.get(email="bob@example.com", deleted_at=None).last_name == "B"
    else:
        assert (bob.last_name, bob.notes) == ("B", happens.get("notes", ""))
        assert bob.version == happens["version"] + 1


def test_a_key_that_an_earlier_chunk_frees_is_free(
    bring: Bring, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "CHUNK_ROWS", 1)
    alice = make("Alice", email="old@example.com")
    brought = bring(
        csv_of(
            ("Customer number", "E-mail", "First name"),
            (alice.customer_number, "new@example.com", "Alice"),
            ("", "old@example.com", "Ann"),
        )
    )
    assert brought.run() == {"rows": 2, "created": 1, "updated": 1}
    assert Customer.objects.get(email="old@example.com").first_name == "Ann"


def test_a_worker_s_other_jobs_have_the_interpreter_as_before(bring: Bring) -> None:
    before = sys.getswitchinterval()
    assert bring(csv_of(("E-mail",), ("bob@example.com",))).run() == {"rows": 1, "created": 1}
    assert sys.getswitchinterval() == before


def test_companies(bring: Bring) -> None:
    brought = bring(
        csv_of(
            ("Company", "E-mail", "Name"),
            ("Tea Ltd", "tea@example.com", ""),
            ("", "a@example.com", '"Berg, Anna"'),
        )
    )
    brought.run()
    rows = Customer.objects.order_by("email").values_list("type", "company_name", "first_name", "last_name")
    assert list(rows) == [("individual", "", "Anna", "Berg"), ("business", "Tea Ltd", "", "")]


def test_nothing_of_another_merchant_is_recognised(bring: Bring, foreign_shop: Shop) -> None:
    theirs = create_customer(
        access=foreign_shop.access, data={"first_name": "Mallory", "email": "mallory@example.com"}
    )
    Store.objects.create(merchant=foreign_shop.merchant, name="Theirs", code="THEIRS")
    ExternalId.objects.create(merchant=foreign_shop.merchant, customer=theirs, external_id="crm-1")
    brought = bring(
        csv_of(
            ("E-mail", "Customer number", "External ID", "Store"),
            ("mallory@example.com", "", "crm-1", ""),
            ("x@example.com", theirs.customer_number, "", ""),
            ("y@example.com", "", "", "THEIRS"),
        )
    )
    assert brought.run() == {"rows": 3, "created": 1, "failed": 2}
    assert brought.problems() == [(3, "Customer number", "number_unknown"), (4, "Store", "store_not_found")]
    theirs.refresh_from_db()
    assert theirs.version == 1


def test_one_event_tells_of_all(bring: Bring, shop: Shop) -> None:
    brought = bring(csv_of(("E-mail",), ("a@example.com",), ("bad",)))
    brought.run()
    finished = Event.objects.get(type="import.finished")
    assert finished.dispatched_at is None
    assert finished.data == {
        "importId": brought.id,
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "skipped": 0,
        "failed": 1,
    }
    created = Event.objects.get(type="customer.created")
    assert created.dispatched_at is not None and created.data == {
        "type": "individual",
        "importId": brought.id,
    }
    # The customer's own timeline shows it.
    timeline = shop.manager.get(f"/customers/{created.customer_id}/timeline").json()
    assert "customer.created" in str(timeline)
