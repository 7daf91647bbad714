"""Row shapes: tuples in, dicts of outside names out."""

import pytest
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.utils import timezone

from cloudpos.api.encoding import encode
from cloudpos.api.models import IdempotencyRecord
from cloudpos.api.rendering import Column, RowShape

RECORD = RowShape(
    "Record",
    [
        "status",
        "created_at",
        Column("path", "where", convert=str.upper),
        Column("label", expression=Concat(F("method"), Value(" "), F("path"))),
        Column.json("headers"),
        Column("subject", convert=lambda value: value or None),
    ],
    model=IdempotencyRecord,
)
KEPT = {"free_key": [1.50, {"a_b": None}], "é": "\u00e9"}


@pytest.fixture
def record(shop) -> IdempotencyRecord:
    return IdempotencyRecord.objects.create(
        merchant_id=shop.merchant.pk,
        method="POST",
        path="/a",
        key="k",
        body_hash=b"",
        status=201,
        body=b"",
        headers=KEPT,
        created_at=timezone.now(),
    )


@pytest.mark.django_db
def test_rows(record: IdempotencyRecord, django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        (row,) = RECORD.rows(IdempotencyRecord.objects.all())
    assert encode(row).decode() == (
        f'{{"status":201,"createdAt":"{record.created_at.isoformat().replace("+00:00", "Z")}","where":"/A",'
        f'"label":"POST /a","headers":{{"é": "é", "free_key": [1.5, {{"a_b": null}}]}},"subject":null}}'
    )


@pytest.mark.django_db
def test_further_columns_are_not_shown(record: IdempotencyRecord) -> None:
    values = RECORD.values(IdempotencyRecord.objects.all(), ["key", "status"])
    assert values[0][-2:] == ("k", 201)
    assert list(RECORD.render(values)[0]) == list(RECORD.names)


@pytest.mark.django_db
def test_one(record: IdempotencyRecord) -> None:
    assert RECORD.one(IdempotencyRecord.objects.filter(status=201))["status"] == 201
    assert RECORD.one(IdempotencyRecord.objects.filter(status=404)) is None


@pytest.mark.django_db
def test_instance(record: IdempotencyRecord, django_assert_num_queries) -> None:
    shape = RowShape("Plain", ["status", Column("path", "where", convert=str.upper), Column.json("headers")])
    with django_assert_num_queries(0):
        row = shape.instance(record)
    assert (
        encode(row).decode()
        == '{"status":201,"where":"/A","headers":{"free_key":[1.5,{"a_b":null}],"é":"é"}}'
    )


def test_a_name_is_used_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        RowShape("Twice", ["created_at", Column("updated_at", "createdAt")])
