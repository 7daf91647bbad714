"""The customers as a file: who is in it, what stands there, and that it can be imported again as it is."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from cloudpos.exports.customers import COLUMNS
from customers.imports.fields import guess
from customers.models import Customer, ExternalId
from customers.services import create_customer, record_consent
from tests.customers.imports.conftest import answer, upload
from tests.exports.conftest import Export
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

AWKWARD: dict[str, Any] = {
    "first_name": "=HYPERLINK(1)",
    "last_name": 'O\'Neill; "Jr"',
    "email": "awkward@example.com",
    "phone": "+442071838750",
    "date_of_birth": date(1971, 3, 14),
    "gender": "female",
    "language": "de",
    "tags": ["wine", "@home"],
    "notes": "-2 steps,\nthen <b>left</b>",
    "metadata": {"shoe_size": 42, "colour": "=red", "likes": ["a", "b"], "vip": True},
    "address": {
        "street1": "1 High Street",
        "street2": "+1",
        "city": "Bath",
        "postal_code": "BA1 1AA",
        "country": "GB",
    },
}


@pytest.fixture
def awkward(shop: Shop) -> Customer:
    made = create_customer(access=shop.access, data={**AWKWARD, "home_store_id": shop.store.pk})
    ExternalId.objects.create(merchant=shop.merchant, customer=made, external_id="shop-0017")
    for state in ("granted", "withdrawn"):
        record_consent(
            access=shop.access,
            customer_id=made.pk,
            data={
                "channel": "sms",
                "purpose": "marketing",
                "state": state,
                "source": "till",
                "occurred_at": datetime(2026, 1, 2 if state == "withdrawn" else 1, 12, tzinfo=UTC),
            },
        )
    return made


def test_everything_that_is_known_and_nothing_that_runs(awkward: Customer, export: Export) -> None:
    (row,) = export().rows()
    named = {name: row[name] for name in list(row) if row[name]}
    assert {
        "Customer number": awkward.customer_number,
        "External ID": "shop-0017",
        "First name": "'=HYPERLINK(1)",
        "Last name": 'O\'Neill; "Jr"',
        "E-mail": "awkward@example.com",
        "Phone": "'+442071838750",
        "Date of birth": "1971-03-14",
        "Tags": "'@home, wine",
        "Notes": "'-2 steps,\nthen <b>left</b>",
        "Home store": "HIGH",
        "Street": "1 High Street",
        "Street 2": "'+1",
        "Country": "GB",
        "SMS marketing": "no",
        "SMS marketing since": "2026-01-02T12:00:00+00:00",
        "Points": "0",
        "Total spent": "0.00",
        "Lifecycle segment": "new",
        "metadata.colour": "'=red",
        "metadata.shoe_size": "42",
        "metadata.vip": "true",
    }.items() <= named.items()
    # Nothing was ever said of it.
    assert row["E-mail marketing"] == ""
    assert list(row)[-4:] == ["metadata.colour", "metadata.likes", "metadata.shoe_size", "metadata.vip"]


def test_a_spreadsheet_has_values_of_their_kind(awkward: Customer, export: Export) -> None:
    Customer.objects.filter(pk=awkward.pk).update(
        total_spent=Decimal("12.50"), points=7, last_visit_at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    )
    names = [
        "firstName",
        "phone",
        "customerNumber",
        "dateOfBirth",
        "totalSpent",
        "points",
        "lastVisitAt",
        "notes",
    ]
    sheet = export(format="xlsx", columns=names).book()["Customers"]
    head, row = sheet.iter_rows()
    assert [cell.value for cell in head] == [COLUMNS[name].title for name in names]
    assert [cell.value for cell in row] == [
        "=HYPERLINK(1)",
        "+442071838750",
        awkward.customer_number,
        datetime(1971, 3, 14),
        12.5,
        7,
        # As a clock in London showed it.
        datetime(2026, 7, 1, 23, 30),
        AWKWARD["notes"],
    ]
    # A text is one, also when somebody edits it.
    first, phone, number, *_ = row
    assert (first.data_type, phone.data_type, number.data_type) == ("s", "s", "s")
    assert first.quotePrefix and phone.quotePrefix and not number.quotePrefix
    assert {cell.number_format for cell in (first, phone, number)} == {"@"}
    assert sheet.freeze_panes == "A2"


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_it_can_be_imported_again_as_it_is(
    shop: Shop, awkward: Customer, export: Export, format: str
) -> None:
    create_customer(access=shop.access, data={"company_name": "Acme", "type": "business", "tax_id": "007"})
    content = export(format=format).bytes()
    brought = upload(shop.manager, content, name=f"customers.{format}")
    answer(shop.manager.post(f"{brought.path}/uploaded"))
    assert brought.check() == {"rows": 2, "unchanged": 2}, brought.problems()


def test_its_columns_are_taken_for_what_they_are() -> None:
    assert {name: guess(column.title) for name, column in COLUMNS.items()} == {
        name: column.target for name, column in COLUMNS.items()
    }


def test_an_own_field_that_is_changed_in_the_file_is_changed(
    shop: Shop, awkward: Customer, export: Export
) -> None:
    content = export(columns=["customerNumber", "metadata"]).bytes()
    brought = upload(shop.manager, content.replace(b",42,", b",43,"))
    answer(shop.manager.post(f"{brought.path}/uploaded"))
    assert brought.run() == {"rows": 1, "updated": 1}
    awkward.refresh_from_db()
    assert awkward.metadata == {**AWKWARD["metadata"], "shoe_size": "43"}


FILTERS: list[dict[str, Any]] = [
    {},
    {"query": "ann"},
    {"query": "100% ann"},
    {"tags": ["wine", "red"], "tagsMode": "any"},
    {"status": "inactive", "sortBy": "name", "sortOrder": "desc"},
    {"totalSpentMin": "10", "sortBy": "totalSpent", "sortOrder": "asc"},
    {"hasEmail": False},
    {"createdFrom": "2026-03-01", "createdTo": "2026-03-31"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_it_holds_whom_the_list_shows(shop: Shop, export: Export, filters: dict[str, Any]) -> None:
    for number, name in enumerate(("Ann", "Anna", "Bob", "Cid")):
        made = create_customer(
            access=shop.access,
            data={"first_name": name, "tags": ["wine"] * (number % 2) + ["red"] * (name == "Cid")},
        )
        Customer.objects.filter(pk=made.pk).update(
            total_spent=number * 7,
            status="inactive" if number > 1 else "active",
            created_at=datetime(2026, 3, 1 + 10 * number, tzinfo=UTC),
        )
    text = {
        name: ",".join(value) if isinstance(value, list) else str(value).lower() if value is False else value
        for name, value in filters.items()
    }
    listed = shop.manager.get("/customers", text).json()["data"]["customers"]
    rows = export(filters=filters, columns=["customerNumber"]).rows()
    assert [row["Customer number"] for row in rows] == [customer["customerNumber"] for customer in listed]


def test_the_members_of_a_segment(shop: Shop, export: Export) -> None:
    ann, bob = (create_customer(access=shop.access, data={"first_name": name}) for name in ("Ann", "Bob"))
    segment = shop.manager.post("/segments", {"name": "Friends", "kind": "list"}).json()["data"]["id"]
    shop.manager.post(f"/segments/{segment}/members", {"customerIds": [str(bob.pk)]})
    (row,) = export(filters={"segmentId": segment}, columns=["firstName", "enteredSegmentAt"]).rows()
    assert row["First name"] == "Bob" and row["Member of the segment since"]
    (row,) = export(filters={"segmentId": segment, "query": "bob"}, columns=["firstName"]).rows()
    assert export(filters={"segmentId": segment, "query": "ann"}, columns=["firstName"]).rows() == []


def test_no_other_merchants_customers(shop: Shop, foreign_shop: Shop, export: Export) -> None:
    create_customer(access=shop.access, data={"first_name": "Ann"})
    create_customer(access=foreign_shop.access, data={"first_name": "Stranger"})
    assert [row["First name"] for row in export().rows()] == ["Ann"]
    theirs = foreign_shop.manager.post("/segments", {"name": "Theirs", "kind": "list"}).json()["data"]["id"]
    for nobodys in (theirs, str(uuid.uuid4())):
        refused = shop.manager.post("/exports", {"kind": "customers", "filters": {"segmentId": nobodys}})
        assert (refused.status_code, refused.json()["code"]) == (404, "segment_not_found")
