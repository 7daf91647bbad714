"""Any number of returns of parts takes what one return of their sum takes."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudpos.checkout.bulk import load_history
from customers.models import Customer
from loyalty.models import Program, Shortfall
from loyalty.rules import taken_back
from tests.fixtures import Shop
from tests.tills import books, bring_back, findings, minutes, move, register, sell

CENTS = st.integers(1, 500_00)


@given(gross=st.integers(0, 10**9), sold=CENTS, cuts=st.lists(st.integers(0, 500_00), max_size=12))
def test_parts_take_what_the_whole_takes(gross: int, sold: int, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, sold) for cut in cuts), sold]
    taken = [
        taken_back(gross, sold, end) - taken_back(gross, sold, begin)
        for begin, end in zip(places, places[1:], strict=False)
    ]
    assert sum(taken) == gross
    assert all(points >= 0 for points in taken)
    # What is back so far, rounded down: in whole numbers, 0 <= exact share - taken < 1.
    so_far = 0
    for end, points in zip(places[1:], taken, strict=True):
        so_far += points
        assert 0 <= gross * end - so_far * sold < sold


@pytest.mark.django_db
@given(parts=st.lists(st.integers(1, 999), min_size=1, max_size=6), spent=st.integers(0, 60))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_at_the_till(shop: Shop, program: Program, parts: list[int], spent: int) -> None:
    """Alice brings all back at once, Bob in parts; both have spent something."""
    whole = Decimal(sum(parts)) / 100
    found = []
    for name, amounts in (("Alice", [whole]), ("Bob", [Decimal(part) / 100 for part in parts])):
        customer: Customer = register(shop, name)
        key = customer.customer_number
        sell(shop.access, customer, f"T-{key}", "61.37", minutes(0))
        if spent:
            move(shop.access, customer, "redeemed", spent, f"X-{key}")
        for number, amount in enumerate(amounts):
            bring_back(shop.access, f"T-{key}", f"R-{key}-{number}", str(amount), minutes(1 + number))
        told = books(customer)
        short = sum(
            Shortfall.objects.filter(enrollment__customer_id=customer.pk).values_list("points", flat=True)
        )
        found.append((told["balance"], told["tier"], told["spend"], sum(told["points"].values()), short))
    assert found[0] == found[1]
    assert findings(shop) == []


@pytest.mark.django_db
def test_in_a_file_that_is_loaded(shop: Shop, program: Program, alice: Customer, bob: Customer) -> None:
    """19 points; a third of the money back takes 6 at once, and in ten parts of 0.66, worth 0 each, as many."""
    for customer, parts in ((alice, ["6.60"]), (bob, ["0.66"] * 10)):
        name = customer.first_name
        sale = {
            "customer_id": customer.pk,
            "store_id": shop.store.pk,
            "transaction_id": f"T-{name}",
            "amount": "19.80",
            "occurred_at": minutes(0),
            "returns": [
                {
                    "store_id": shop.store.pk,
                    "transaction_id": f"R-{name}-{number}",
                    "amount": part,
                    "occurred_at": minutes(1 + number),
                }
                for number, part in enumerate(parts)
            ],
        }
        load_history(access=shop.access, sales=[sale])
    assert (books(alice)["balance"], books(bob)["balance"]) == (13, 13)
    assert findings(shop) == []
