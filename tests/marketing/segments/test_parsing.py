"""Reading rules: what is refused, with the node that is wrong; and that the published schema says the same."""

import copy
from random import Random
from typing import Any

import jsonschema_rs
import pytest

from marketing.segments.language import CONDITIONS_MAX, DEPTH_MAX
from marketing.segments.parsing import RuleRefused, parse_rule
from marketing.segments.schema import RULE_SCHEMA
from tests.hostile import TEXTS
from tests.marketing.segments.trees import Known, Trees

STORE = "018f0000-0000-7000-8000-000000000001"
SEGMENT = "018f0000-0000-7000-8000-000000000002"
SPENT = {"field": {"name": "totalSpent", "op": "gte", "value": "10"}}
SCHEMA = jsonschema_rs.validator_for(RULE_SCHEMA, validate_formats=True)
# What a schema cannot say; see marketing/segments/schema.py.
ONLY_PARSED = {"too_many_conditions", "range_order", "blank", "invalid_day"}
JUNK: list[Any] = [
    None,
    True,
    -1,
    3.5,
    10**16,
    "",
    "x" * 201,
    "2026-13-45",
    [],
    {},
    [[]],
    {"all": []},
    "DROP TABLE",
    float(2**60),
]


def refused(rule: Any) -> dict[str, str]:
    with pytest.raises(RuleRefused) as caught:
        parse_rule(rule)
    return {str(error.field): error.code for error in caught.value.errors}


def test_each_problem_names_its_node() -> None:
    rule = {
        "all": [
            {"field": {"name": "shoeSize", "op": "gte", "value": 3}},
            {"any": [SPENT, {"field": {"name": "totalSpent", "op": "gte", "value": "ten"}}]},
            {
                "none": [
                    {
                        "purchases": {
                            "measure": "count",
                            "op": "gte",
                            "value": 1,
                            "window": {"last": {"hours": 3}},
                        }
                    }
                ]
            },
            {"weather": {}},
        ]
    }
    assert refused(rule) == {
        "rule/all/0/field/name": "unknown_field",
        "rule/all/1/any/1/field/value": "invalid_amount",
        "rule/all/2/none/0/purchases/window/last": "invalid_span",
        "rule/all/3": "unknown_condition",
    }


