"""What columns are taken for, and what people may choose instead."""

from typing import Any

import pytest

from customers.imports.fields import guess, is_target, metadata_name
from customers.imports.values import Unreadable, order_of_days, read_day, split_name
from tests.customers.imports.conftest import Bring, csv_of
from tests.fixtures import Shop


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ("E-Mail", "email"),
        ("e_mail address", "email"),
        ("Vorname", "firstName"),
        ("PRÉNOM", "firstName"),
        ("phone number", "phone"),
        ("Teléfono móvil", "phone"),
        ("Handy", "phone"),
        ("Kunden-Nr.", "customerNumber"),
        ("PLZ", "address.postalCode"),
        ("Straße", "address.street1"),
        ("Billing City", "address.city"),
        ("Accepts Email Marketing", "consent.email"),
        ("metadata.shoe size", "metadata.shoe size"),
        ("address.street1", "address.street1"),
        ("Lieblingsfarbe", None),
        ("", None),
    ],
)
def test_names_in_several_languages(header: str, target: str | None) -> None:
    assert guess(header) == target


def test_own_fields() -> None:
    assert (
        metadata_name("Größe (cm)") == "metadata.grosse_cm"
        or metadata_name("Größe (cm)") == "metadata.gro_e_cm"
    )
    assert metadata_name("鞋") == ""
    assert is_target("metadata.shoe_size") and not is_target("metadata.") and not is_target("metadata.\x00")
    assert not is_target("merchant_id") and not is_target("points")


@pytest.mark.parametrize(
    ("texts", "country", "order", "noted"),
    [
        (["31.12.1990"], "US", "dmy", False),
        (["12/31/1990"], "GB", "mdy", False),
        (["1990-12-31"], "GB", "ymd", False),
        (["01/02/1990"], "GB", "dmy", True),
        (["01/02/1990"], "US", "mdy", True),
        (["31/12/1990", "12/31/1990"], "GB", "dmy", True),
        ([], "GB", "ymd", False),
    ],
)
def test_order_of_days(texts: list[str], country: str, order: str, noted: bool) -> None:
    found, note = order_of_days(texts, country=country)
    assert (found, bool(note)) == (order, noted)


def test_days() -> None:
    assert str(read_day("3.2.1990", "dmy")) == "1990-02-03"
    assert str(read_day("02/03/1990", "mdy")) == "1990-02-03"
    assert str(read_day("1990-02-03 00:00:00", "dmy")) == "1990-02-03"
    assert str(read_day("19900203", "dmy")) == "1990-02-03"
    for text, code in (("3.2.90", "year_too_short"), ("31.2.1990", "invalid_date"), ("soon", "invalid_date")):
        with pytest.raises(Unreadable) as wrong:
            read_day(text, "dmy")
        assert wrong.value.code == code


def test_whole_names() -> None:
    assert split_name("Anna Maria Berg") == ("Anna Maria", "Berg")
    assert split_name("Berg, Anna") == ("Anna", "Berg")
    assert split_name("Cher") == ("Cher", "")


@pytest.mark.django_db
def test_guessed_and_shown(bring: Bring) -> None:
    brought = bring(
        csv_of(
            ("E-Mail", "Vorname", "Geburtsdatum", "Schuhgröße", "E-Mail 2"),
            ("a@example.com", "Ann", "01.02.1990", 38, "x"),
            ("b@example.com", "", "03.04.1991", 44, "y"),
        )
    )
    shown = brought.read()
    assert [column["field"] for column in shown["columns"]] == [
        "email",
        "firstName",
        "dateOfBirth",
        None,
        None,
    ]
    assert shown["columns"][0] == {
        "index": 0,
        "header": "E-Mail",
        "samples": ["a@example.com", "b@example.com"],
        "field": "email",
        "title": "E-mail",
        "suggestion": "metadata.e_mail",
    }
    assert shown["columns"][1]["samples"] == ["Ann"]
    assert shown["settings"] == {
        "mode": "both",
        "matchBy": ["email"],
        "emptyCells": "keep",
        "dayOrder": "dmy",
        "phoneCountry": "GB",
        "hasHeader": True,
        "addTags": [],
        "consentSource": "",
        "consentWording": "",
    }
    assert "day first" in shown["layout"]["dayNote"]
    assert shown["state"] == "uploaded"


@pytest.mark.django_db
def test_what_was_chosen_stays(bring: Bring) -> None:
    brought = bring(csv_of(("E-mail", "Size"), ("a@example.com", 38)))
    brought.fields("email", "metadata.size")
    brought.set(mode="update", matchBy=["email"], addTags=["Spring"], phoneCountry="de")
    shown = brought.read()
    assert [column["field"] for column in shown["columns"]] == ["email", "metadata.size"]
    assert shown["settings"]["mode"] == "update"
    assert (shown["settings"]["addTags"], shown["settings"]["phoneCountry"]) == (["Spring"], "DE")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"columns": [{"index": 0, "field": "points"}]}, "columns.0.field", "invalid_choice"),
        ({"columns": [{"index": 1, "field": "email"}]}, "columns.1.field", "field_twice"),
        ({"columns": [{"index": 9, "field": "email"}]}, "columns", "column_count"),
        ({"columns": [{"index": 0, "field": None}, {"index": 1, "field": None}]}, "columns", "required"),
        ({"columns": [{"index": 0, "field": None}]}, "matchBy", "key_not_mapped"),
        ({"columns": [{"index": 0, "field": None}] * 2}, "columns.1.index", "repeated_column"),
        ({"matchBy": ["phone"]}, "matchBy", "key_not_mapped"),
        ({"matchBy": []}, "matchBy", "empty"),
        ({"mode": "replace"}, "mode", "invalid_choice"),
        ({"sheet": "Sheet2"}, "sheet", "invalid_choice"),
        ({"encoding": "utf-7"}, "encoding", "invalid_choice"),
    ],
)
def test_what_cannot_be_chosen(bring: Bring, changes: dict[str, Any], field: str, code: str) -> None:
    brought = bring(csv_of(("E-mail", "First name"), ("a@example.com", "Ann")))
    response = brought.client.patch(f"{brought.path}/settings", changes)
    assert response.status_code == 400
    assert (field, code) in [(error["field"], error["code"]) for error in response.json()["errors"]]
    assert brought.read()["columns"][0]["field"] == "email"


@pytest.mark.django_db
def test_the_catalogue_of_fields(shop: Shop) -> None:
    fields = shop.manager.get("/imports/fields").json()["data"]["fields"]
    assert {"name": "email", "title": "E-mail", "group": "Customer", "note": ""} in fields
    assert len({field["name"] for field in fields}) == len(fields) > 25
