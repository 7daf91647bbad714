"""/segments: rules and lists. Roles and foreign merchants: tests/test_roles.py, test_tenancy.py."""

import uuid
from typing import Any

import jsonschema_rs
import pytest

from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_jobs
from customers.models import Customer, Event
from customers.services import delete_customer
from marketing import segment_reading
from marketing.models import Segment
from marketing.models_segments import SEGMENTS_PER_MERCHANT_MAX
from tests.fixtures import Shop
from tests.marketing.segments.conftest import ANN, BOUGHT_ONCE, a_list, made, members, read
from tests.tills import register, sell

pytestmark = pytest.mark.django_db

People = dict[str, Customer]


def codes(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


def test_a_rule_from_its_making_to_its_members(shop: Shop, people: People) -> None:
    answer = shop.manager.post(
        "/segments", {"name": "Anns", "kind": "rule", "rule": ANN, "description": "Who are called so"}
    )
    segment = answer.json()["data"]
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/segments/{segment['id']}"
    assert segment == {
        "id": segment["id"],
        "name": "Anns",
        "description": "Who are called so",
        "kind": "rule",
        "rule": ANN,
        "size": 0,
        "builtAt": None,
        "buildMs": None,
        "buildError": "",
        "version": 1,
        "builtVersion": 0,
        "createdAt": segment["createdAt"],
        "updatedAt": segment["updatedAt"],
    }
    run_jobs()
    built = read(shop, segment["id"])
    assert (built["size"], built["builtVersion"], built["buildError"]) == (2, 1, "")
    assert built["builtAt"] is not None and built["buildMs"] >= 0
    listing = shop.manager.get(f"/segments/{segment['id']}/members").json()["data"]
    assert [row["firstName"] for row in listing["members"]] == ["Ann", "Annika"]
    assert listing["total"] == 2 and listing["totalIsExact"]
    assert listing["members"][0] == {
        "customerId": str(people["Ann"].pk),
        "customerNumber": people["Ann"].customer_number,
        "firstName": "Ann",
        "lastName": "",
        "companyName": "",
        "email": "",
        "phone": "",
        "enteredAt": listing["members"][0]["enteredAt"],
    }


def test_members_page_by_cursor_and_come_as_a_file(shop: Shop, people: People) -> None:
    register(shop, "=ANN()")
    segment = made(shop, {"field": {"name": "firstName", "op": "contains", "value": "ann"}})
    first = shop.manager.get(f"/segments/{segment['id']}/members?limit=2").json()["data"]
    rest = shop.manager.get(f"/segments/{segment['id']}/members?limit=2&cursor={first['nextCursor']}").json()[
        "data"
    ]
    assert [row["firstName"] for row in first["members"] + rest["members"]] == ["Ann", "Annika", "=ANN()"]
    assert rest["nextCursor"] is None
    file = shop.manager.get(f"/segments/{segment['id']}/members?format=csv")
    assert file.headers["Content-Type"].startswith("text/csv")
    lines = file.content.decode().splitlines()
    assert lines[0].startswith("customerId,customerNumber,firstName")
    assert len(lines) == 4 and "'=ANN()" in lines[3]


def test_a_rule_that_is_wrong_is_not_saved(shop: Shop) -> None:
    wrong = {"all": [ANN, {"field": {"name": "shoeSize", "op": "gte", "value": 3}}]}
    answer = shop.manager.post("/segments", {"name": "Shoes", "kind": "rule", "rule": wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_rule")
    assert codes(answer) == {"rule/all/1/field/name": "unknown_field"}
    assert not Segment.objects.exists()


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"name": "A", "kind": "rule"}, "rule", "required"),
        ({"name": "A", "kind": "list", "rule": ANN}, "rule", "unexpected_value"),
        ({"name": "A", "kind": "guess"}, "kind", "invalid_choice"),
        ({"name": "", "kind": "list"}, "name", "blank"),
        ({"name": "A", "kind": "list", "colour": "red"}, "colour", "unknown_field"),
    ],
)
def test_what_else_is_refused(shop: Shop, body: dict[str, Any], field: str, code: str) -> None:
    answer = shop.manager.post("/segments", body)
    assert answer.status_code == 400
    assert codes(answer) == {field: code}


