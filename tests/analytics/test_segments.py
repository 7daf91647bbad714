"""analytics.segments: which line decides. No database."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from analytics.metrics import History
from analytics.segments import (
    ACTIVE_DAYS,
    AT_RISK_DAYS,
    DESCRIPTIONS,
    NEW_DAYS,
    Decision,
    Reason,
    Segment,
    decide,
    explain,
)
from customers.models import Customer

TODAY = date(2026, 6, 30)
VIP_VALUE = Decimal("500.00")


def history(*, first: int, last: int, days: int, value: str = "10.00") -> History:
    """`first` and `last` purchase days in days before TODAY."""
    return History(TODAY - timedelta(days=first), TODAY - timedelta(days=last), days, Decimal(value))


@pytest.mark.parametrize(
    ("known", "segment", "reason"),
    [
        (None, Segment.NEW, Reason.NO_PURCHASE),
        (history(first=0, last=0, days=1), Segment.NEW, Reason.FIRST_PURCHASE_RECENT),
        (history(first=NEW_DAYS, last=0, days=4), Segment.NEW, Reason.FIRST_PURCHASE_RECENT),
        (history(first=NEW_DAYS + 1, last=0, days=4), Segment.REGULAR, Reason.AS_USUAL),
        # New comes before VIP, whatever was spent.
        (history(first=NEW_DAYS, last=0, days=4, value="9000"), Segment.NEW, Reason.FIRST_PURCHASE_RECENT),
        (history(first=400, last=5, days=9, value="500.00"), Segment.VIP, Reason.TOP_DECILE),
        (history(first=400, last=5, days=9, value="499.99"), Segment.REGULAR, Reason.AS_USUAL),
        (history(first=400, last=ACTIVE_DAYS, days=9, value="500"), Segment.VIP, Reason.TOP_DECILE),
        # Active ends: 220 days with 8 gaps of 27.4 days are 181 days of silence later beyond both bounds.
        (
            history(first=400, last=ACTIVE_DAYS + 1, days=9, value="500"),
            Segment.CHURNED,
            Reason.SILENT_FOR_LONG,
        ),
        # Gap 60: four of them are 240 days, so 181 days are long but not yet too long.
        (history(first=421, last=181, days=5), Segment.AT_RISK, Reason.SILENT),
        (history(first=480, last=240, days=5), Segment.AT_RISK, Reason.SILENT),
        (history(first=481, last=241, days=5), Segment.CHURNED, Reason.SILENT_FOR_LONG),
        # Gap 10: two of them are 20 days, but two months must pass.
        (history(first=100, last=AT_RISK_DAYS, days=5), Segment.REGULAR, Reason.AS_USUAL),
        (history(first=101, last=AT_RISK_DAYS + 1, days=5), Segment.AT_RISK, Reason.SILENT),
        # One purchase day: no gap of one's own, so never at risk; gone after 180 days.
        (history(first=ACTIVE_DAYS, last=ACTIVE_DAYS, days=1), Segment.REGULAR, Reason.AS_USUAL),
        (history(first=181, last=181, days=1), Segment.CHURNED, Reason.SILENT_FOR_LONG),
        # A purchase that a till dates tomorrow.
        (history(first=40, last=-1, days=2), Segment.REGULAR, Reason.AS_USUAL),
    ],
)
def test_the_first_line_that_holds_decides(known: History | None, segment: Segment, reason: Reason) -> None:
    assert decide(known, today=TODAY, vip_value=VIP_VALUE) == Decision(segment, reason)


def test_without_a_threshold_nobody_is_vip() -> None:
    rich = history(first=400, last=5, days=9, value="100000")
    assert decide(rich, today=TODAY, vip_value=None).segment == Segment.REGULAR


def test_the_usual_gap_is_the_mean_between_purchase_days() -> None:
    known = history(first=100, last=10, days=4)
    assert known.usual_gap_days == 30
    assert known.next_expected_day == TODAY + timedelta(days=20)
    assert history(first=5, last=5, days=1).usual_gap_days is None
    assert history(first=5, last=5, days=1).next_expected_day is None


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (None, "Has not bought anything yet."),
        (history(first=3, last=1, days=2), "First purchase 3 days ago; new for 30 days."),
        (
            history(first=400, last=5, days=9, value="500"),
            "Among the tenth of customers who spent most in 12 months; last purchase 5 days ago.",
        ),
        (history(first=90, last=90, days=1), "One purchase day, 90 days ago."),
        (
            history(first=481, last=241, days=5),
            "Silent for 241 days; used to buy every 60. Gone after 4 gaps and 180 days.",
        ),
        (history(first=101, last=61, days=5), "Silent for 61 days; used to buy every 10."),
        (history(first=100, last=10, days=4), "Buys about every 30 days; last purchase 10 days ago."),
    ],
)
def test_the_decision_in_words(known: History | None, words: str) -> None:
    decision = decide(known, today=TODAY, vip_value=VIP_VALUE)
    assert explain(decision, known, today=TODAY) == words


def test_the_names_are_those_of_the_customer_table() -> None:
    assert {segment.value for segment in Segment} == set(Customer.Segment.values) == set(DESCRIPTIONS)
