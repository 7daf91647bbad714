import statistics
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.prediction import features
from analytics.prediction.features import feature_matrix, histories_at, horizon_suggestion, purchase_table
from tests.analytics.prediction.merchants import TODAY, merchant, purchases_of

Rows = list[tuple[int, int, float, float]]


def by_hand(rows: Rows, *, as_of: int) -> dict[int, dict[str, float]]:
    """The same columns, customer by customer and day by day."""
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for customer, day, amount, quantity in rows:
        if day <= as_of:
            before = found.setdefault(customer, {}).get(day, (0.0, 0.0))
            found[customer][day] = (before[0] + amount, before[1] + quantity)
    columns = {}
    for customer, by_day in found.items():
        days = sorted(by_day)
        gaps = [after - before for before, after in zip(days, days[1:], strict=False)]
        columns[customer] = {
            "first_day": days[0],
            "last_day": days[-1],
            "purchase_days": len(days),
            **{f"purchases_{n}d": sum(as_of - day < n for day in days) for n in (30, 90, 180, 365)},
            "gap_sd": statistics.stdev(gaps) if len(gaps) > 1 else 0.0,
            "total": sum(amount for amount, _ in by_day.values()),
            "last_amount": by_day[days[-1]][0],
            "spend_90d": sum(amount for day, (amount, _) in by_day.items() if as_of - day < 90),
            "quantity": sum(quantity for _, quantity in by_day.values()),
        }
    return columns


@settings(max_examples=150)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 4),
            st.integers(TODAY - 500, TODAY + 20),
            st.integers(-50, 500).map(float),
            st.integers(0, 9).map(float),
        ),
        max_size=40,
    ),
    as_of=st.integers(TODAY - 200, TODAY + 30),
)
def test_columns_are_those_of_a_count_by_hand(rows: Rows, as_of: int) -> None:
    customer, day, amount, quantity = ([row[place] for row in rows] for place in range(4))
    table = purchase_table(customer=customer, day=day, amount=amount, quantity=quantity, customers=5)
    customers, histories = histories_at(table, as_of=as_of)
    expected = by_hand(rows, as_of=as_of)
    assert customers.tolist() == sorted(expected)
    for place, index in enumerate(customers.tolist()):
        for column, value in expected[index].items():
            assert getattr(histories, column)[place] == pytest.approx(value), column


def test_purchases_of_a_day_are_one() -> None:
    _, histories = histories_at(purchases_of(TODAY - 9, TODAY, TODAY), as_of=TODAY)
    assert histories.purchase_days.tolist() == [2]
    assert histories.total.tolist() == [30.0]
    assert histories.last_amount.tolist() == [20.0]
    assert (histories.recency.tolist(), histories.tenure.tolist(), histories.repeats.tolist()) == (
        [0],
        [9],
        [1],
    )


def test_a_clock_change_is_no_gap() -> None:
    # The last Sunday of March has 23 hours in London; days are counted, not hours.
    days = [(date(2024, 3, 29) + timedelta(days=number)).toordinal() for number in range(4)]
    _, histories = histories_at(purchases_of(*days), as_of=days[-1])
    assert histories.gap_sd.tolist() == [0.0]
    assert histories.tenure.tolist() == [3]


def test_a_gap_is_shrunk_to_the_populations() -> None:
    _, once = histories_at(purchases_of(TODAY - 40), as_of=TODAY)
    _, twice = histories_at(purchases_of(TODAY - 40, TODAY - 20), as_of=TODAY)
    assert features.shrunk_gap(once, prior_days=90.0).tolist() == [90.0]
    assert features.shrunk_gap(twice, prior_days=90.0).tolist() == [55.0]
    assert features.population_gap_days(twice) == 20.0
    assert features.population_gap_days(once) == features.GAP_DAYS_DEFAULT


def test_the_matrix() -> None:
    _, histories = histories_at(purchases_of(TODAY - 40, TODAY - 20), as_of=TODAY)
    row = dict(
        zip(features.FEATURES, np.expm1(feature_matrix(histories, gap_prior_days=90.0)[0]), strict=True)
    )
    assert row == pytest.approx(
        {
            "recency": 20,
            "tenure": 40,
            "purchase_days": 2,
            "last_day_in_tenure": 0.5,
            "purchases_30d": 1,
            "purchases_90d": 2,
            "purchases_180d": 2,
            "purchases_365d": 2,
            "mean_gap": 55,
            "gap_sd": 0,
            "recency_in_gaps": 20 / 55,
            "total_spend": 20,
            "mean_spend": 10,
            "last_spend": 10,
            "spend_90d": 20,
            "mean_quantity": 1,
        }
    )


def test_the_schema_is_pinned() -> None:
    """A change here makes every stored model unusable: raise VERSION, and say so in the commit."""
    assert features.FEATURE_SCHEMA == "57837b5a85be7823"


def test_a_suggestion_for_the_horizon() -> None:
    assert horizon_suggestion(purchases_of(TODAY)) is None
    assert horizon_suggestion(purchases_of(TODAY - 100, TODAY - 60, TODAY)) == round(40 + 0.85 * 20)
    assert horizon_suggestion(purchases_of(TODAY - 2, TODAY - 1, TODAY)) == 14
    assert horizon_suggestion(purchases_of(TODAY - 900, TODAY)) == 365


def test_every_kth_customer_keeps_their_number() -> None:
    table = merchant(customers=20)
    part = table.every(3)
    assert set(part.customer.tolist()) == set(range(0, 20, 3))
    assert part.customers == 20


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        purchase_table(customer=[0], day=[1, 2], amount=[1.0], quantity=[1.0], customers=1)
    for customer in (-1, 1):
        with pytest.raises(ValueError, match="out of range"):
            purchase_table(customer=[customer], day=[1], amount=[1.0], quantity=[1.0], customers=1)
