"""The input layer: names, strictness, paths of errors, one bound instance for all threads."""

import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from rest_framework.exceptions import ValidationError

from cloudpos.api.errors import flatten
from cloudpos.api.serializers import CamelSerializer, CleanCharField, StrictIntegerField
from tests.api.sample import EverythingInput
from tests.fixtures import Shop

ALICE = {"firstName": "Alice"}


def parse(**fields: Any) -> dict[str, Any]:
    values = EverythingInput.parse({**ALICE, **fields})
    del values["first_name"]
    if values.get("kind") == "individual":
        del values["kind"]
    return values


def errors_of(body: Any, **options: Any) -> list[tuple[str | None, str]]:
    with pytest.raises(ValidationError) as caught:
        EverythingInput.parse(body, **options)
    return [(error.field, error.code) for error in flatten(caught.value.detail)]


def test_names_and_values() -> None:
    assert parse(
        kind="business",
        totalSpent="12.50",
        isDefault=True,
        storeId="0190A000-0000-7000-8000-000000000001",
        bornOn="1990-02-28",
        occurredAt="2026-01-31T10:00:00.5+02:00",
        metadata={"freeName": 1, "other_name": {"x_y": None}},
        tags=["vip", " b2b "],
        address={"postalCode": "N1 9GU"},
        lineItems=[{"sku": "A", "quantity": "0.750", "unitPrice": 3}],
    ) == {
        "kind": "business",
        "total_spent": Decimal("12.50"),
        "is_default": True,
        "store_id": UUID("0190a000-0000-7000-8000-000000000001"),
        "born_on": date(1990, 2, 28),
        "occurred_at": datetime(2026, 1, 31, 8, 0, 0, 500000, UTC),
        "metadata": {"freeName": 1, "other_name": {"x_y": None}},
        "tags": ["vip", "b2b"],
        "address": {"postal_code": "N1 9GU"},
        "line_items": [{"sku": "A", "quantity": Decimal("0.750"), "unit_price": Decimal("3.00")}],
    }


def test_required_defaults_and_partial() -> None:
    assert errors_of({}) == [("firstName", "required")]
    assert EverythingInput.parse(ALICE) == {"first_name": "Alice", "kind": "individual"}
    assert EverythingInput.parse({}, partial=True) == {}
    assert EverythingInput.parse({"totalSpent": None}, partial=True) == {"total_spent": None}
    assert errors_of({"firstName": None}, partial=True) == [("firstName", "null")]


def test_unknown_names_are_refused_and_given_ones_ignored() -> None:
    assert errors_of({**ALICE, "balance": 9, "first_name": "x"}) == [
        ("balance", "unknown_field"),
        ("first_name", "unknown_field"),
    ]
    assert errors_of({**ALICE, "address": {"postalCode": "1", "merchant": 1}}) == [
        ("address.merchant", "unknown_field")
    ]
    assert parse(id="x", createdAt=5, version=True) == {}


def test_paths() -> None:
    good = {"sku": "A", "quantity": 1, "unitPrice": "1"}
    assert errors_of(
        {
            **ALICE,
            "address": {"postalCode": 5},
            "tags": ["ok", "far too long a tag"],
            "lineItems": [good, {**good, "quantity": 0}, 7],
        }
    ) == [
        ("address.postalCode", "invalid"),
        ("tags.1", "max_length"),
        ("lineItems.1.quantity", "min_value"),
        ("lineItems.2", "invalid"),
    ]


@pytest.mark.parametrize("body", [[], "x", 5, True, [ALICE]])
def test_a_body_that_is_no_object(body: Any) -> None:
    assert errors_of(body) == [(None, "invalid")]


def test_null_body() -> None:
    assert errors_of(None) == [(None, "null")]


