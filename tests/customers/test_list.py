"""GET /customers: every search parameter."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloudpos.tenancy.models import Store
from customers import list_plans, listing
from customers.models import Customer
from customers.services import hide_customer, lock_customer, write_standing
from tests.customers.conftest import Make, statements
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def found(shop: Shop, **parameters: Any) -> list[str]:
    """First names, in the order of the answer; the total must agree."""
    response = shop.cashier.get("/customers", parameters)
    assert response.status_code == 200, response.content
    data = response.json()["data"]
    names = [row["firstName"] for row in data["customers"]]
    if (
        len(names) < int(parameters.get("limit", 20))
        and "page" not in parameters
        and "cursor" not in parameters
    ):
        assert (data["total"], data["totalIsExact"], data["nextCursor"]) == (len(names), True, None)
    return names


def refused(shop: Shop, query: str) -> dict[str, str]:
    response = shop.cashier.get(f"/customers?{query}")
    assert response.status_code == 400, response.content
    return {error["field"]: error["code"] for error in response.json()["errors"]}


def at(customer: Customer, moment: str) -> None:
    """Pretend that the customer was created then."""
    Customer.objects.filter(pk=customer.pk).update(created_at=datetime.fromisoformat(moment))


def test_the_envelope_of_a_page(shop: Shop, alice: Customer, bob: Customer) -> None:
    body = shop.cashier.get("/customers", {"limit": 1}).json()
    cursor = body["data"]["nextCursor"]
    assert body == {
        "success": True,
        "data": {
            "customers": [shop.cashier.get(f"/customers/{bob.pk}").json()["data"]],
            "total": 2,
            "page": 1,
            "limit": 1,
            "totalPages": 2,
            "totalIsExact": True,
            "nextCursor": cursor,
        },
        "message": "",
    }
    assert isinstance(cursor, str)


@pytest.mark.parametrize(
    "query", ["", "tier=gold,silver&status=active", "query=ali", "hasEmail=true&tags=vip", "limit=1&page=2"]
)
def test_page_and_total_are_one_query(shop: Shop, make: Make, query: str) -> None:
    for name in ("Alice", "Alina"):
        write_standing(make(name, email=f"{name}@example.com", tags=["vip"]), tier="gold")
    # What is rare among how many is found out once.
    shop.cashier.get(f"/customers?{query}")
    make("Alix", email="alix@example.com", tags=["vip"])
    with statements(exactly=1):
        response = shop.cashier.get(f"/customers?{query}")
    assert response.json()["data"]["total"] == (2 if "tier" in query else 3)


def test_nobody_takes_one_query(shop: Shop, alice: Customer) -> None:
    # How large the merchant is.
    shop.cashier.get("/customers?query=a")
    for query in ("tier=gold", "query=zzz", "hasPhone=false"):
        with statements(exactly=1):
            assert shop.cashier.get(f"/customers?{query}").json()["data"]["customers"] == []


def test_only_ones_own_and_visible(shop: Shop, alice: Customer, bob: Customer, mallory: Customer) -> None:
    assert found(shop) == ["Bob", "Alice"]
    row = lock_customer(merchant_id=shop.merchant.pk, customer_id=bob.pk)
    hide_customer(row, merged_into=alice)
    for parameters in ({}, {"query": "a"}, {"hasEmail": "true"}, {"status": "active"}):
        assert found(shop, **parameters) == ["Alice"]


# --- query --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "zoë",
        "ZOE",
        "zo",
        "neil",
        "o'neil",
        "O’Neil zoe",
        "neil zo",
        "garcía",
        "lopez gar",
        "García-López",
        "archer & sons",
        "sons",
        "zoe.oneil@example.com",
        "ZOE.ONEIL@EX",
        "oneil",
        "strasse",
        "zoe 8750",
    ],
)
def test_words_in_any_order_by_their_beginnings(shop: Shop, make: Make, query: str) -> None:
    make("Bob", last_name="Baker", email="bob@example.com", phone="+442079460000")
    make(
        "Zoë",
        last_name="O’Neil García-López",
        company_name="Archer & Sons Straße",
        email="Zoe.ONeil@Example.com",
        phone="+442071838750",
    )
    assert found(shop, query=query) == ["Zoë"]


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ("8750", True),
        ("1838750", True),
        ("+442071838750", True),
        ("020 7183 8750", True),
        ("(020) 7183-8750", True),
        ("442071", True),
        ("7183", True),
        ("750", False),
        ("8751", False),
        ("0044", False),
    ],
)
def test_four_digits_of_a_phone_match_anywhere_to_the_end(
    shop: Shop, alice: Customer, query: str, finds: bool
) -> None:
    number = alice.customer_number
    assume = query not in number
    assert found(shop, query=query) == (["Alice"] if finds or not assume else [])


@pytest.mark.parametrize("query", ["0460", "0012", "00120460", "079 0012 0460"])
def test_digits_of_a_phone_may_begin_with_zero(shop: Shop, make: Make, query: str) -> None:
    make("Alice", phone="+447900120460")
    make("Bob", phone="+447911123461")
    assert found(shop, query=query) == ["Alice"]


def test_a_customer_number_from_its_start(shop: Shop, alice: Customer, bob: Customer) -> None:
    assert found(shop, query=alice.customer_number) == ["Alice"]
    assert "Alice" in found(shop, query=alice.customer_number[:6])


@pytest.mark.parametrize("query", ["!!!", "&", "':*", "\\", "a:* | b", "<->", "%", "☃", "x" * 200])
def test_signs_are_no_operators(shop: Shop, alice: Customer, query: str) -> None:
    assert found(shop, query=query) == []


def test_an_empty_query_is_none(shop: Shop, alice: Customer) -> None:
    assert found(shop, query="") == ["Alice"]


def test_another_merchants_words_are_not_searched(shop: Shop, alice: Customer, mallory: Customer) -> None:
    assert found(shop, query="mallory") == []
    # Even with the same key: rows are filtered by merchant as well.
    shop.merchant.__class__.objects.update(search_key="00000000")
    from cloudpos.tenancy.access import forget_access

    forget_access()
    assert found(shop, query="mallory") == []


# --- columns ------------------------------------------------------------------------------------------------


def test_status_type_segment_and_tier(shop: Shop, make: Make) -> None:
    make("Ann", status="suspended")
    make("Ben", type="business", company_name="Ben Ltd", status="inactive")
    write_standing(make("Cat"), segment="vip", tier="gold")
    write_standing(make("Dan"), segment="at_risk", tier="silver")
    assert found(shop, status="suspended") == ["Ann"]
    assert found(shop, status="suspended,inactive") == ["Ben", "Ann"]
    assert found(shop, type="business") == ["Ben"]
    assert found(shop, segment="vip,at_risk") == ["Dan", "Cat"]
    assert found(shop, tier="gold") == ["Cat"]
    assert found(shop, tier="gold,silver", segment="at_risk") == ["Dan"]
    assert found(shop, tier="gold", status="suspended") == []


def test_tags(shop: Shop, make: Make) -> None:
    make("Ann", tags=["VIP", "Wholesale"])
    make("Ben", tags=["vip"])
    make("Cat", tags=["vipers", "it's"])
    assert found(shop, tags="vip") == ["Ben", "Ann"]
    assert found(shop, tags="Wholesale, VIP") == ["Ann"]
    assert found(shop, tags="wholesale,vipers", tagsMode="any") == ["Cat", "Ann"]
    assert found(shop, tags="vip", tagsMode="all") == ["Ben", "Ann"]
    assert found(shop, tags="it's") == ["Cat"]
    assert found(shop, tags="vi") == []


def test_created_days_are_whole_days_in_the_stores_zone(shop: Shop, make: Make) -> None:
    # British summer time: midnight in London is 23:00 UTC.
    at(make("Ann"), "2026-06-09T22:59:59.999999+00:00")
    at(make("Ben"), "2026-06-09T23:00:00+00:00")
    at(make("Cat"), "2026-06-10T22:59:59.999999+00:00")
    at(make("Dan"), "2026-06-10T23:00:00+00:00")
    assert found(shop, createdFrom="2026-06-10", createdTo="2026-06-10") == ["Cat", "Ben"]
    assert found(shop, createdTo="2026-06-09") == ["Ann"]
    assert found(shop, createdFrom="2026-06-11") == ["Dan"]
    assert found(shop, createdFrom="2026-06-09T23:00:00Z", createdTo="2026-06-10T22:00:00Z") == ["Ben"]
    assert found(shop, createdFrom="2026-06-11", createdTo="2026-06-10") == []


def test_last_visit(shop: Shop, make: Make) -> None:
    write_standing(make("Ann"), last_visit_at=datetime(2026, 1, 10, 12, tzinfo=UTC))
    write_standing(make("Ben"), last_visit_at=datetime(2026, 2, 10, 12, tzinfo=UTC))
    make("Never")
    assert found(shop, lastVisitFrom="2026-01-10", lastVisitTo="2026-01-31") == ["Ann"]
    assert found(shop, lastVisitTo="2026-12-31") == ["Ben", "Ann"]


def test_total_spent(shop: Shop, make: Make) -> None:
    for name, spent in (("Ann", "9.99"), ("Ben", "10.00"), ("Cat", "20.00"), ("Dan", "20.01")):
        write_standing(make(name), total_spent=Decimal(spent))
    assert found(shop, totalSpentMin="10", totalSpentMax="20.00") == ["Cat", "Ben"]
    assert found(shop, totalSpentMax="9.99") == ["Ann"]


def test_near(shop: Shop, make: Make) -> None:
    def lives(name: str, latitude: float, longitude: float) -> None:
        address = {"street1": "1", "city": "X", "latitude": latitude, "longitude": longitude}
        make(name, addresses=[address])

    lives("London", 51.5074, -0.1278)
    lives("Windsor", 51.4839, -0.6044)  # 33.1 km from London
    lives("Bath", 51.3811, -2.3590)
    lives("Taveuni", -16.85, 179.97)
    lives("Vanua", -16.80, -179.98)
    lives("Pole", 89.99, 120.0)
    make("Nowhere")
    assert found(shop, near="51.5074,-0.1278", radiusKm="5") == ["London"]
    assert found(shop, near="51.5074,-0.1278", radiusKm="33") == ["London"]
    assert found(shop, near="51.5074,-0.1278", radiusKm="33.3") == ["Windsor", "London"]
    assert found(shop, near="51.5074,-0.1278", radiusKm="200", query="bath") == ["Bath"]
    # Across the date line, and over the pole.
    assert found(shop, near="-16.8,179.99", radiusKm="20") == ["Vanua", "Taveuni"]
    assert found(shop, near="-16.8,-179.99", radiusKm="20") == ["Vanua", "Taveuni"]
    assert found(shop, near="89.99,-60", radiusKm="5") == ["Pole"]


def test_a_wide_circle_is_asked_of_a_sample_first(
    shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the distance to ten thousand addresses is measured to know that there are more."""
    place = {"street1": "1", "city": "X", "latitude": 51.5, "longitude": -0.1}
    for name in ("Ann", "Ben", "Cat", "Dan", "Eve"):
        make(name, addresses=[place])
    for name, value in {"CANDIDATES_MAX": 3, "SAMPLED_FROM": 5, "SAMPLE_ROWS": 5, "SURELY": 1}.items():
        monkeypatch.setattr(list_plans, name, value)
    with CaptureQueriesContext(connection) as queries:
        data = shop.cashier.get("/customers?near=51.5,-0.1&radiusKm=500&limit=2").json()["data"]
    assert (data["total"], data["totalIsExact"]) == (3, False)
    assert [row["firstName"] for row in data["customers"]] == ["Eve", "Dan"]
    assert not [query for query in queries if "hit AS MATERIALIZED" in query["sql"]]
    assert found(shop, near="51.5,-2", radiusKm="5") == []


