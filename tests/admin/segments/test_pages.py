"""Customer groups in the admin: the list, the builder's page and its preview, the members; who may see them, and of whom."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cloudpos.jobs.running import run_jobs
from cloudpos.lifecycle.merging import merge_customers
from customers.models import Customer
from marketing.models import Segment, SegmentMember
from marketing.segment_services import add_members, create_segment
from tests.admin.conftest import Regulars, make_regulars, person, staff_client
from tests.admin.test_foreign_merchant import assert_silent, secrets_of
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

BOUGHT: dict[str, Any] = {"purchases": {"measure": "count", "op": "gte", "value": 1}}
PLAIN = [reverse(name) for name in ("groups_page", "new_group_page", "group_preview", "new_list_page")]


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


def test_a_list_is_kept_by_hand(manager: Client, shop: Shop, regulars: Regulars) -> None:
    answer = manager.post(reverse("new_list_page"), {"name": "Guests\u202e of the tasting"})
    tasting = Segment.objects.get()
    url = reverse("group_members_page", args=[tasting.pk])
    assert (tasting.name, answer.headers["Location"]) == ("Guests of the tasting", url)

    alice, bob = regulars.alice, regulars.bob
    typed = {"act": "add", "names": f"{alice.customer_number}\r\n\r\n nobody@example.com \r\n"}
    text = manager.post(url, typed).content.decode()
    assert "nobody@example.com</strong>: There is no such customer." in text
    # What was typed is still there, and nobody came.
    assert alice.customer_number in text and not SegmentMember.objects.exists()

    names = f"{alice.customer_number}\n{bob.email}\n{alice.phone or alice.email}"
    text = manager.post(url, {"act": "add", "names": names}, follow=True).content.decode()
    assert "2 customers put on the list." in text and "Alice Ashford" in text
    text = manager.post(url, {"act": "add", "names": bob.email}, follow=True).content.decode()
    assert "1 customer had been on it before." in text

    text = manager.post(url, {"act": "remove", "customer": bob.pk}, follow=True).content.decode()
    assert "1 customer taken off the list." in text
    assert [member.customer_id for member in SegmentMember.objects.all()] == [alice.pk]
    text = manager.post(url, {"act": "rename", "name": "Tasting"}, follow=True).content.decode()
    assert "The list is called “Tasting” now." in text


def test_what_a_list_refuses(manager: Client, shop: Shop, regulars: Regulars, foreign_shop: Shop) -> None:
    theirs = make_regulars(foreign_shop)
    assert "Give the list a name." in manager.post(reverse("new_list_page"), {"name": "  "}).content.decode()
    taken = create_segment(access=shop.access, name="Guests", kind="list")
    assert "Guests" in manager.post(reverse("new_list_page"), {"name": "Guests"}).content.decode()
    url = reverse("group_members_page", args=[taken.pk])
    for name in (
        theirs.alice.customer_number + "9",
        theirs.carol.email or "carol@",
        "+44 20 7183 0000",
        "'; --",
    ):
        text = manager.post(url, {"act": "add", "names": name}).content.decode()
        assert "There is no such customer." in text, name
    many = "\n".join(f"a{number}@example.com" for number in range(1_001))
    assert "At most 1000 at once." in manager.post(url, {"act": "add", "names": many}).content.decode()
    manager.post(url, {"act": "remove", "customer": "nobody"})
    manager.post(url, {"act": "rename", "name": ""})
    assert not SegmentMember.objects.exists()
    assert Segment.objects.get(pk=taken.pk).name == "Guests"
    # A rule's members are its own affair.
    rule = create_segment(access=shop.access, name="Buyers", kind="rule", rule=BOUGHT)
    run_jobs()
    manager.post(
        reverse("group_members_page", args=[rule.pk]), {"act": "remove", "customer": regulars.alice.pk}
    )
    assert SegmentMember.objects.filter(segment=rule).count() == 2


def test_fields_of_the_merchants_own_are_offered(manager: Client, shop: Shop, regulars: Regulars) -> None:
    said = {
        "shoe size": 42,
        "pet": "dog",
        "born": "2020-02-29",
        "wines": ["red"],
        "vegan": True,
        "x": None,
        "y": {},
    }
    Customer.objects.filter(pk=regulars.alice.pk).update(metadata=said)
    text = manager.get(reverse("new_group_page")).content.decode()
    found = json.loads(text.split('id="group_catalogue" type="application/json">')[1].split("</script>")[0])
    assert found["metadata"] == {
        "born": "day",
        "pet": "text",
        "shoe size": "number",
        "vegan": "boolean",
        "wines": "list",
    }


def test_the_number_of_a_merged_record_puts_on_a_list_who_it_was_merged_into(
    manager: Client, shop: Shop, regulars: Regulars
) -> None:
    old = regulars.bob.customer_number
    merge_customers(access=shop.access, customer_id=regulars.alice.pk, source_id=regulars.bob.pk)
    guests = create_segment(access=shop.access, name="Guests", kind="list")
    manager.post(reverse("group_members_page", args=[guests.pk]), {"act": "add", "names": old})
    assert [member.customer_id for member in SegmentMember.objects.all()] == [regulars.alice.pk]
