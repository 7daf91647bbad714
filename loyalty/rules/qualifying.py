"""What counts towards tiers, from when to when."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from loyalty.rules.calendar import day_after_months, midnight, months_before, new_year

METRICS = ("spend", "points")
WINDOWS = ("lifetime", "rolling", "calendar_year")
DOWNGRADES = ("immediate", "period_end", "never")
HUNDREDTHS = 100


@dataclass(frozen=True, slots=True)
class Qualification:
    """What counts towards tiers, for how long, and what happens when it no longer suffices.

    `metric`: net `spend`, or `points` that purchases earned. `window`: `lifetime`; `rolling`, to the end of the day
    `months` later; `calendar_year`, to the end of the year. `downgrade`: `immediate`, as soon as the sum falls;
    `period_end`, a tier is kept for as long again as the window is (`months` after the last purchase that reached it; to
    the end of the next year); `never`. `grace_days` come on top. Days are those of `timezone`.
    """

    metric: str = "spend"
    window: str = "lifetime"
    months: int = 0
    downgrade: str = "immediate"
    grace_days: int = 0
    timezone: str = "UTC"

    @property
    def is_lifetime(self) -> bool:
        """Whether the sum of all purchases alone decides: there is no window to leave."""
        return self.window == "lifetime"

    def leaves_at(self, at: datetime) -> datetime | None:
        """The first instant at which a purchase of `at` no longer counts; None: it always does."""
        if self.window == "rolling":
            return _after_months(self.timezone, at, self.months)
        if self.window == "calendar_year":
            return new_year(at, ZoneInfo(self.timezone))
        return None

    def counts_from(self, at: datetime) -> date | None:
        """The first day whose purchases still count at an instant; None: all do."""
        zone = ZoneInfo(self.timezone)
        today = at.astimezone(zone).date()
        if self.window == "calendar_year":
            return date(today.year, 1, 1)
        if self.window == "lifetime":
            return None
        day = months_before(today, self.months)
        # Of the days that a short month moves to its last one, some have left.
        while day_after_months(midnight(day, zone), self.months, zone) <= at:
            day += timedelta(days=1)
        return day

    def reach_holds_until(self, at: datetime) -> datetime | None:
        """With `period_end` or `never`: the first instant at which what a purchase of `at` reached no longer holds."""
        if self.downgrade == "never":
            return None
        zone = ZoneInfo(self.timezone)
        if self.window == "rolling":
            return self.with_grace(_after_months(self.timezone, at, self.months))
        return self.with_grace(new_year(at, zone, years=2))

    def with_grace(self, at: datetime) -> datetime:
        """The midnight so many days of grace after one at which a tier would end.

        By days, not by the clock: a day whose first hour is left out begins at 1:00, the one after it does not.
        """
        if not self.grace_days:
            return at
        zone = ZoneInfo(self.timezone)
        return midnight(at.astimezone(zone).date() + timedelta(days=self.grace_days), zone)

    def falls_at_first(self, sale_at: datetime, amount_until: datetime | None) -> datetime | None:
        """A tier that a purchase reached at `sale_at` is kept at least until then; None: for ever."""
        if self.downgrade == "immediate":
            return amount_until
        return self.reach_holds_until(sale_at)

    def as_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "window": self.window,
            "months": self.months,
            "downgrade": self.downgrade,
            "graceDays": self.grace_days,
            "timezone": self.timezone,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Qualification:
        return cls(
            stored["metric"], stored["window"], stored["months"], stored["downgrade"], stored["graceDays"],
            stored["timezone"],
        )  # fmt: skip


@lru_cache(maxsize=65_536)
def _after_months(timezone: str, at: datetime, months: int) -> datetime:
    return day_after_months(at, months, ZoneInfo(timezone))


LIFETIME_SPEND = Qualification()


class Window:
    """A course as one qualification sees it: when each purchase leaves, what it reached, and how long that holds."""

    __slots__ = ("holds", "leaves", "reaches", "rule", "sums")

    def __init__(self, rule: Qualification) -> None:
        self.rule = rule
        self.leaves: list[datetime] = []
        self.holds: list[datetime] = []
        # What the purchases before each place count for in all, and what counted at each when it was made.
        self.sums = [0]
        self.reaches: list[int] = []

    def follow(self, at: list[datetime], counts: list[int]) -> None:
        """Take in what was added since."""
        for when in at[len(self.leaves) :]:
            leaves = self.rule.leaves_at(when)
            assert leaves is not None
            self.leaves.append(leaves)
            if self.rule.downgrade == "period_end":
                holds = self.rule.reach_holds_until(when)
                assert holds is not None
                self.holds.append(holds)
        for place in range(len(self.reaches), len(at)):
            self.sums.append(self.sums[place] + counts[place])
            left = bisect_right(self.leaves, at[place], hi=place)
            self.reaches.append(self.sums[place + 1] - self.sums[left])

    def forget(self, place: int) -> None:
        """What the purchase at this place counts for has changed."""
        del self.sums[place + 1 :], self.reaches[place:]


@dataclass(slots=True)
class Course:
    """What a customer's purchases count for, in the order of their instants; `total` is the sum of all of them.

    No purchase counts for less than nothing: its returns are at most itself.
    """

    at: list[datetime] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    total: int = 0
    _place: dict[uuid.UUID, int] = field(default_factory=dict)
    _windows: dict[Qualification, Window] = field(default_factory=dict, compare=False)

    def add(self, sale_id: uuid.UUID, at: datetime, count: int) -> None:
        """A purchase, no earlier than those before it."""
        self._place[sale_id] = len(self.at)
        self.at.append(at)
        self.counts.append(count)
        self.total += count

    def lower(self, sale_id: uuid.UUID, by: int) -> None:
        """A return of a purchase that is here, or of one before all of these."""
        place = self._place.get(sale_id)
        if place is not None:
            self.counts[place] -= by
            for window in self._windows.values():
                window.forget(place)
        self.total -= by

    def window(self, rule: Qualification) -> Window:
        """By a qualification that is not for a lifetime."""
        found = self._windows.get(rule)
        if found is None:
            found = self._windows[rule] = Window(rule)
        found.follow(self.at, self.counts)
        return found