def test_stores_and_segments_must_be_there(shop: Shop, foreign_shop: Shop) -> None:
    theirs = a_list(foreign_shop)
    for store, segment in (
        (str(foreign_shop.store.pk), theirs["id"]),
        (str(uuid.uuid4()), str(uuid.uuid4())),
    ):
        rule = {
            "any": [
                {
                    "purchases": {
                        "measure": "count",
                        "op": "eq",
                        "value": 0,
                        "storeIds": [str(shop.store.pk), store],
                    }
                },
                {"segments": {"op": "any_of", "ids": [segment]}},
                {"field": {"name": "homeStoreId", "op": "in", "value": [store]}},
            ]
        }
        answer = shop.manager.post("/segments/preview", {"rule": rule})
        assert codes(answer) == {
            "rule/any/0/purchases/storeIds/1": "unknown_store",
            "rule/any/1/segments/ids/0": "unknown_segment",
            "rule/any/2/field/value/0": "unknown_store",
        }


def test_a_name_is_taken_once(shop: Shop, foreign_shop: Shop) -> None:
    a_list(shop, name="VIPs")
    a_list(foreign_shop, name="VIPs")
    answer = shop.manager.post("/segments", {"name": "VIPs", "kind": "list"})
    assert (answer.status_code, answer.json()["code"]) == (409, "segment_name_taken")
    other = a_list(shop, name="Others")
    answer = shop.manager.patch(f"/segments/{other['id']}", {"name": "VIPs"})
    assert answer.json()["code"] == "segment_name_taken"


