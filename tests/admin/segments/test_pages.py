"""Customer groups in the admin: the list, the builder's page and its preview, the members; who may see them, and of whom."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cloudpos.jobs.running import run_jobs
from marketing.models import Segment, SegmentMember
from marketing.segment_services import add_members, create_segment
from tests.admin.conftest import Regulars, make_regulars, person, staff_client
from tests.admin.test_foreign_merchant import assert_silent, secrets_of
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

BOUGHT: dict[str, Any] = {"purchases": {"measure": "count", "op": "gte", "value": 1}}
PLAIN = [reverse(name) for name in ("groups_page", "new_group_page", "group_preview")]


@pytest.fixture
def buyers(shop: Shop, regulars: Regulars) -> Segment:
    segment = create_segment(access=shop.access, name="Buyers", kind="rule", rule=BOUGHT)
    run_jobs()
    return segment


def pages(segment: Segment) -> list[str]:
    return [*PLAIN, *(reverse(name, args=[segment.pk]) for name in ("group_page", "group_members_page"))]


def test_for_managers_only(shop: Shop, buyers: Segment) -> None:
    manager, cashier = staff_client(person(shop, "manager")), staff_client(person(shop, "cashier"))
    for url in pages(buyers):
        assert manager.get(url).status_code == 200, url
        assert "no-store" in manager.get(url).headers["Cache-Control"]
        assert cashier.get(url).status_code == 302, url
        assert Client().get(url).status_code == 302, url


def test_of_their_own_merchant_only(shop: Shop, foreign_shop: Shop, manager: Client) -> None:
    theirs = make_regulars(foreign_shop)
    access = foreign_shop.access
    rule = create_segment(access=access, name="Foreign rule", kind="rule", rule=BOUGHT)
    chosen = create_segment(access=access, name="Foreign list", kind="list")
    add_members(access=access, segment_id=chosen.pk, customer_ids=[theirs.alice.pk])
    run_jobs()
    secrets = secrets_of(foreign_shop) | {"Foreign rule", "Foreign list"}
    for url in PLAIN:
        assert_silent(manager.get(url), secrets, url)
    for segment in (rule, chosen):
        for name in ("group_page", "group_members_page"):
            assert manager.get(reverse(name, args=[segment.pk])).status_code == 404
        for act in ("delete", "rebuild"):
            answer = manager.post(reverse("groups_page"), {"segment": segment.pk, "act": act})
            assert answer.status_code == 404
        typed = {"rule": json.dumps(BOUGHT), "segment": segment.pk}
        assert "There is no such segment" in manager.post(PLAIN[2] + "?part=1", typed).content.decode()
    assert Segment.objects.count() == 2


def test_a_superuser_chooses_a_merchant_first(superuser: Client, shop: Shop, foreign_shop: Shop) -> None:
    for url in PLAIN:
        assert "Choose a merchant" in superuser.get(url).content.decode()


def test_the_list_says_how_many_and_how_long(manager: Client, buyers: Segment) -> None:
    text = manager.get(PLAIN[0]).content.decode()
    assert "Buyers" in text and "Number of purchases at least 1" in text
    assert " ms</td>" in text


def test_a_group_is_saved_by_name(manager: Client, shop: Shop, regulars: Regulars) -> None:
    answer = manager.post(reverse("new_group_page"), {"name": " Buyers ", "rule": json.dumps(BOUGHT)})
    assert (answer.status_code, answer.headers["Location"]) == (302, PLAIN[0])
    run_jobs()
    segment = Segment.objects.get()
    assert (segment.name, segment.rule, segment.size) == ("Buyers", BOUGHT, 2)
    rule = {"none": [BOUGHT]}
    manager.post(reverse("group_page", args=[segment.pk]), {"name": "Others", "rule": json.dumps(rule)})
    run_jobs()
    segment.refresh_from_db()
    assert (segment.name, segment.rule, segment.size) == ("Others", rule, 1)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": "", "rule": json.dumps(BOUGHT)}, "Give the group a name."),
        ({"name": "A", "rule": ""}, "Add at least one condition."),
        ({"name": "A", "rule": "{"}, "not valid JSON"),
        ({"name": "Buyers", "rule": json.dumps(BOUGHT)}, "of this name already"),
    ],
)
def test_what_is_refused_stays_on_the_page(
    manager: Client, buyers: Segment, typed: dict[str, str], said: str
) -> None:
    answer = manager.post(reverse("new_group_page"), typed)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert Segment.objects.count() == 1


def test_the_preview_counts_and_names_the_wrong_condition(manager: Client, buyers: Segment) -> None:
    url = PLAIN[2] + "?part=1"
    text = manager.post(url, {"rule": json.dumps(BOUGHT), "segment": buyers.pk}).content.decode()
    assert "66.7% of 3" in text and "Alice Ashford" in text and "nobody would come or leave" in text
    wrong = {"all": [BOUGHT, {"field": {"name": "email", "op": "is", "value": ""}}]}
    text = manager.post(url, {"rule": json.dumps(wrong)}).content.decode()
    assert 'data-problem="/all/1/field/value"' in text
    assert "Add a condition" in manager.post(url, {"rule": ""}).content.decode()
    assert "<html" not in text and "<script" not in text


def test_members_and_their_file(manager: Client, buyers: Segment) -> None:
    url = reverse("group_members_page", args=[buyers.pk])
    text = manager.get(url).content.decode()
    assert "2 customers" in text and "Alice Ashford" in text and "Carol Costa" not in text
    file = manager.get(f"{url}?format=csv").content.decode()
    assert "memberSince" in file and "Bob Brown" in file


def test_a_group_is_built_again_and_deleted(manager: Client, shop: Shop, buyers: Segment) -> None:
    SegmentMember.objects.all().delete()
    manager.post(PLAIN[0], {"segment": buyers.pk, "act": "rebuild"})
    run_jobs()
    assert SegmentMember.objects.count() == 2
    named = {"segments": {"op": "any_of", "ids": [str(buyers.pk)]}}
    other = create_segment(access=shop.access, name="Others", kind="rule", rule=named)
    answer = manager.post(PLAIN[0], {"segment": buyers.pk, "act": "delete"}, follow=True)
    assert "speak of this one: Others" in answer.content.decode()
    for segment in (other, buyers):
        manager.post(PLAIN[0], {"segment": segment.pk, "act": "delete"})
    assert not Segment.objects.exists()