@pytest.mark.parametrize(
    ("rule", "where", "code"),
    [
        ([], "rule", "invalid_node"),
        ({}, "rule", "invalid_node"),
        ({"all": [SPENT], "any": [SPENT]}, "rule", "invalid_node"),
        ({"all": []}, "rule/all", "invalid_group"),
        ({"all": SPENT}, "rule/all", "invalid_group"),
        ({"field": {"name": "totalSpent", "op": "is", "value": "1"}}, "rule/field/op", "invalid_choice"),
        ({"field": {"name": "totalSpent", "op": "gte"}}, "rule/field", "value_missing"),
        ({"field": {"name": "totalSpent", "op": "is_set", "value": "1"}}, "rule/field/value", "unexpected_value"),
        ({"field": {"name": "totalSpent", "op": "between", "value": ["2", "1"]}}, "rule/field/value/1", "range_order"),
        ({"field": {"name": "status", "op": "in", "value": ["asleep"]}}, "rule/field/value/0", "invalid_choice"),
        ({"field": {"name": "visitCount", "op": "eq", "value": True}}, "rule/field/value", "out_of_range"),
        ({"field": {"name": "lastVisitAt", "op": "on", "value": "2026-02-30"}}, "rule/field/value", "invalid_day"),
        ({"field": {"name": "createdAt", "op": "in_last", "value": {"days": 1, "weeks": 1}}}, "rule/field/value", "invalid_span"),
        ({"consent": {"channel": "pigeon", "purpose": "marketing", "granted": True}}, "rule/consent/channel", "invalid_choice"),
        ({"address": {}}, "rule/address", "value_missing"),
        ({"address": {"near": {"latitude": 91, "longitude": 0, "radiusKm": 1}}}, "rule/address/near/latitude", "out_of_range"),
        ({"purchases": {"measure": "count", "op": "gte", "value": 1, "a/b~c": 1}}, "rule/purchases/a~1b~0c", "unknown_field"),
        ({"events": {"type": "a table", "measure": "count", "op": "gte", "value": 1}}, "rule/events/type", "invalid_event_type"),
        ({"segments": {"op": "any_of", "ids": ["mine"]}}, "rule/segments/ids/0", "invalid_id"),
        ({"metadata": {"key": "", "type": "text", "op": "is_set"}}, "rule/metadata/key", "invalid_text"),
        ({"metadata": {"key": "pet", "type": "animal", "op": "is_set"}}, "rule/metadata/type", "invalid_choice"),
        ({"metadata": {"key": "pet", "type": "number", "op": "contains", "value": 1}}, "rule/metadata/op", "invalid_choice"),
        ({"metadata": {"key": "pet", "type": "number", "op": "eq", "value": True}}, "rule/metadata/value", "out_of_range"),
        ({"metadata": {"key": "pet", "type": "number", "op": "eq", "value": 10**16}}, "rule/metadata/value", "out_of_range"),
        ({"metadata": {"key": "pet", "type": "boolean", "op": "is", "value": "yes"}}, "rule/metadata/value", "invalid"),
        ({"metadata": {"key": "pet", "type": "list", "op": "any_of", "value": []}}, "rule/metadata/value", "invalid_list"),
        ({"bucket": {"salt": "a", "from": 50, "to": 50}}, "rule/bucket/to", "range_order"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(rule: Any, where: str, code: str) -> None:
    assert refused(rule) == {where: code}


def nested(depth: int) -> Any:
    rule: Any = SPENT
    for _ in range(depth):
        rule = {"all": [rule]}
    return rule


def test_depth_and_number_are_bounded() -> None:
    parse_rule(nested(DEPTH_MAX))
    assert refused(nested(DEPTH_MAX + 1)) == {"rule" + "/all/0" * DEPTH_MAX + "/all": "too_deep"}
    half = {"any": [SPENT] * (CONDITIONS_MAX // 2)}
    parse_rule({"all": [half, half]})
    wrong = refused({"all": [half, half, SPENT]})
    assert wrong == {"rule/all/2": "too_many_conditions"}


def test_a_million_mistakes_are_not_all_told() -> None:
    assert len(refused({"all": [{"all": [{}] * 50}] * 50})) == 20


def test_hostile_text_is_a_value_or_refused() -> None:
    rules = [
        rule
        for text in TEXTS
        for rule in (
            {"field": {"name": "firstName", "op": "is", "value": text}},
            {"field": {"name": text, "op": "is", "value": "x"}},
            {text: {}},
            {"bucket": {"salt": text, "from": 0, "to": 1}},
        )
    ]
    for rule in rules:
        try:
            parse_rule(rule)
        except RuleRefused as refusal:
            assert all("\x00" not in error.message + str(error.field) for error in refusal.errors)


def mutated(tree: Any, random: Random) -> Any:
    """The same with one thing changed somewhere."""
    tree = copy.deepcopy(tree)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict | list):
            for key in value if isinstance(value, dict) else range(len(value)):
                places.append((value, key))
                walk(value[key])

    walk(tree)
    holder, key = random.choice(places)
    way = random.random()
    if way < 0.3:
        # Of the same kind: most times it is still a rule.
        kinds = {
            str: ["a", "2026-01-31", "10", "is_set"],
            int: [0, 1, 7, 2.0],
            list: [["a"], [1], [[]]],
            bool: [True, False],
        }
        holder[key] = random.choice(kinds.get(type(holder[key]), JUNK))
    elif way < 0.6:
        holder[key] = random.choice(JUNK)
    elif way < 0.8 and isinstance(holder, dict):
        holder[random.choice(["extra", "value", "op", "all", "from"])] = holder[key]
    elif isinstance(holder, dict):
        del holder[key]
    else:
        holder.append(random.choice(JUNK))
    return tree


def test_the_schema_and_the_parser_agree() -> None:
    random = Random(5)
    trees = Trees(random, Known([STORE], [SEGMENT]))
    outcomes = {True: 0, False: 0}
    for _ in range(400):
        tree = trees.tree()
        parse_rule(tree)
        assert SCHEMA.is_valid(tree), tree
        changed = mutated(tree, random)
        codes: set[str] = set()
        try:
            parse_rule(changed)
        except RuleRefused as refusal:
            codes = {error.code for error in refusal.errors}
        valid = SCHEMA.is_valid(changed)
        outcomes[valid] += 1
        if codes <= ONLY_PARSED and codes:
            continue
        assert valid == (not codes), (changed, codes)
    assert min(outcomes.values()) > 20


def test_a_schema_that_forgot_something_would_be_found() -> None:
    """Each condition and each field is one that the schema knows by name."""
    text = repr(RULE_SCHEMA)
    for tree in (Trees(Random(seed), Known([STORE], [SEGMENT])).condition() for seed in range(60)):
        assert f"'{next(iter(tree))}'" in text
