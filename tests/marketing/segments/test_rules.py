"""Rules in SQL against the same rules worked out slowly in Python, for trees nobody would write."""

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils.timezone import now

from cloudpos.api.fields import clean_line
from cloudpos.tenancy.zones import store_zones
from customers.identity import normal_tags
from customers.models import Customer
from marketing.segments.compiling import Compiler
from marketing.segments.days import Clock
from marketing.segments.language import conditions
from marketing.segments.parsing import RuleRefused, parse_rule
from marketing.segments.wording import in_words
from tests.fixtures import Shop, make_shop
from tests.hostile import TEXTS
from tests.marketing.segments.naive import Naive
from tests.marketing.segments.population import Population
from tests.marketing.segments.trees import Trees
from tests.tills import bring_back, register, sell

pytestmark = pytest.mark.django_db

# In four parts, that the suite's processes share: SEGMENT_TREES=2500 for ten thousand altogether, which take 40 s.
TREES = int(os.environ.get("SEGMENT_TREES", "1000"))
SEED = int(os.environ.get("SEGMENT_SEED", "26"))
# Before, at and after midnights in New York around the change of clocks; and the end of the year in Auckland.
MOMENTS = [
    datetime(2026, 3, 8, 4, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 8, 5, 0, tzinfo=UTC),
    datetime(2026, 3, 8, 8, 0, tzinfo=UTC),
    datetime(2026, 3, 9, 3, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 9, 4, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 11, 0, tzinfo=UTC),
]


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_sql_says_what_the_rule_says(seed: int) -> None:
    shop = make_shop("Corner Shop", timezone="America/New_York")
    foreign = make_shop("Far Away Traders", timezone="America/New_York")
    ours, theirs = Population(shop, Random(seed)), Population(foreign, Random(seed), people=10)
    visible = [person for person in ours.people if person.customer.deleted_at is None]
    foreign_ids = {person.customer.pk for person in theirs.people}
    random = Random(seed)
    trees = Trees(random, ours.known)
    holding = 0
    for number in range(TREES):
        tree, at = trees.tree(), random.choice(MOMENTS)
        rule = parse_rule(tree)
        clock = Clock(at, shop.merchant.tz, store_zones(shop.merchant.pk))
        naive = Naive(at=at, zone=shop.merchant.tz, stores=ours.zones)
        expected = {person.customer.pk for person in visible if naive.holds(tree, person)}
        matching = Compiler(shop.merchant.pk, clock).matching(rule)
        with connection.cursor() as cursor:
            cursor.execute(matching.text, matching.params)
            found = [id_ for (id_,) in cursor.fetchall()]
        assert len(found) == len(set(found)), (number, tree)
        assert not foreign_ids & set(found), (number, tree)
        wrong = _names(ours, set(found) ^ expected)
        assert not wrong, (
            f"tree {number} at {at}: {tree}: {wrong}, found {len(found)}, expected {len(expected)}"
        )
        holding += 0 < len(found) < len(visible)
        if number % 10 == 0:
            _same_for_a_few(shop.merchant.pk, clock, rule, visible, expected)
        assert all(in_words(condition) for _, condition in conditions(rule))
    # Or the trees would be about nothing.
    assert holding > TREES / 3


def _same_for_a_few(merchant_id, clock, rule, visible, expected) -> None:  # type: ignore[no-untyped-def]
    """Asked about some customers alone the answer is the same, and an explanation agrees with it."""
    some = [person.customer.pk for person in visible[::3]]
    compiler = Compiler(merchant_id, clock, some)
    found = [condition for _, condition in conditions(rule)]
    with connection.cursor() as cursor:
        question = compiler.answers([rule])
        cursor.execute(question.text, question.params)
        assert dict(cursor.fetchall()) == {id_: id_ in expected for id_ in some}
        values = compiler.values(found)
        cursor.execute(values.text, values.params)
        assert {row[0] for row in cursor.fetchall()} == set(some)


def _names(population: Population, ids: set) -> list[str]:  # type: ignore[type-arg]
    return [str(person.customer.pk) for person in population.people if person.customer.pk in ids]


