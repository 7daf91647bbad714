"""How alike two customers are."""

import uuid
from datetime import date
from typing import Any

import pytest

from customers.likeness import Traits, compare, compare_group


def traits(first_name: str = "", last_name: str = "", **known: Any) -> Traits:
    words = " ".join(sorted(f"{first_name} {last_name}".casefold().split()))
    given = {
        "id": uuid.uuid4(),
        "first_name": first_name,
        "last_name": last_name,
        "company_name": "",
        "name_key": words,
        "mailbox": "",
        "phone_tail": "",
        "birth": None,
        "postcodes": frozenset(),
        "tax_id": "",
        **known,
    }
    return Traits(**given)


BORN = date(1990, 2, 3)
HOME = frozenset({"LS12AB"})


@pytest.mark.parametrize(
    ("a", "b", "score", "reasons"),
    [
        (traits("Alice"), traits("Bob"), 0.0, ()),
        # Nothing in common is not in common.
        (traits(), traits(), 0.0, ()),
        (
            traits("Alice", "Smith", birth=BORN),
            traits("Alice", "Smith", birth=BORN),
            0.76,
            ("Same date of birth", "Same name"),
        ),
        (
            traits("Alice", "Smith", birth=BORN),
            traits("Smith", "Alice", birth=BORN),
            0.76,
            ("Same date of birth", "Same name with first and last name swapped"),
        ),
        (
            traits("Alice", "Smith", postcodes=HOME),
            traits("Alice", "Smith", postcodes=HOME | {"X"}),
            0.64,
            ("Same name", "Same postal code"),
        ),
        (
            traits("Jon", "Smith", birth=BORN, postcodes=HOME),
            traits("John", "Smith", birth=BORN, postcodes=HOME),
            0.82,
            ("Same date of birth", "Same postal code", "Similar name"),
        ),
        (
            traits("J.", "Smith", postcodes=HOME),
            traits("John", "Smith", postcodes=HOME),
            0.55,
            ("Same postal code", "Similar name"),
        ),
        # Twins live together and are two people.
        (
            traits("Anna", "Smith", birth=BORN, postcodes=HOME),
            traits("Paul", "Smith", birth=BORN, postcodes=HOME),
            0.76,
            ("Same date of birth", "Same postal code"),
        ),
        (
            traits("Alice", "Smith", mailbox="alicesmith@example.com"),
            traits("Al", mailbox="alicesmith@example.com"),
            0.9,
            ("E-mail addresses lead to the same mailbox",),
        ),
        (
            traits("Alice", mailbox="alicesmith@example.com"),
            traits("Alice", mailbox="alicesmith@example.org"),
            0.7,
            ("E-mail addresses are the same before the @", "Same name"),
        ),
        # Everybody has an info@.
        (traits("Al", mailbox="info@example.com"), traits("Bo", mailbox="info@example.org"), 0.0, ()),
        (
            traits("Alice", phone_tail="207183875"),
            traits("Bob", phone_tail="207183875"),
            0.6,
            ("Phone numbers end in the same 9 digits",),
        ),
        (
            traits("Alice", "Smith", birth=date(1990, 2, 3)),
            traits("Alice", "Smith", birth=date(1990, 3, 2)),
            0.64,
            ("Same name", "Dates of birth with day and month swapped"),
        ),
        # Father and son.
        (
            traits("John", "Smith", birth=date(1960, 1, 1), postcodes=HOME),
            traits("John", "Smith", birth=BORN, postcodes=HOME),
            0.192,
            ("Same name", "Same postal code", "But the dates of birth differ"),
        ),
    ],
)
def test_score_and_reasons(a: Traits, b: Traits, score: float, reasons: tuple[str, ...]) -> None:
    assert (compare(a, b).score, compare(a, b).reasons) == (score, reasons)
    assert compare(b, a) == compare(a, b)


def test_a_group_is_as_alike_as_the_one_who_fits_least() -> None:
    alice = traits("Alice", "Smith", birth=BORN, postcodes=HOME)
    same = traits("Alice", "Smith", birth=BORN, postcodes=HOME)
    like = traits("Alice", "Smith", postcodes=HOME)
    assert compare_group([alice, same]).score == 0.856
    assert compare_group([alice, same, like]).score == 0.64
