"""Query parameters, pages and cursors."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloudpos.api import pagination, query
from cloudpos.tenancy.models import Store
from tests.fixtures import Shop


@pytest.fixture
def stores(shop: Shop) -> list[Store]:
    """Nine more stores, with equal names in pairs and some without a latitude."""
    return [
        Store.objects.create(
            merchant=shop.merchant,
            name=f"Store {number // 2}",
            code=f"S{number}",
            latitude=None if number % 3 == 0 else number % 4,
            created_at=datetime(2026, 3, 1 + number, 12, tzinfo=UTC),
        )
        for number in range(9)
    ]


def errors_of(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 400, response.content
    assert response.json()["code"] in ("validation_error", "invalid_cursor", "too_many_parameters")
    return [(error["field"], error["code"]) for error in response.json()["errors"]]


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["name"] for row in response.json()["data"]["stores"]]


def test_page(shop: Shop) -> None:
    response = shop.cashier.get("/stores")
    store = shop.store
    assert response.json() == {
        "success": True,
        "message": "",
        "data": {
            "stores": [
                {
                    "id": str(store.pk),
                    "name": "Corner Shop High Street",
                    "code": "HIGH",
                    "postalCode": "",
                    "latitude": None,
                    "isActive": True,
                    "createdAt": store.created_at.isoformat().replace("+00:00", "Z"),
                    "owner": "Corner Shop",
                }
            ],
            "total": 1,
            "page": 1,
            "limit": 20,
            "totalPages": 1,
            "totalIsExact": True,
            "nextCursor": None,
        },
    }


def test_one_query_tells_the_total_of_a_last_page(shop: Shop) -> None:
    shop.cashier.get("/stores")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        shop.cashier.get("/stores")
    assert len(queries) == 1


def test_pages_cover_everything_once(shop: Shop, stores: list[Store]) -> None:
    seen: list[str] = []
    for page in (1, 2, 3, 4):
        data = shop.cashier.get(f"/stores?limit=4&page={page}&sortBy=name").json()["data"]
        assert (data["total"], data["totalPages"], data["page"]) == (10, 3, page)
        seen += [row["id"] for row in data["stores"]]
    assert len(seen) == len(set(seen)) == 10


@pytest.mark.parametrize("sort_by", ["name", "createdAt", "latitude"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_cursors_walk_in_the_order_of_pages(
    shop: Shop, stores: list[Store], sort_by: str, order: str
) -> None:
    common = f"sortBy={sort_by}&sortOrder={order}"
    everything = shop.cashier.get(f"/stores?limit=100&{common}").json()["data"]["stores"]
    walked: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(10):
        data = shop.cashier.get(f"/stores?limit=3&{common}{cursor}").json()["data"]
        walked += data["stores"]
        if data["nextCursor"] is None:
            break
        cursor = f"&cursor={data['nextCursor']}"
    assert [row["id"] for row in walked] == [row["id"] for row in everything]
    assert len(walked) == 10
    latitudes = [row["latitude"] is None for row in everything]
    assert sort_by != "latitude" or latitudes == sorted(latitudes)


def test_cursor_of_another_order_or_hand_is_refused(shop: Shop, stores: list[Store]) -> None:
    cursor = shop.cashier.get("/stores?limit=3").json()["data"]["nextCursor"]
    assert shop.cashier.get(f"/stores?limit=3&cursor={cursor}").status_code == 200
    refused = [("cursor", "invalid_cursor")]
    assert errors_of(shop.cashier.get(f"/stores?cursor={cursor}&sortOrder=desc")) == refused
    assert errors_of(shop.cashier.get(f"/stores?cursor={cursor}&page=2")) == refused
    changed = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    for text in (changed, "", "x", "=", "ü", "A" * 2000, "%F0%9F%98%80"):
        assert errors_of(shop.cashier.get(f"/stores?cursor={text}")) == refused


def test_deep_pages_are_the_same_rows(shop: Shop, stores: list[Store], monkeypatch) -> None:
    plain = names(shop.cashier.get("/stores?limit=3&page=2&sortBy=latitude&query=store"))
    monkeypatch.setattr(query, "DEEP_OFFSET", 1)
    with CaptureQueriesContext(connection) as queries:
        assert names(shop.cashier.get("/stores?limit=3&page=2&sortBy=latitude&query=store")) == plain
    assert " IN (SELECT " in queries[0]["sql"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("createdFrom=2026-03-09", 2),  # the 9th, and the shop made today
        ("createdTo=2026-03-01", 1),
        ("createdFrom=2026-03-02&createdTo=2026-03-03", 2),
        ("createdTo=2026-03-01T12:00:00Z", 1),
        ("createdTo=2026-03-01T11:59:59Z", 0),
        ("createdFrom=2026-03-02T14:00:00%2B02:00&createdTo=2026-03-02T12:00:00Z", 1),
        ("createdFrom=2026-03-02T14:00:00+02:00&createdTo=2026-03-02T12:00:00Z", 1),
        ("query=STORE", 9),
        ("query=", 10),
        ("code=HIGH,LOW", 1),
        ("isActive=false", 0),
        ("latitudeMin=2.5", 1),
        ("floor=3", 10),
        ("names=Store%200,Store%201", 4),
    ],
)
def test_filters(shop: Shop, stores: list[Store], text: str, found: int) -> None:
    assert len(names(shop.cashier.get(f"/stores?{text}"))) == found


def test_a_day_is_the_stores_day(shop: Shop) -> None:
    shop.merchant.timezone = "Pacific/Auckland"
    shop.merchant.save()
    # 11:30 UTC on 28 February 2026 is half an hour into 1 March in Auckland (UTC+13).
    Store.objects.create(
        merchant=shop.merchant, name="Late", code="L", created_at=datetime(2026, 2, 28, 11, 30, tzinfo=UTC)
    )
    assert names(shop.cashier.get("/stores?createdFrom=2026-03-01&createdTo=2026-03-01")) == ["Late"]
    assert names(shop.cashier.get("/stores?createdFrom=2026-02-28&createdTo=2026-02-28")) == []


@pytest.mark.parametrize(
    ("text", "field", "code"),
    [
        ("who=1", "who", "unknown_parameter"),
        ("created_from=2026-01-01", "created_from", "unknown_parameter"),
        ("page=0", "page", "out_of_range"),
        ("page=-1", "page", "out_of_range"),
        ("page=1000000000000", "page", "out_of_range"),
        ("page=99999999999999999999999", "page", "invalid"),
        ("page=1.0", "page", "invalid"),
        ("page=", "page", "invalid"),
        ("page=%D9%A3", "page", "invalid"),
        ("page=1&page=2", "page", "repeated_parameter"),
        ("limit=0", "limit", "out_of_range"),
        ("limit=101", "limit", "out_of_range"),
        ("limit=-1", "limit", "out_of_range"),
        ("sortBy=password", "sortBy", "invalid_choice"),
        ("sortBy=-id;drop", "sortBy", "invalid_choice"),
        ("sortBy=created_at", "sortBy", "invalid_choice"),
        ("sortOrder=DESC", "sortOrder", "invalid_choice"),
        ("code=HIGH,nope", "code", "invalid_choice"),
        ("code=", "code", "invalid_choice"),
        ("isActive=1", "isActive", "invalid"),
        ("latitudeMin=1e5", "latitudeMin", "invalid"),
        ("latitudeMin=NaN", "latitudeMin", "invalid"),
        ("floor=11", "floor", "out_of_range"),
        ("storeId=5", "storeId", "invalid"),
        ("names=a,,b", "names", "invalid"),
        ("names=" + "a," * 50 + "a", "names", "max_length"),
        ("createdFrom=2026-02-30", "createdFrom", "invalid"),
        ("createdFrom=0001-01-01", "createdFrom", "invalid"),
        ("createdFrom=yesterday", "createdFrom", "invalid"),
        ("createdTo=2026-03-01T12:00:00", "createdTo", "invalid"),
        ("query=" + "x" * 21, "query", "max_length"),
    ],
)
def test_refused(shop: Shop, text: str, field: str, code: str) -> None:
    assert errors_of(shop.cashier.get(f"/stores?{text}")) == [(field, code)]


def test_all_mistakes_at_once(shop: Shop) -> None:
    assert errors_of(shop.cashier.get("/stores?page=x&who=1&isActive=maybe")) == [
        ("page", "invalid"),
        ("who", "unknown_parameter"),
        ("isActive", "invalid"),
    ]


def test_too_many(shop: Shop) -> None:
    assert errors_of(shop.cashier.get("/stores?" + "&".join(f"a{number}=1" for number in range(200)))) == []


def test_routes_without_parameters(shop: Shop) -> None:
    assert shop.cashier.get("/echo").status_code == 200
    assert errors_of(shop.cashier.get("/echo?page=1")) == [("page", "unknown_parameter")]


def test_filters_are_not_copied_for_a_request(shop: Shop, monkeypatch) -> None:
    import copy

    shop.cashier.get("/stores?query=x")
    monkeypatch.setattr(copy, "deepcopy", lambda *args: pytest.fail("copied"))
    assert shop.cashier.get("/stores?query=x&isActive=true").status_code == 200


def test_values_of_json() -> None:
    cursor = pagination.encode_cursor("a", [None, "é", datetime(2026, 1, 1, tzinfo=UTC)])
    assert pagination.decode_cursor("a", cursor) == [None, "é", "2026-01-01T00:00:00Z"]


def test_json_values(shop: Shop) -> None:
    body = shop.cashier.get("/echo").json()["data"]
    assert body["uuid"] == "00000000-0000-0000-0000-000000000001"
    assert body["money"] == "12.50"
    assert body["at"].endswith("Z")
    assert body["ü"] == "€"