def test_hostile_text_is_a_parameter() -> None:
    shop = make_shop("Corner Shop")
    # Each once: the same condition is asked once.
    texts = list({clean_line(text): text for text in TEXTS if _is_text(text)}.values())
    texts = texts[: len(texts) // 5 * 5]
    assert len(texts) > 150
    statements = set()
    clock = Clock(MOMENTS[0], shop.merchant.tz)
    for start in range(0, len(texts), 5):
        several = texts[start : start + 5]
        nodes = [
            node
            for text in several
            for node in (
                *(
                    {"field": {"name": "lastName", "op": op, "value": text}}
                    for op in ("is", "contains", "ends_with")
                ),
                {"field": {"name": "tags", "op": "any_of", "value": [text, "x"]}},
                {"address": {"cities": [text]}},
                {"purchases": {"measure": "sum", "op": "gte", "value": "1", "categories": [text]}},
                {
                    "events": {
                        "type": "a.b",
                        "measure": "count",
                        "op": "gte",
                        "value": 1,
                        "data": {text[:100]: text},
                    }
                },
                {"bucket": {"salt": text, "from": 0, "to": 1}},
            )
        ]
        matching = Compiler(shop.merchant.pk, clock).matching(parse_rule({"any": nodes}))
        statements.add(matching.text)
        with connection.cursor() as cursor:
            cursor.execute(matching.text, matching.params)
            assert cursor.fetchall() == []
    # Whatever is asked for.
    assert len(statements) == 1


def _is_text(text: str) -> bool:
    try:
        parse_rule({"field": {"name": "lastName", "op": "is", "value": text}})
    except RuleRefused:
        return False
    return bool(normal_tags([text]))


def test_hidden_customers_are_in_no_segment() -> None:
    shop = make_shop("Corner Shop", timezone="America/New_York")
    population = Population(shop, Random(SEED))
    rule = parse_rule({"none": [{"field": {"name": "firstName", "op": "is", "value": "nobody"}}]})
    matching = Compiler(shop.merchant.pk, Clock(MOMENTS[0], shop.merchant.tz)).matching(rule)
    with connection.cursor() as cursor:
        cursor.execute(matching.text, matching.params)
        found = {id_ for (id_,) in cursor.fetchall()}
    hidden = Customer.objects.exclude(deleted_at=None)
    assert len(found) == len(population.people) - hidden.count()
    assert hidden.count() > 2


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"measure": "count", "op": "gte", "value": 5}, True),
        ({"measure": "count", "op": "gt", "value": 5}, False),
        ({"measure": "count", "op": "between", "value": [5, 6]}, True),
        ({"measure": "sum", "op": "eq", "value": "5"}, True),
        ({"measure": "sum", "op": "gt", "value": "5"}, False),
        # At their own price, before the discount on the whole.
        ({"measure": "sum", "op": "gte", "value": "450", "skus": ["TEA"]}, True),
    ],
)
def test_what_somebody_has_altogether_is_enough_when_all_of_it_is_asked_for(
    shop: Shop, condition: dict[str, Any], holds: bool
) -> None:
    """Who has less is not read; five purchases for 1.00 each, of goods for 90.00."""
    ann = register(shop, "Ann")
    tea = {"sku": "TEA", "quantity": Decimal(1), "unit_price": Decimal(90)}
    for number in range(5):
        sell(shop.access, ann, f"T-{number}", "1", items=[tea])
    assert _whom(shop, {**condition, "window": {"last": {"days": 7}}}, now()) == (
        {ann.pk} if holds else set()
    )


def _whom(shop: Shop, condition: dict[str, Any], at: datetime) -> set[UUID]:
    rule = parse_rule({"purchases": condition})
    matching = Compiler(shop.merchant.pk, Clock(at, shop.merchant.tz)).matching(rule)
    with connection.cursor() as cursor:
        cursor.execute(matching.text, matching.params)
        return {id_ for (id_,) in cursor.fetchall()}


@pytest.mark.parametrize(
    ("condition", "whom"),
    [
        ({"measure": "count", "op": "eq", "value": 0, "window": {"last": {"days": 30}}}, "Bob Cy Dee Fay"),
        ({"measure": "count", "op": "gte", "value": 1, "window": {"last": {"days": 30}}}, "Ann Eve"),
        (
            {"measure": "count", "op": "gt", "value": 0, "window": {"from": {"ago": {"days": 30}}}},
            "Ann Dee Eve",
        ),
        (
            {"measure": "count", "op": "gte", "value": 1, "window": {"to": {"ago": {"days": 31}}}},
            "Bob Dee Eve",
        ),
        ({"measure": "count", "op": "ne", "value": 0, "window": {"to": {"ago": {"days": 50}}}}, ""),
        ({"measure": "count", "op": "gte", "value": 2}, "Dee Eve"),
        ({"measure": "count", "op": "lt", "value": 1}, "Cy Fay"),
        ({"measure": "first", "op": "in_last", "value": {"days": 30}}, "Ann"),
        ({"measure": "last", "op": "before", "value": {"ago": {"days": 30}}}, "Bob"),
        ({"measure": "sum", "op": "gte", "value": "20"}, "Dee Eve"),
    ],
)
def test_visits_tell_who_bought_but_of_those_who_brought_all_of_it_back(
    shop: Shop, condition: dict[str, Any], whom: str
) -> None:
    """Of whom the row of the customer does not tell it, the purchases are read."""
    at = now() - timedelta(days=10)
    long_ago, lately, ahead = at - timedelta(days=40), at - timedelta(days=3), at + timedelta(days=3)
    people = {name: register(shop, name) for name in ("Ann", "Bob", "Cy", "Dee", "Eve", "Fay")}
    for name, amount, when in (
        ("Ann", "10", lately),
        ("Bob", "10", long_ago),
        ("Bob", "10", lately),
        ("Cy", "0", long_ago),
        ("Cy", "0", lately),
        ("Dee", "10", long_ago),
        ("Dee", "10", ahead),
        ("Eve", "10", long_ago),
        ("Eve", "10", lately),
    ):
        sell(shop.access, people[name], f"{name} {when:%d}", amount, when)
    bring_back(shop.access, f"Bob {lately:%d}", "back")
    assert _whom(shop, condition, at) == {people[name].pk for name in whom.split()}
