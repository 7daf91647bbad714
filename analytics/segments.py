"""The five lifecycle segments as rules. Pure: the day, the merchant's thresholds and its VIP value are passed in.

The first line that holds decides:

1. new       no purchase yet, or the first one at most `new_days` ago
2. vip       active (silent for at most `active_days`) and in the top `vip_share` of the merchant's customers by 12-month value
3. churned   no purchase within the horizon with a probability of at least `churned_probability`,
             or silent for more than `churned_gaps` usual gaps and more than `churned_days` days
4. at_risk   no purchase within the horizon with a probability of at least `at_risk_probability`,
             and at least `at_risk_purchase_days` purchase days
5. regular   the rest

Who bought on one day only has no usual gap: 45 days stand in for it. `analytics.segmenting` says the same in SQL.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

GAP_DAYS_UNKNOWN = 45.0
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
    TOP_SHARE = "top_share_and_active"
    UNLIKELY_TO_RETURN = "unlikely_to_return"
    SILENT_FOR_LONG = "silent_beyond_churn"
    MAY_NOT_RETURN = "may_not_return"
    AS_USUAL = "buys_as_usual"


SEGMENT_OF = {
    Reason.NO_PURCHASE: Segment.NEW,
    Reason.FIRST_PURCHASE_RECENT: Segment.NEW,
    Reason.TOP_SHARE: Segment.VIP,
    Reason.UNLIKELY_TO_RETURN: Segment.CHURNED,
    Reason.SILENT_FOR_LONG: Segment.CHURNED,
    Reason.MAY_NOT_RETURN: Segment.AT_RISK,
    Reason.AS_USUAL: Segment.REGULAR,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """A merchant's thresholds: see AnalyticsSettings, whose defaults these are. Probabilities and shares are 0..1."""

    horizon_days: int = 90
    new_days: int = 30
    active_days: int = 180
    vip_share: Decimal = Decimal("0.100")
    churned_probability: float = 0.9
    churned_gaps: float = 4.0
    churned_days: int = 180
    at_risk_probability: float = 0.6
    at_risk_purchase_days: int = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules know of a customer by the end of the day `as_of`. `churn`: the probability of no purchase in the horizon."""

    as_of: date
    first_day: date
    last_day: date
    purchase_days: int
    spend_365d_cents: int
    churn: float

    @property
    def silence_days(self) -> int:
        return (self.as_of - self.last_day).days

    @property
    def age_days(self) -> int:
        """Days since the first purchase day."""
        return (self.as_of - self.first_day).days

    @property
    def usual_gap_days(self) -> float | None:
        """The mean number of days from one purchase day to the next; None before the second."""
        if self.purchase_days < 2:
            return None
        return (self.last_day - self.first_day).days / (self.purchase_days - 1)


@dataclass(frozen=True, slots=True)
class Decision:
    segment: Segment
    reason: Reason


def decide(facts: Facts | None, rules: Rules, *, vip_cents: int | None) -> Decision:
    """The segment of a customer. `vip_cents` is the least 12-month value of the top share, None for nobody."""
    reason = _reason(facts, rules, vip_cents)
    return Decision(SEGMENT_OF[reason], reason)


def _reason(facts: Facts | None, rules: Rules, vip_cents: int | None) -> Reason:
    if facts is None:
        return Reason.NO_PURCHASE
    if facts.age_days <= rules.new_days:
        return Reason.FIRST_PURCHASE_RECENT
    silence = facts.silence_days
    if silence <= rules.active_days and vip_cents is not None and facts.spend_365d_cents >= vip_cents:
        return Reason.TOP_SHARE
    if facts.churn >= rules.churned_probability:
        return Reason.UNLIKELY_TO_RETURN
    gap = facts.usual_gap_days
    usual = GAP_DAYS_UNKNOWN if gap is None else gap
    if silence > rules.churned_days and silence > rules.churned_gaps * usual:
        return Reason.SILENT_FOR_LONG
    if facts.churn >= rules.at_risk_probability and facts.purchase_days >= rules.at_risk_purchase_days:
        return Reason.MAY_NOT_RETURN
    return Reason.AS_USUAL


def explain(reason: Reason, facts: Facts | None, rules: Rules) -> str:
    """The decision in words for a store manager, with the line that decided."""
    if facts is None:
        return "Has not bought anything yet."
    silence, gap = facts.silence_days, facts.usual_gap_days
    habit = f"Last purchase {days(silence)} ago" + ("" if gap is None else f", usually every {days(gap)}")
    chance = f"{habit}. With a probability of {percent(facts.churn)} no purchase in the next {days(rules.horizon_days)}"
    match reason:
        case Reason.FIRST_PURCHASE_RECENT:
            return f"First purchase {days(facts.age_days)} ago; new for {days(rules.new_days)}."
        case Reason.TOP_SHARE:
            return (
                f"Among the {percent(float(rules.vip_share))} of customers who spent most in 12 months;"
                f" last purchase {days(silence)} ago."
            )
        case Reason.UNLIKELY_TO_RETURN:
            return f"{chance}: churned from {percent(rules.churned_probability)} on."
        case Reason.SILENT_FOR_LONG:
            return f"{habit}. Churned after {rules.churned_gaps:g} usual gaps and {days(rules.churned_days)}."
        case Reason.MAY_NOT_RETURN:
            return (
                f"{chance}: at risk from {percent(rules.at_risk_probability)} on"
                f" with {rules.at_risk_purchase_days} or more purchase days."
            )
        case _:
            return f"{habit}. No other line of the rules holds."


def days(number: float) -> str:
    """ "1 day", "12 days"."""
    whole = f"{number:.0f}"
    return f"{whole} day" if whole == "1" else f"{whole} days"


def percent(share: float) -> str:
    """ "90 %", "0.5 %"."""
    return f"{share * 100:.3g} %"


def describe(segment: Segment, rules: Rules) -> str:
    """What a segment is by the merchant's own thresholds."""
    match segment:
        case Segment.NEW:
            return f"First purchase at most {days(rules.new_days)} ago, or none yet"
        case Segment.VIP:
            return f"Top {percent(float(rules.vip_share))} by 12-month value, and bought within {days(rules.active_days)}"
        case Segment.CHURNED:
            return (
                f"No purchase in {days(rules.horizon_days)} with a probability of {percent(rules.churned_probability)} or more,"
                f" or silent for more than {rules.churned_gaps:g} usual gaps and {days(rules.churned_days)}"
            )
        case Segment.AT_RISK:
            return (
                f"No purchase in {days(rules.horizon_days)} with a probability of {percent(rules.at_risk_probability)} or more,"
                f" and at least {days(rules.at_risk_purchase_days)} with a purchase"
            )
        case _:
            return "Buys as usual"