def test_they_are_bounded(shop: Shop) -> None:
    Segment.objects.bulk_create(
        Segment(merchant=shop.merchant, name=f"{n}", kind="list", built_version=1)
        for n in range(SEGMENTS_PER_MERCHANT_MAX)
    )
    answer = shop.manager.post("/segments", {"name": "One more", "kind": "list"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_segments")


def test_the_list_of_segments(shop: Shop, people: People) -> None:
    made(shop, ANN, "Anns")
    a_list(shop, people["Bob"], name="Bobs")
    rows = shop.manager.get("/segments").json()["data"]["segments"]
    assert [(row["name"], row["kind"], row["size"]) for row in rows] == [
        ("Anns", "rule", 2),
        ("Bobs", "list", 1),
    ]
    rows = shop.manager.get("/segments?kind=list").json()["data"]["segments"]
    assert [row["name"] for row in rows] == ["Bobs"]


def test_a_changed_rule_shows_its_old_members_until_it_is_built(shop: Shop, people: People) -> None:
    segment = made(shop, ANN)
    rule = {"none": [ANN]}
    answer = shop.manager.patch(f"/segments/{segment['id']}", {"rule": rule})
    changed = answer.json()["data"]
    assert (changed["version"], changed["builtVersion"], changed["size"]) == (2, 1, 2)
    assert members(segment) == ["Ann", "Annika"]
    run_jobs()
    assert members(segment) == ["Bob"]
    assert (read(shop, segment["id"])["builtVersion"], read(shop, segment["id"])["size"]) == (2, 1)
    told = Event.objects.filter(type="segment.rebuilt").order_by("recorded_at").last()
    assert told is not None
    assert told.data == {"segmentId": segment["id"], "size": 1, "entered": 1, "exited": 2}
    # Nobody did anything.
    assert not Event.objects.filter(type__in=["segment.entered", "segment.exited"]).exists()


def test_nothing_changed_builds_nothing(shop: Shop, people: People) -> None:
    segment = made(shop, ANN)
    Job.objects.all().delete()
    answer = shop.manager.patch(f"/segments/{segment['id']}", {"rule": ANN, "description": "New"})
    assert answer.json()["data"]["version"] == 1
    assert not Job.objects.exists()


def test_circles_are_refused(shop: Shop) -> None:
    def of(segment: dict[str, Any]) -> Any:
        return {"segments": {"op": "any_of", "ids": [segment["id"]]}}

    one = made(shop, ANN, "One")
    two = made(shop, of(one), "Two")
    three = made(shop, {"all": [ANN, of(two)]}, "Three")
    for rule, where in (
        (of(three), "rule/segments/ids/0"),
        ({"none": [ANN, of(one)]}, "rule/none/1/segments/ids/0"),
    ):
        for answer in (
            shop.manager.patch(f"/segments/{one['id']}", {"rule": rule}),
            shop.manager.post("/segments/preview", {"rule": rule, "segmentId": one["id"]}),
        ):
            assert answer.status_code == 400
            assert codes(answer) == {where: "circular_segments"}
    # A diamond is no circle.
    made(shop, {"any": [of(one), of(two), of(three)]}, "Four")


def test_a_segment_that_others_speak_of_stays(shop: Shop) -> None:
    one = made(shop, ANN, "One")
    two = made(shop, {"segments": {"op": "none_of", "ids": [one["id"]]}}, "Two")
    answer = shop.manager.delete(f"/segments/{one['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "segment_in_use")
    assert "Two" in answer.json()["message"]
    assert shop.manager.delete(f"/segments/{two['id']}").status_code == 200
    assert shop.manager.delete(f"/segments/{one['id']}").status_code == 200
    assert shop.manager.get(f"/segments/{one['id']}").status_code == 404


def test_a_preview_saves_nothing_and_says_what_would_change(
    shop: Shop, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = made(shop, ANN)
    body = {
        "rule": {"field": {"name": "firstName", "op": "in", "value": ["ann", "BOB"]}},
        "segmentId": segment["id"],
    }
    found = shop.manager.post("/segments/preview", body).json()["data"]
    assert found == {
        "count": 2,
        "customers": 3,
        "share": 0.6667,
        "sample": [
            {"customerId": str(people[name].pk), "customerNumber": people[name].customer_number, "name": name}
            for name in ("Bob", "Ann")
        ],
        "difference": {"entering": 1, "leaving": 1},
        "ms": found["ms"],
    }
    assert members(segment) == ["Ann", "Annika"]
    # The same whether those who match are among the newest or not.
    for among in (3, 1, 0):
        monkeypatch.setattr(segment_reading, "NEWEST_AMONG", among)
        alone = shop.manager.post("/segments/preview", {"rule": ANN, "sampleSize": 1}).json()["data"]
        assert (alone["count"], alone["sample"][0]["name"], alone["difference"]) == (2, "Annika", None)
        assert len(alone["sample"]) == 1


def test_a_preview_that_takes_too_long_says_so(
    shop: Shop, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        segment_reading,
        "_COMMON",
        "SELECT pg_sleep(1) FROM ({matching}) a, ({matching}) b WHERE %s IS NOT NULL AND %s > 0 AND %s > 0",
    )
    monkeypatch.setitem(segment_reading.BUILDING, "statement_timeout", "10ms")
    monkeypatch.setattr(segment_reading, "PREVIEW_SECONDS_MAX", 0.01)
    answer = shop.manager.post("/segments/preview", {"rule": ANN})
    assert (answer.status_code, answer.json()["code"]) == (400, "rule_too_slow")


def test_an_explanation_names_each_condition(shop: Shop, people: People) -> None:
    ann = people["Ann"]
    sell(shop.access, ann, "T1", "12.50")
    segment = made(
        shop, {"all": [ANN, {"any": [BOUGHT_ONCE, {"field": {"name": "points", "op": "gt", "value": 100}}]}]}
    )
    found = shop.manager.get(f"/segments/{segment['id']}/explain?customerId={ann.pk}").json()["data"]
    assert found == {
        "segmentId": segment["id"],
        "customerId": str(ann.pk),
        "isMember": True,
        "matches": True,
        "conditions": [
            {"pointer": "/all/0", "text": "First name starts with ann", "value": "Ann", "met": True},
            {"pointer": "/all/1/any/0", "text": "Number of purchases at least 1", "value": 1, "met": True},
            {"pointer": "/all/1/any/1", "text": "Points more than 100", "value": 0, "met": False},
        ],
    }
    found = shop.manager.get(f"/segments/{segment['id']}/explain?customerId={people['Bob'].pk}").json()[
        "data"
    ]
    assert (found["isMember"], found["matches"]) == (False, False)
    assert [each["met"] for each in found["conditions"]] == [False, False, False]
    assert shop.manager.get(f"/segments/{segment['id']}/explain?customerId={uuid.uuid4()}").status_code == 404
    said = shop.manager.get(f"/segments/{segment['id']}/explain").json()["data"]
    assert (said["customerId"], said["matches"], said["conditions"][0]["text"]) == (
        None,
        None,
        "First name starts with ann",
    )


def test_a_list_is_filled_and_emptied_by_hand(shop: Shop, foreign_shop: Shop, people: People) -> None:
    segment = a_list(shop)
    path = f"/segments/{segment['id']}/members"
    ids = [str(people[name].pk) for name in ("Ann", "Bob")]
    assert shop.manager.post(path, {"customerIds": ids}).json()["data"] == {"changed": 2, "size": 2}
    assert shop.manager.post(path, {"customerIds": ids[:1]}).json()["data"] == {"changed": 0, "size": 2}
    stranger = register(foreign_shop, "Mallory")
    for absent in (str(stranger.pk), str(uuid.uuid4())):
        answer = shop.manager.post(path, {"customerIds": [str(people["Annika"].pk), absent]})
        assert codes(answer) == {"customerIds.1": "customer_not_found"}
    assert members(segment) == ["Ann", "Bob"]
    assert shop.manager.post(f"{path}/remove", {"customerIds": [*ids[:1], str(stranger.pk)]}).json()[
        "data"
    ] == {
        "changed": 1,
        "size": 1,
    }
    told = Event.objects.filter(type__startswith="segment.").order_by("recorded_at", "pk")
    assert sorted(told.values_list("type", "customer__first_name")) == [
        ("segment.entered", "Ann"), ("segment.entered", "Bob"), ("segment.exited", "Ann"),
    ]  # fmt: skip
    assert read(shop, segment["id"])["size"] == 1


def test_a_rule_s_members_are_not_set_by_hand(shop: Shop, people: People) -> None:
    segment = made(shop, ANN)
    for path in ("members", "members/remove"):
        answer = shop.manager.post(
            f"/segments/{segment['id']}/{path}", {"customerIds": [str(people["Bob"].pk)]}
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "segment_has_rule")
    other = a_list(shop)
    assert shop.manager.patch(f"/segments/{other['id']}", {"rule": ANN}).json()["code"] == "segment_is_list"


def test_a_rebuild_is_a_job(shop: Shop, people: People) -> None:
    segment = made(shop, ANN)
    delete_customer(access=shop.access, customer_id=people["Ann"].pk)
    answer = shop.manager.post(f"/segments/{segment['id']}/rebuild")
    assert answer.status_code == 202
    job = answer.json()["data"]
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    run_jobs()
    found = shop.manager.get(f"/jobs/{job['id']}").json()["data"]
    assert (found["state"], found["result"]) == ("done", {"built": 1, "failed": 0, "entered": 0, "exited": 1})
    assert read(shop, segment["id"])["size"] == 1


def test_the_published_schema_is_the_one_that_is_kept(shop: Shop) -> None:
    schema = shop.manager.get("/segments/schema").json()["data"]
    jsonschema_rs.meta.validate(schema)
    validator = jsonschema_rs.validator_for(schema)
    assert validator.is_valid({"all": [ANN, BOUGHT_ONCE]})
    assert not validator.is_valid({"field": {"name": "shoeSize", "op": "gte", "value": 3}})
    document = shop.manager.get("/api/schema").json()
    inputs = [
        schema
        for name, schema in document["components"]["schemas"].items()
        if name.startswith("SegmentInput")
    ]
    assert "#/components/schemas/SegmentRule" in repr(inputs)


def test_a_file_of_more_than_it_can_hold_is_asked_for_elsewhere(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketing.serializers_segments.MEMBERS_IN_FILE_MAX", 1)
    people = [register(shop, name).pk for name in ("Ann", "Bob")]
    segment = shop.manager.post("/segments", {"name": "Friends", "kind": "list"}).json()["data"]["id"]
    shop.manager.post(f"/segments/{segment}/members", {"customerIds": [str(people[0])]})
    assert shop.manager.get(f"/segments/{segment}/members?format=csv").status_code == 200
    shop.manager.post(f"/segments/{segment}/members", {"customerIds": [str(people[1])]})
    refused = shop.manager.get(f"/segments/{segment}/members?format=csv")
    assert (refused.status_code, refused.json()["code"]) == (400, "segment_too_large")
    assert "POST /exports" in refused.json()["message"]
