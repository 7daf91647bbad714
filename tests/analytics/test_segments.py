"""analytics.segments: which line decides, in Python and in SQL."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.models import AnalyticsSettings
from analytics.segmenting import REASON, SEGMENT, rule_parameters
from analytics.segments import SEGMENT_OF, Decision, Facts, Reason, Rules, Segment, decide, describe, explain
from analytics.thresholds import RULE_NAMES
from customers.models import Customer

TODAY = date(2026, 6, 30)
VIP_CENTS = 50_000
RULES = Rules()


def facts(*, first: int, last: int, days: int, cents: int = 1_000, churn: float = 0.5) -> Facts:
    """`first` and `last` purchase days in days before TODAY."""
    return Facts(TODAY, TODAY - timedelta(days=first), TODAY - timedelta(days=last), days, cents, churn)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (None, Reason.NO_PURCHASE),
        (facts(first=0, last=0, days=1), Reason.FIRST_PURCHASE_RECENT),
        (facts(first=30, last=0, days=4), Reason.FIRST_PURCHASE_RECENT),
        (facts(first=31, last=0, days=4), Reason.AS_USUAL),
        # New comes before VIP, whatever was spent, and before churned, whatever is expected.
        (facts(first=30, last=0, days=4, cents=900_000, churn=0.99), Reason.FIRST_PURCHASE_RECENT),
        (facts(first=400, last=5, days=9, cents=50_000), Reason.TOP_SHARE),
        (facts(first=400, last=5, days=9, cents=49_999), Reason.AS_USUAL),
        (facts(first=400, last=180, days=9, cents=50_000), Reason.TOP_SHARE),
        # VIP comes before churned as long as it is active.
        (facts(first=400, last=180, days=9, cents=50_000, churn=0.99), Reason.TOP_SHARE),
        (facts(first=400, last=181, days=9, cents=50_000), Reason.SILENT_FOR_LONG),
        (facts(first=100, last=60, days=3, churn=0.9), Reason.UNLIKELY_TO_RETURN),
        (facts(first=60, last=60, days=1, churn=0.9), Reason.UNLIKELY_TO_RETURN),
        # Gap 60: four of them are 240 days, so 181 days are long but not yet too long.
        (facts(first=421, last=181, days=5), Reason.AS_USUAL),
        (facts(first=480, last=240, days=5), Reason.AS_USUAL),
        (facts(first=481, last=241, days=5), Reason.SILENT_FOR_LONG),
        # One purchase day: no gap of one's own.
        (facts(first=180, last=180, days=1), Reason.AS_USUAL),
        (facts(first=181, last=181, days=1), Reason.SILENT_FOR_LONG),
        (facts(first=100, last=60, days=2, churn=0.6), Reason.MAY_NOT_RETURN),
        (facts(first=100, last=60, days=2, churn=0.59), Reason.AS_USUAL),
        # Of who came once nobody can say that they come less often.
        (facts(first=100, last=100, days=1, churn=0.89), Reason.AS_USUAL),
    ],
)
def test_the_first_line_that_holds_decides(known: Facts | None, reason: Reason) -> None:
    assert decide(known, RULES, vip_cents=VIP_CENTS) == Decision(SEGMENT_OF[reason], reason)


def test_without_a_vip_value_nobody_is_vip() -> None:
    rich = facts(first=400, last=5, days=9, cents=10_000_000)
    assert decide(rich, RULES, vip_cents=None).segment == Segment.REGULAR


def test_a_merchants_own_thresholds_decide() -> None:
    known = facts(first=100, last=60, days=2, churn=0.5)
    assert decide(known, Rules(new_days=100), vip_cents=None).segment == Segment.NEW
    assert decide(known, Rules(at_risk_probability=0.5), vip_cents=None).segment == Segment.AT_RISK
    assert decide(known, Rules(churned_probability=0.5), vip_cents=None).segment == Segment.CHURNED


rules = st.builds(
    Rules,
    new_days=st.integers(1, 60),
    active_days=st.integers(1, 400),
    churned_probability=st.floats(0, 1),
    churned_gaps=st.floats(1, 8),
    churned_days=st.integers(1, 400),
    at_risk_probability=st.floats(0, 1),
    at_risk_purchase_days=st.integers(1, 5),
)


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    first = draw(st.integers(0, 800))
    last = draw(st.integers(0, first))
    days = 1 if first == last else draw(st.integers(2, first - last + 1))
    return facts(
        first=first, last=last, days=days, cents=draw(st.integers(0, 100_000)), churn=draw(st.floats(0, 1))
    )


@pytest.mark.django_db
@settings(max_examples=300)
@given(known=st.none() | any_facts(), own=rules, vip_cents=st.none() | st.integers(0, 100_000))
def test_sql_decides_as_python_does(known: Facts | None, own: Rules, vip_cents: int | None) -> None:
    parameters = rule_parameters(own, vip_cents=vip_cents)
    row = {
        "id": None if known is None else 1,
        **{name: None if known is None else getattr(known, name) for name in Facts.__slots__},
    }
    columns = {
        "id": "int",
        "as_of": "date",
        "first_day": "date",
        "last_day": "date",
        "purchase_days": "int",
        "spend_365d_cents": "bigint",
        "churn": "float8",
    }
    values = ", ".join(f"%(row_{name})s::{type} AS {name}" for name, type in columns.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {REASON}, {SEGMENT} FROM (SELECT {values}) f",
            parameters | {f"row_{name}": row[name] for name in columns},
        )
        found = cursor.fetchone()
    decision = decide(known, own, vip_cents=vip_cents)
    assert found == (decision.reason.value, decision.segment.value)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (None, "Has not bought anything yet."),
        (facts(first=3, last=1, days=2), "First purchase 3 days ago; new for 30 days."),
        (
            facts(first=400, last=1, days=9, cents=50_000),
            "Among the 10 % of customers who spent most in 12 months; last purchase 1 day ago.",
        ),
        (
            facts(first=90, last=90, days=1, churn=0.925),
            "Last purchase 90 days ago. With a probability of 92.5 % no purchase in the next 90 days: churned from 90 % on.",
        ),
        (
            facts(first=481, last=241, days=5),
            "Last purchase 241 days ago, usually every 60 days. Churned after 4 usual gaps and 180 days.",
        ),
        (
            facts(first=101, last=61, days=5, churn=0.61),
            "Last purchase 61 days ago, usually every 10 days. With a probability of 61 % no purchase in the next 90 days:"
            " at risk from 60 % on with 2 or more purchase days.",
        ),
        (
            facts(first=100, last=10, days=4),
            "Last purchase 10 days ago, usually every 30 days. No other line of the rules holds.",
        ),
    ],
)
def test_the_decision_in_words(known: Facts | None, words: str) -> None:
    decision = decide(known, RULES, vip_cents=VIP_CENTS)
    assert explain(decision.reason, known, RULES) == words


def test_the_names_are_those_of_the_customer_table() -> None:
    assert {segment.value for segment in Segment} == set(Customer.Segment.values) == set(SEGMENT_OF.values())
    assert all(describe(segment, RULES) for segment in Segment)


def test_the_rules_are_what_a_merchant_may_set() -> None:
    columns = {column.name: column.get_default() for column in AnalyticsSettings._meta.concrete_fields}
    assert {name: columns[name] for name in RULE_NAMES} == {name: getattr(RULES, name) for name in RULE_NAMES}
    assert columns["vip_share"] == Decimal("0.100")