def test_hooks() -> None:
    assert errors_of({"firstName": "root"}) == [("firstName", "taken")]
    assert errors_of({**ALICE, "points": 4}) == [(None, "unlucky")]
    assert errors_of(ALICE, context={"closed": True}) == [("firstName", "invalid")]
    assert EverythingInput.parse(ALICE)["first_name"] == "Alice"
    assert EverythingInput.bound().context == {}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("points", [True, "100", 1.5, "", [], {}, 2**31, -6, 1e300, None]),
        ("isDefault", ["true", 1, 0, "", None, []]),
        (
            "totalSpent",
            [
                "12.345",
                12.345,
                "1e3",
                "NaN",
                "Infinity",
                "-1",
                -0.01,
                True,
                "",
                "12,50",
                "٣",
                "1" * 11,
                1e10,
                10**10,
                [],
            ],
        ),
        ("change", ["--1", "+1", "1.", ".5", " 1"]),
        ("latitude", ["5", 90.1, -91, True, None]),
        ("storeId", ["0190a00000007000800000000000001", 5, "{0190a000-0000-7000-8000-000000000001}", "", []]),
        ("kind", ["person", "", 1, None, [], {}]),
        (
            "bornOn",
            ["1990-2-1", "1990-02-30", "19900201", "1990-02-01T00:00:00Z", 5, "0001-01-01", "9999-12-31", ""],
        ),
        (
            "occurredAt",
            [
                "2026-01-31",
                "2026-01-31T10:00:00",
                "2026-W05-6T10:00:00Z",
                5,
                "",
                "2026-01-31T25:00:00Z",
                "0001-01-01T00:00:00+14:00",
                "2026-01-31T10:00:00+99:00",
                "²026-01-31T10:00:00Z",
            ],
        ),
        ("metadata", [[], "x", 5, None, {"a": "x" * 16_384}]),
        ("tags", ["a", {"a": 1}, ["a", "b", "c", "d"], [1], [None], [""], [[]], None]),
        ("address", ["x", [], {}, None, {"postalCode": "x" * 21}]),
        ("lineItems", [{}, "x", None, [{"sku": "A", "quantity": 1, "unitPrice": 1}] * 5, [None]]),
        ("firstName", ["", "  ", "\u200b", 5, True, [], {}, None, "x" * 21, "a\x00b", "a\ud800"]),
    ],
)
def test_refused(field: str, values: list[Any]) -> None:
    for value in values:
        found = errors_of({**ALICE, field: value})
        assert found, value
        assert all((path or "").split(".")[0] == field for path, _ in found), (value, found)


@pytest.mark.parametrize(
    ("field", "value", "inside"),
    [
        ("points", 3.0, 3),
        ("points", -5, -5),
        ("totalSpent", 12, Decimal("12.00")),
        ("totalSpent", 12.1, Decimal("12.10")),
        ("totalSpent", "0012.500", Decimal("12.50")),
        ("totalSpent", "-0", Decimal("0.00")),
        ("totalSpent", 1e-2, Decimal("0.01")),
        ("change", "-3.99", Decimal("-3.99")),
        ("latitude", -90, -90.0),
        ("occurredAt", "2026-01-31t10:00:00z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("metadata", {}, {}),
        ("notes", "", ""),
        ("notes", "two\r\nlines\u2028three", "two\nlines\nthree"),
    ],
)
def test_accepted(field: str, value: Any, inside: Any) -> None:
    (found,) = parse(**{field: value}).values()
    assert found == inside
    assert str(found) == str(inside)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("  Alice ", "Alice"),
        ("Ame\u0301lie", "Am\u00e9lie"),
        ("evil\u202etxt", "eviltxt"),
        ("a\u2066b\u2069\u200f\u061c", "ab"),
        ("a\ufeffb\u200b", "ab"),
        ("a\r\nBcc: b", "a Bcc: b"),
        ("tab\there", "tab here"),
        ("bell\u0007", "bell"),
        ("Zoë 😀", "Zoë 😀"),
        # Joiners belong to names in Persian and to emoji.
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_cleaning(sent: str, kept: str) -> None:
    assert EverythingInput.parse({"firstName": sent})["first_name"] == kept


def test_secrets_are_left_as_they_are() -> None:
    class Login(CamelSerializer):
        password = CleanCharField(trim_whitespace=False)

    assert Login.parse({"password": "  pa\u202ess "})["password"] == "  pa\u202ess "


def test_inheritance_keeps_names_and_can_drop_fields() -> None:
    class Base(CamelSerializer):
        first_name = CleanCharField()
        last_name = CleanCharField()

    class Child(Base):
        last_name = None
        first_name = StrictIntegerField()

    assert list(Base.bound().fields) == ["firstName", "lastName"]
    assert Child.parse({"firstName": 3}) == {"first_name": 3}


def test_one_instance_serves_all_threads_without_mixing_their_contexts() -> None:
    assert EverythingInput.bound() is EverythingInput.bound()
    outcomes: list[bool] = []

    def work(closed: bool) -> None:
        for _ in range(200):
            try:
                EverythingInput.parse(ALICE, context={"closed": closed})
                outcomes.append(not closed)
            except ValidationError:
                outcomes.append(closed)

    threads = [threading.Thread(target=work, args=(number % 2 == 0,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 800


def test_through_http(shop: Shop) -> None:
    response = shop.cashier.post("/echo", {"firstName": "Alice", "totalSpent": 1.5, "metadata": {"a_b": 1}})
    assert response.json() == {
        "success": True,
        "data": {"first_name": "Alice", "kind": "individual", "total_spent": "1.50", "metadata": {"a_b": 1}},
        "message": "",
    }
    response = shop.cashier.post("/echo", {"firstName": "", "who": 1})
    assert response.status_code == 400
    body = response.json()
    del body["requestId"]
    assert body == {
        "success": False,
        "message": "Please correct the marked fields.",
        "code": "validation_error",
        "errors": [
            {"field": "firstName", "message": "This field may not be blank.", "code": "blank"},
            {"field": "who", "message": "This field is not known here.", "code": "unknown_field"},
        ],
    }
