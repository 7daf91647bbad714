"""The five lifecycle segments as rules. Pure: the day and the merchant's threshold are passed in.

The first line that holds decides:

1. new       no purchase yet, or the first one at most 30 days ago
2. vip       active (silent for at most 180 days) and in the top tenth of the merchant's customers by 12-month value
3. churned   silent for more than 4 usual gaps and more than 180 days
4. at_risk   two or more purchase days, silent for more than 2 usual gaps and more than 60 days
5. regular   the rest

Who bought on one day only has no usual gap: 45 days stand in for it.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from analytics.metrics import History

NEW_DAYS = 30
ACTIVE_DAYS = 180
CHURNED_GAPS = 4.0
AT_RISK_GAPS = 2.0
AT_RISK_DAYS = 60
GAP_DAYS_UNKNOWN = 45.0
VIP_SHARE = Decimal("0.1")
# Of fewer customers with any spend nobody is the top tenth.
VIP_CUSTOMERS_MIN = 10


class Segment(StrEnum):
    NEW = "new"
    REGULAR = "regular"
    VIP = "vip"
    AT_RISK = "at_risk"
    CHURNED = "churned"


class Reason(StrEnum):
    """Which line decided."""

    NO_PURCHASE = "no_purchase_yet"
    FIRST_PURCHASE_RECENT = "first_purchase_recent"
    TOP_DECILE = "top_decile_and_active"
    SILENT_FOR_LONG = "silent_beyond_churn"
    SILENT = "silent_beyond_usual"
    AS_USUAL = "buys_as_usual"


@dataclass(frozen=True, slots=True)
class Decision:
    segment: Segment
    reason: Reason


def decide(history: History | None, *, today: date, vip_value: Decimal | None) -> Decision:
    """The segment of a customer on a day. `vip_value` is the least 12-month value of the top tenth, None for nobody."""
    if history is None:
        return Decision(Segment.NEW, Reason.NO_PURCHASE)
    if history.age_days(today=today) <= NEW_DAYS:
        return Decision(Segment.NEW, Reason.FIRST_PURCHASE_RECENT)
    silence = history.silence_days(today=today)
    if silence <= ACTIVE_DAYS and vip_value is not None and history.value >= vip_value:
        return Decision(Segment.VIP, Reason.TOP_DECILE)
    gap = history.usual_gap_days
    usual = GAP_DAYS_UNKNOWN if gap is None else gap
    if silence > ACTIVE_DAYS and silence > CHURNED_GAPS * usual:
        return Decision(Segment.CHURNED, Reason.SILENT_FOR_LONG)
    if gap is not None and silence > AT_RISK_DAYS and silence > AT_RISK_GAPS * gap:
        return Decision(Segment.AT_RISK, Reason.SILENT)
    return Decision(Segment.REGULAR, Reason.AS_USUAL)


def explain(decision: Decision, history: History | None, *, today: date) -> str:
    """The decision in words for a store manager."""
    if history is None:
        return "Has not bought anything yet."
    silence = history.silence_days(today=today)
    gap = history.usual_gap_days
    if decision.reason == Reason.FIRST_PURCHASE_RECENT:
        return f"First purchase {history.age_days(today=today)} days ago; new for {NEW_DAYS} days."
    if decision.reason == Reason.TOP_DECILE:
        return f"Among the tenth of customers who spent most in 12 months; last purchase {silence} days ago."
    if gap is None:
        return f"One purchase day, {silence} days ago."
    if decision.reason == Reason.SILENT_FOR_LONG:
        return (
            f"Silent for {silence} days; used to buy every {gap:.0f}. "
            f"Gone after {CHURNED_GAPS:.0f} gaps and {ACTIVE_DAYS} days."
        )
    if decision.reason == Reason.SILENT:
        return f"Silent for {silence} days; used to buy every {gap:.0f}."
    return f"Buys about every {gap:.0f} days; last purchase {silence} days ago."


DESCRIPTIONS = {
    Segment.NEW: f"First purchase at most {NEW_DAYS} days ago, or none yet",
    Segment.REGULAR: "Buys as usual",
    Segment.VIP: f"Top tenth by 12-month value, and bought within {ACTIVE_DAYS} days",
    Segment.AT_RISK: f"Silent for more than {AT_RISK_GAPS:.0f} usual gaps and {AT_RISK_DAYS} days",
    Segment.CHURNED: f"Silent for more than {CHURNED_GAPS:.0f} usual gaps and {ACTIVE_DAYS} days",
}