def test_near_never_looks_at_another_merchant(shop: Shop, foreign_shop: Shop, make: Make) -> None:
    from customers.services import create_customer

    place = {"street1": "1", "city": "X", "latitude": 51.5, "longitude": -0.1}
    create_customer(access=foreign_shop.access, data={"first_name": "Mallory", "addresses": [place]})
    make("Ann", addresses=[place])
    assert found(shop, near="51.5,-0.1", radiusKm="1") == ["Ann"]


def test_home_store(shop: Shop, make: Make) -> None:
    second = Store.objects.create(merchant=shop.merchant, name="Second", code="2")
    make("Ann")
    make("Ben", home_store_id=second.pk)
    make("Cat", home_store_id=None)
    assert found(shop, storeId=str(second.pk)) == ["Ben"]
    assert found(shop, storeId=str(shop.store.pk)) == ["Ann"]


def test_has_email_and_phone(shop: Shop, make: Make) -> None:
    make("Ann", email="ann@example.com")
    make("Ben", phone="+442071838750")
    assert found(shop, hasEmail="true") == ["Ann"]
    assert found(shop, hasEmail="false") == ["Ben"]
    assert found(shop, hasPhone="true") == ["Ben"]
    assert found(shop, hasPhone="false", hasEmail="true") == ["Ann"]


