"""Figures of one customer's purchases. Pure: the day is passed in.

A purchase day is a calendar day, in the store's zone, with at least one sale that was not wholly taken back.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

# A value window: what was spent, net of returns, in this many days up to today.
VALUE_DAYS = 365


@dataclass(frozen=True, slots=True)
class History:
    """What the rules know of a customer. `value` is the net spend of the last VALUE_DAYS days."""

    first_day: date
    last_day: date
    purchase_days: int
    value: Decimal

    def silence_days(self, *, today: date) -> int:
        """Days since the last purchase day; 0 on the day itself."""
        return max(0, (today - self.last_day).days)

    def age_days(self, *, today: date) -> int:
        """Days since the first purchase day."""
        return max(0, (today - self.first_day).days)

    @property
    def usual_gap_days(self) -> float | None:
        """The mean number of days from one purchase day to the next; None before the second."""
        if self.purchase_days < 2:
            return None
        return (self.last_day - self.first_day).days / (self.purchase_days - 1)

    @property
    def next_expected_day(self) -> date | None:
        """One usual gap after the last purchase; None before the second purchase day."""
        gap = self.usual_gap_days
        return None if gap is None else self.last_day + timedelta(days=round(gap))
