"""Taking a whole import back, and what cannot be taken back."""

from decimal import Decimal
from typing import Any

import pytest

from cloudpos.checkout.sales import take_purchase
from customers.models import Address, Customer, Erasure, Event, ExternalId, ImportRow
from customers.services import create_customer, delete_customer, update_customer
from loyalty.services import create_program
from tests.customers.conftest import Make
from tests.customers.imports.conftest import Bring, Brought, csv_of
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def make(shop: Shop) -> Make:
    def made(first_name: str = "Alice", **data: Any) -> Customer:
        return create_customer(access=shop.access, data={"first_name": first_name, **data})

    return made


def left(brought: Brought) -> dict[int, tuple[str, list[str]]]:
    return {row["number"]: (row["undo"], row["undoNotes"]) for row in brought.rows("?undo=kept,partly")}


def change(shop: Shop, customer: Customer, **data: Any) -> None:
    update_customer(access=shop.access, customer_id=customer.pk, data=data)


def test_who_came_goes_and_what_was_changed_returns(shop: Shop, bring: Bring, make: Make) -> None:
    alice = make(
        "Alice",
        email="alice@example.com",
        phone="+442071838750",
        notes="Old",
        tags=["tea"],
        metadata={"size": "38"},
        date_of_birth=None,
        addresses=[{"street1": "1 High Street", "city": "London", "country": "GB"}],
    )
    bob = make("Bob", email="bob@example.com")
    before = Customer.objects.filter(pk=alice.pk).values().get()
    address = Address.objects.values().get()
    brought = bring(
        csv_of(
            ("E-mail", "Phone", "Notes", "Tags", "metadata.size", "Date of birth", "Street", "City", "External ID", "Store"),
            ("alice@example.com", "020 7183 8751", "New", "coffee", "39", "1990-02-03", "2 High Street", "", "crm-1", "HIGH"),
            ("carol@example.com", "", "New", "", "", "", "", "", "crm-2", ""),
            ("bob@example.com", "", "", "", "", "", "5 New Road", "York", "", ""),
        )
    )  # fmt: skip
    assert brought.run() == {"rows": 3, "updated": 2, "created": 1}
    carol = Customer.objects.get(email="carol@example.com")

    assert brought.undo() == {"undone": 3}

    after = Customer.objects.filter(pk=alice.pk).values().get()
    moved = {"version", "updated_at"}
    assert {k: v for k, v in after.items() if k not in moved} == {
        k: v for k, v in before.items() if k not in moved
    }
    assert after["version"] == before["version"] + 2
    assert {k: v for k, v in Address.objects.values().get().items() if k != "updated_at"} == {
        k: v for k, v in address.items() if k != "updated_at"
    }
    assert not ExternalId.objects.exists()
    carol.refresh_from_db()
    assert carol.erased_at is not None and carol.deleted_at is not None
    assert (carol.email, carol.email_key, carol.notes) == ("", "", "")
    assert Erasure.objects.get().customer_id == carol.pk
    assert shop.manager.get("/customers/stats").json()["data"]["total"] == 2
    assert brought.read()["state"] == "undone"
    assert Event.objects.get(type="import.undone").data == {
        "importId": brought.id, "undone": 3, "partly": 0, "kept": 0,
    }  # fmt: skip
    assert left(brought) == {}
    bob.refresh_from_db()
    assert bob.version == 3
    # And the same file can be imported again.
    assert bring(csv_of(("E-mail",), ("carol@example.com",))).run() == {"rows": 1, "created": 1}


