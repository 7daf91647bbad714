"""From when on points can be spent, and how long they last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from loyalty.rules.calendar import day_after_months, midnight

AFTER_EARNING = "earning"
AFTER_INACTIVITY = "inactivity"


@dataclass(frozen=True, slots=True)
class Pending:
    """A purchase's points can be spent when so many days are over: that of the purchase, and `days` more."""

    days: int
    timezone: str

    def ends_at(self, earned_at: datetime) -> datetime:
        """The first instant at which they can be spent: a midnight of the zone, in UTC."""
        zone = ZoneInfo(self.timezone)
        return midnight(earned_at.astimezone(zone).date() + timedelta(days=self.days + 1), zone)


@dataclass(frozen=True, slots=True)
class Expiry:
    """Points last `months`, to the end of that day or, with `month_end`, of that month.

    `after` says from when: `earning`, or `inactivity`: the member's last activity. Days and months are those of
    `timezone`, the merchant's when the rules were made: so a stored rule never changes.
    """

    months: int
    month_end: bool
    timezone: str
    after: str = AFTER_EARNING

    def ends_at(self, begun_at: datetime) -> datetime:
        """The first instant at which the points are over: a midnight of the zone, in UTC.

        A month without the day of the beginning counts to its last one: 31 January and a month is 28 February.
        """
        return day_after_months(begun_at, self.months, ZoneInfo(self.timezone), month_end=self.month_end)
