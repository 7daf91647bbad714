"""How long points last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from loyalty.rules.calendar import day_after_months


@dataclass(frozen=True, slots=True)
class Expiry:
    """Points last `months` from when they were earned, to the end of that day or, with `month_end`, of that month.

    Days and months are those of `timezone`, the merchant's when the rules were made: so a stored rule never changes.
    """

    months: int
    month_end: bool
    timezone: str

    def ends_at(self, earned_at: datetime) -> datetime:
        """The first instant at which the points are over: a midnight of the zone, in UTC.

        A month without the day of earning counts to its last one: 31 January and a month is 28 February.
        """
        return day_after_months(earned_at, self.months, ZoneInfo(self.timezone), month_end=self.month_end)
