"""customers.event_catalogue: every event that this service makes is in it, and its data are what the catalogue says."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from jsonschema import Draft202012Validator

from cloudpos import outbox
from customers.event_catalogue import CATALOGUE
from customers.event_types import EVENT_TYPE
from customers.models import Event
from marketing.channels import handing_over
from marketing.content.variables import VARIABLES
from tests.fixtures import Shop
from tests.worlds import make_world

PACKAGES = ("customers", "loyalty", "analytics", "marketing", "cloudpos")


def words() -> Iterator[tuple[str, str]]:
    """(what looks like an event type, the file) of every string in the code."""
    nouns = {type.partition(".")[0] for type in CATALOGUE}
    for package in PACKAGES:
        for path in (settings.BASE_DIR / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                word = node.value if isinstance(node, ast.Constant) else None
                if isinstance(word, str) and EVENT_TYPE.fullmatch(word) and word.partition(".")[0] in nouns:
                    yield word, path.name


def test_every_type_that_the_code_speaks_of_is_in_the_catalogue() -> None:
    # Of the same form: what a campaign's text may say, and what is handed over to a system of the merchant's.
    known = {*CATALOGUE, *VARIABLES, handing_over.EVENT}
    assert {(type, file) for type, file in words() if type not in known} == set()


@pytest.mark.parametrize("type", CATALOGUE)
def test_a_schema_is_one(type: str) -> None:
    each = CATALOGUE[type]
    Draft202012Validator.check_schema(each.schema)
    assert re.fullmatch(r"[A-Z].*\.", each.description)
    assert each.schema["additionalProperties"] is False, "or a receiver would never hear of a new part"


def wrong() -> list[Any]:
    """Events that are not as the catalogue says."""
    return [
        (event.type, event.data)
        for event in Event.objects.all()
        if event.type in CATALOGUE
        and not Draft202012Validator(CATALOGUE[event.type].schema).is_valid(event.data)
    ]


@pytest.mark.django_db
def test_what_is_emitted_is_as_the_catalogue_says(shop: Shop) -> None:
    world = make_world(shop, "Catalogue")
    customer = f"/customers/{world.customer}"
    for call in (
        lambda: shop.manager.patch(customer, {"notes": "Likes tea"}),
        lambda: shop.manager.get(f"{customer}/export"),
        lambda: shop.manager.post(f"/customers/loyalty/holds/{world.hold}/capture", {}),
        lambda: shop.cashier.post(f"{customer}/loyalty/holds", {"transactionId": "H-2", "points": 1}),
        lambda: shop.manager.post(f"/customers/{world.customer}/merge/{world.merge}/undo"),
        lambda: shop.manager.delete(f"{customer}/addresses/{world.address}"),
        lambda: shop.manager.post(f"/customers/{world.other_customer}/erase", {}),
        lambda: shop.manager.delete(customer),
    ):
        call()
    outbox.sweep()
    emitted = set(Event.objects.values_list("type", flat=True))
    assert wrong() == []
    assert {type for type in emitted if type.partition(".")[0] != "page"} <= set(CATALOGUE)
    assert len(emitted & set(CATALOGUE)) >= 12, sorted(emitted)