def test_what_somebody_has_touched_since_stays_and_says_why(shop: Shop, bring: Bring, make: Make) -> None:
    create_program(merchant_id=shop.merchant.pk, name="Club")
    alice = make("Alice", email="alice@example.com", notes="Old", last_name="Archer", tags=["tea"])
    dave = make("Dave", email="dave@example.com")
    emma = make("Emma", email="emma@example.com")
    brought = bring(
        csv_of(
            ("E-mail", "Last name", "Notes", "Tags", "Newsletter"),
            ("alice@example.com", "Ashford", "New", "coffee", ""),
            ("buyer@example.com", "", "", "", ""),
            ("renamed@example.com", "", "", "", ""),
            ("dave@example.com", "Drew", "", "", "no"),
            ("emma@example.com", "East", "", "", ""),
            ("gone@example.com", "", "", "", ""),
        )
    )
    brought.run()
    people = {row.email: row for row in Customer.objects.all()}
    change(shop, alice, last_name="Adams", tags=["coffee", "tea", "cake"])
    change(shop, people["renamed@example.com"], first_name="Rae")
    take_purchase(
        access=shop.access,
        sale={
            "customer_id": people["buyer@example.com"].pk,
            "transaction_id": "T1",
            "amount": Decimal("5.00"),
        },
    )
    delete_customer(access=shop.access, customer_id=emma.pk)
    delete_customer(access=shop.access, customer_id=people["gone@example.com"].pk)

    assert brought.undo() == {"partly": 2, "kept": 4}

    touched = "Something has happened with this customer since."
    assert left(brought) == {
        2: ("partly", ["The last name was changed since."]),
        3: ("kept", [touched]),
        4: ("kept", [touched]),
        5: ("partly", ["The withdrawal of consent (email) stays."]),
        6: ("kept", ["This customer was removed since."]),
        7: ("kept", ["This customer was removed since."]),
    }
    alice.refresh_from_db()
    assert (alice.last_name, alice.notes, alice.tags) == ("Adams", "Old", ["cake", "tea"])
    dave.refresh_from_db()
    assert dave.last_name == ""
    assert not shop.manager.get(f"/customers/{dave.pk}/preferences").json()["data"]["email"]["marketing"]
    assert Customer.objects.filter(email="buyer@example.com", deleted_at=None).exists()
    people["renamed@example.com"].refresh_from_db()
    assert people["renamed@example.com"].first_name == "Rae"


def test_an_e_mail_that_somebody_has_by_now_does_not_return(shop: Shop, bring: Bring, make: Make) -> None:
    alice = make("Alice", email="old@example.com", phone="+442071838750")
    brought = bring(csv_of(("Phone", "E-mail"), ("+442071838750", "new@example.com")))
    assert brought.run() == {"rows": 1, "updated": 1}
    make("Bob", email="old@example.com")

    assert brought.undo() == {"kept": 1}

    assert left(brought) == {2: ("kept", ["Another customer has the earlier e-mail by now."])}
    alice.refresh_from_db()
    assert alice.email == "new@example.com"


def test_two_imports_of_one_customer_are_undone_in_turn(bring: Bring, make: Make) -> None:
    alice = make("Alice", email="alice@example.com", notes="0")
    first = bring(csv_of(("E-mail", "Notes"), ("alice@example.com", "1"), ("bob@example.com", "1")))
    first.run()
    second = bring(csv_of(("E-mail", "Notes"), ("alice@example.com", "2"), ("bob@example.com", "2")))
    second.run()
    assert second.undo() == {"undone": 2}
    alice.refresh_from_db()
    assert alice.notes == "1"
    # Bob has been touched: by the second import and its undo.
    assert first.undo() == {"undone": 1, "kept": 1}
    alice.refresh_from_db()
    assert alice.notes == "0"


def test_undone_once_is_undone(bring: Bring) -> None:
    brought = bring(csv_of(("E-mail",), ("a@example.com",)))
    brought.run()
    brought.undo()
    again = brought.client.post(f"{brought.path}/undo")
    assert again.status_code == 202
    assert brought.read()["undoCounts"] == {"undone": 1}
    assert Erasure.objects.count() == 1
    for step in ("check", "run"):
        assert brought.client.post(f"{brought.path}/{step}").json()["code"] == "import_not_ready"


def test_an_import_that_was_not_run_cannot_be_undone(bring: Bring) -> None:
    brought = bring(csv_of(("E-mail",), ("a@example.com",)))
    brought.check()
    response = brought.client.post(f"{brought.path}/undo")
    assert (response.status_code, response.json()["code"]) == (409, "import_not_ready")


def test_rows_keep_nothing_of_who_was_erased(shop: Shop, bring: Bring, make: Make) -> None:
    alice = make("Alice", email="alice@example.com", notes="Old")
    make("Bob", email="bob@example.com", notes="Old")
    brought = bring(
        csv_of(
            ("E-mail", "Notes"), ("alice@example.com", "New"), ("bob@example.com", "New"), ("no mail", "x")
        )
    )
    brought.run()
    shop.manager.post(f"/customers/{alice.pk}/erase", {})

    assert "alice" not in str(list(ImportRow.objects.values())) and "Old" not in str(
        ImportRow.objects.filter(customer=alice).values()
    )
    # The file, in which she stands, is gone; what failed can still be looked up, without what stood there.
    row = brought.row
    assert not row.parts.exists() and "alice" not in str(row.layout)
    assert brought.rows("?outcome=failed")[0]["problems"][0]["value"] == ""
    assert len(brought.failed().splitlines()) == 2
    assert brought.undo() == {"undone": 1, "kept": 1}
    assert left(brought) == {2: ("kept", ["This customer was erased since."])}