def test_birthday_month(shop: Shop, make: Make) -> None:
    make("Ann", date_of_birth=date(1984, 2, 29))
    make("Ben", date_of_birth=date(1984, 12, 1))
    make("Cat")
    assert found(shop, birthdayMonth="2") == ["Ann"]
    assert found(shop, birthdayMonth="12") == ["Ben"]


# --- orders and pages -----------------------------------------------------------------------------------------


def five(make: Make) -> None:
    """Ann to Eve, each order of which is different."""
    visits = [None, 3, 1, None, 2]
    spent = [3, 1, 5, 1, 4]
    for place, name in enumerate(["Dan", "Ann", "Cat", "Eve", "Ben"]):
        customer = make(name, last_name="", email=f"{'edcba'[place]}@example.com" if place != 3 else "")
        came = visits[place]
        write_standing(
            customer,
            total_spent=Decimal(spent[place]),
            last_visit_at=datetime(2026, 1, came, tzinfo=UTC) if came else None,
        )


ORDERS = {
    ("createdAt", "asc"): ["Dan", "Ann", "Cat", "Eve", "Ben"],
    ("name", "asc"): ["Ann", "Ben", "Cat", "Dan", "Eve"],
    ("email", "asc"): ["Eve", "Ben", "Cat", "Ann", "Dan"],
    # Who never came is further back than anyone; ties stand in the order of creation.
    ("lastVisitAt", "asc"): ["Dan", "Eve", "Cat", "Ben", "Ann"],
    ("totalSpent", "asc"): ["Ann", "Eve", "Dan", "Ben", "Cat"],
}
ORDERS |= {(by, "desc"): list(reversed(names)) for (by, _), names in ORDERS.items()}


# Which plan answers must not matter: counters, sorted candidates, a walk along the index, a walk that gives up.
@pytest.fixture(params=["counters", "candidates", "walk", "search walk", "search walk in vain"])
def plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Parameters that match all five, answered by one of the plans."""
    if request.param == "counters":
        return {}
    if request.param == "candidates":
        return {"totalSpentMin": "0"}
    monkeypatch.setattr(list_plans, "CANDIDATES_MAX", 3)
    monkeypatch.setattr(list_plans, "SEARCH_CANDIDATES_MAX", 3)
    if request.param == "walk":
        return {"totalSpentMin": "0"}
    if request.param == "search walk in vain":
        monkeypatch.setattr(list_plans, "WALKED_MAX", 2)
    return {"tags": "five"}


def with_tag(make: Make) -> Make:
    return lambda name, **data: make(name, tags=["five"], **data)


@pytest.mark.parametrize(("sort_by", "sort_order"), ORDERS)
def test_orders(shop: Shop, make: Make, plan: dict[str, str], sort_by: str, sort_order: str) -> None:
    five(with_tag(make))
    order = ORDERS[sort_by, sort_order]
    parameters = {**plan, "sortBy": sort_by, "sortOrder": sort_order}
    data = shop.cashier.get("/customers", parameters).json()["data"]
    assert [row["firstName"] for row in data["customers"]] == order
    assert data["nextCursor"] is None
    if list_plans.CANDIDATES_MAX == 3:
        assert (data["total"], data["totalIsExact"]) == (3, False)
    pages = [found(shop, **parameters, limit=2, page=page) for page in (1, 2, 3, 4)]
    # No page begins beyond a total that is a bound.
    assert pages == [order[:2], order[2:4], order[4:] if data["totalIsExact"] else [], []]


def test_what_is_frequent_is_not_counted_again(
    shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    five(with_tag(make))
    monkeypatch.setattr(list_plans, "CANDIDATES_MAX", 3)
    monkeypatch.setattr(list_plans, "SEARCH_CANDIDATES_MAX", 3)
    # How large the merchant is.
    shop.cashier.get("/customers?tags=nobody")
    for query in ("limit=2&tags=five", "limit=2&totalSpentMin=0"):
        with statements(exactly=2):
            first = shop.cashier.get(f"/customers?{query}").json()
        assert (first["data"]["total"], first["data"]["totalIsExact"]) == (3, False)
        with statements(exactly=1):
            assert shop.cashier.get(f"/customers?{query}").json() == first
        with statements(exactly=1):
            names = shop.cashier.get(f"/customers?{query}&sortBy=name&sortOrder=asc").json()["data"][
                "customers"
            ]
        assert [row["firstName"] for row in names] == ["Ann", "Ben"]


def test_a_large_merchant_is_sampled_before_its_matches_are_collected(
    shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    five(with_tag(make))
    for name, value in {"SEARCH_CANDIDATES_MAX": 3, "SAMPLED_FROM": 5, "SAMPLE_ROWS": 5, "SURELY": 1}.items():
        monkeypatch.setattr(list_plans, name, value)
    shop.cashier.get("/customers?tags=nobody")
    with CaptureQueriesContext(connection) as queries:
        data = shop.cashier.get("/customers?tags=five&limit=2").json()["data"]
    assert (data["total"], data["totalIsExact"], len(data["customers"])) == (3, False, 2)
    assert not [query for query in queries if "hit AS MATERIALIZED" in query["sql"]]
    # What the sample does not promise is counted.
    assert found(shop, query="ben") == ["Ben"]


def test_pages_beyond_the_middle_are_walked_to_from_the_end(shop: Shop, make: Make) -> None:
    five(with_tag(make))
    shop.cashier.get("/customers?limit=1&page=2")
    pages = []
    for page in range(1, 7):
        with CaptureQueriesContext(connection) as queries:
            rows = shop.cashier.get(f"/customers?limit=1&page={page}").json()["data"]["customers"]
        assert ("greatest(least(" in queries[0]["sql"]) is (page > 3)
        pages += [row["id"] for row in rows]
    everybody = shop.cashier.get("/customers").json()["data"]["customers"]
    assert pages == [row["id"] for row in everybody]


def test_pages_in_the_middle_of_a_long_list_are_reached_by_cursor(
    shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    five(make)
    monkeypatch.setattr(listing, "PAGE_ROWS_AWAY_MAX", 1)
    for narrowed in ("", "&status=active"):
        # The rows at 0 to 4: 2 and 3 are more than one from the beginning and from behind the end.
        for page, code in ((1, ""), (2, ""), (3, "page_too_deep"), (4, "page_too_deep"), (5, ""), (6, "")):
            query = f"limit=1&page={page}{narrowed}"
            if code:
                assert refused(shop, query) == {"page": code}
            else:
                assert shop.cashier.get(f"/customers?{query}").status_code == 200
    cursor = shop.cashier.get("/customers?limit=2").json()["data"]["nextCursor"]
    assert found(shop, limit=2, cursor=cursor) == ["Cat", "Ann"]


@pytest.mark.parametrize(("sort_by", "sort_order"), ORDERS)
def test_cursors(shop: Shop, make: Make, plan: dict[str, str], sort_by: str, sort_order: str) -> None:
    five(with_tag(make))
    parameters = {**plan, "sortBy": sort_by, "sortOrder": sort_order, "limit": "2"}
    walked: list[str] = []
    while True:
        data = shop.cashier.get("/customers", parameters).json()["data"]
        walked += [row["firstName"] for row in data["customers"]]
        if data["nextCursor"] is None:
            break
        parameters["cursor"] = data["nextCursor"]
    assert walked == ORDERS[sort_by, sort_order]


def test_newest_first_unless_said(shop: Shop, make: Make) -> None:
    five(make)
    assert found(shop) == ORDERS["createdAt", "desc"]
    assert found(shop, sortBy="totalSpent") == ORDERS["totalSpent", "desc"]


def test_a_cursor_belongs_to_its_order(shop: Shop, make: Make) -> None:
    five(make)
    cursor = shop.cashier.get("/customers?limit=2").json()["data"]["nextCursor"]
    assert refused(shop, f"limit=2&sortBy=name&cursor={cursor}") == {"cursor": "invalid_cursor"}
    assert refused(shop, "cursor=abc") == {"cursor": "invalid_cursor"}
    assert refused(shop, f"page=2&cursor={cursor}") == {"cursor": "invalid_cursor"}


def test_a_rare_kind_is_sorted_not_walked(shop: Shop, make: Make) -> None:
    """Two plans for what the counters know; both must see the same."""
    for n in range(60):
        make(f"N{n}")
    write_standing(make("Ann"), tier="gold")
    write_standing(make("Ben"), tier="gold")
    make("Last")
    assert found(shop, tier="gold") == ["Ben", "Ann"]
    assert found(shop, tier="gold", sortBy="name", sortOrder="asc", limit=1) == ["Ann"]
    assert found(shop, tier="gold", sortBy="name", sortOrder="asc", limit=1, page=2) == ["Ben"]


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("colour=red", {"colour": "unknown_parameter"}),
        ("first_name=x", {"first_name": "unknown_parameter"}),
        ("query=a&query=b", {"query": "repeated_parameter"}),
        (f"query={'x' * 201}", {"query": "max_length"}),
        ("status=asleep", {"status": "invalid_choice"}),
        ("status=active,", {"status": "invalid_choice"}),
        ("type=robot", {"type": "invalid_choice"}),
        ("segment=VIP", {"segment": "invalid_choice"}),
        ("tier=diamond", {"tier": "invalid_choice"}),
        ("tags=a,,b", {"tags": "invalid"}),
        ("tags=a&tagsMode=some", {"tagsMode": "invalid_choice"}),
        ("tagsMode=any", {"tags": "required"}),
        ("createdFrom=yesterday", {"createdFrom": "invalid"}),
        ("createdTo=2026-02-30", {"createdTo": "invalid"}),
        ("createdTo=2026-02-03T10:00:00", {"createdTo": "invalid"}),
        ("lastVisitFrom=0001-01-01", {"lastVisitFrom": "invalid"}),
        ("totalSpentMin=ten", {"totalSpentMin": "invalid"}),
        ("totalSpentMax=1e400", {"totalSpentMax": "invalid"}),
        ("totalSpentMax=NaN", {"totalSpentMax": "invalid"}),
        ("near=51.5,-0.1", {"radiusKm": "required"}),
        ("radiusKm=5", {"near": "required"}),
        ("near=51.5&radiusKm=5", {"near": "invalid"}),
        ("near=91,0&radiusKm=5", {"near": "out_of_range"}),
        ("near=0,181&radiusKm=5", {"near": "out_of_range"}),
        ("near=a,b&radiusKm=5", {"near": "invalid"}),
        ("near=0,0&radiusKm=0", {"radiusKm": "out_of_range"}),
        ("near=0,0&radiusKm=5001", {"radiusKm": "out_of_range"}),
        ("near=0,0&radiusKm=1e3", {"radiusKm": "invalid"}),
        ("storeId=1", {"storeId": "invalid"}),
        ("hasEmail=1", {"hasEmail": "invalid"}),
        ("hasPhone=TRUE", {"hasPhone": "invalid"}),
        ("birthdayMonth=0", {"birthdayMonth": "out_of_range"}),
        ("birthdayMonth=13", {"birthdayMonth": "out_of_range"}),
        ("page=0", {"page": "out_of_range"}),
        ("page=-1", {"page": "out_of_range"}),
        ("page=1.5", {"page": "invalid"}),
        ("page=1000000000000", {"page": "out_of_range"}),
        ("limit=0", {"limit": "out_of_range"}),
        ("limit=101", {"limit": "out_of_range"}),
        ("sortBy=password", {"sortBy": "invalid_choice"}),
        ("sortBy=-id;drop", {"sortBy": "invalid_choice"}),
        ("sortOrder=up", {"sortOrder": "invalid_choice"}),
        ("status=x&limit=0", {"status": "invalid_choice", "limit": "out_of_range"}),
    ],
)
def test_refused(shop: Shop, query: str, wrong: dict[str, str]) -> None:
    assert refused(shop, query) == wrong


def test_a_page_beyond_the_last_is_empty(shop: Shop, alice: Customer) -> None:
    data = shop.cashier.get("/customers?page=1000000&limit=100").json()["data"]
    assert (data["customers"], data["total"], data["totalPages"]) == ([], 1, 1)
