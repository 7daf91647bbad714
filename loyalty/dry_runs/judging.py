"""A promotion given to past purchases, customer by customer, beside what others really gave.

The caps of one customer are counted along that customer's purchases. A cap for all is counted in the order of time, across
customers: until it is used up it changes nothing, and from then on nothing is given. So a first reading without it finds the
quarter of an hour in which it ends; in a second one only the purchases of that quarter have to be put in order.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from loyalty.dry_runs.reading import Given, Person
from loyalty.rules import SalePoints
from loyalty.rules.promotions import Award, Caps, Occasion, PromotionRule, Used, award, is_excluded

QUARTER_SECONDS = 900
NOTHING: Given = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What the promotion gives for a purchase (None: nothing), `mine` what it really gave, and `lost` what others gave
    that it keeps out. `points` is the purchase as it was."""

    person: Person
    points: SalePoints
    given: Award | None
    mine: int
    lost: int

    @property
    def place(self) -> tuple[datetime, tuple[str, uuid.UUID]]:
        """Its place in the order of time."""
        return self.points.sale.at, self.points.sale.reference

    def after(self) -> SalePoints | None:
        """The purchase with the promotion; None when that changes nothing."""
        change = (self.given.points if self.given is not None else 0) - self.mine - self.lost
        if not change:
            return None
        points = self.points
        awarded = points.sale.awarded + change
        sale = replace(points.sale, awarded=awarded)
        return SalePoints(sale, points.base + awarded, points.tier, points.rules, points.returned)

    @property
    def awards(self) -> tuple[Award, ...]:
        return (self.given,) if self.given is not None else ()


class Judge:
    """Gives a promotion without its caps for all. One judge for one reading."""

    def __init__(
        self, rule: PromotionRule, zones: dict[uuid.UUID, ZoneInfo], others: dict[uuid.UUID, PromotionRule]
    ) -> None:
        caps = replace(rule.caps, total_times=None, total_points=None)
        self.rule = replace(rule, caps=caps)
        self.zones = zones
        self.others = others

    def judge(self, person: Person, bought: Iterator[tuple[int, SalePoints]]) -> Iterator[Judged]:
        """A person's purchases in the order of time, each with its number among all that they ever made."""
        used: dict[Any, tuple[int, int]] = {}
        for visit, points in bought:
            gifts = person.given.get(points.sale.id, NOTHING)
            mine = sum(much for which, much in gifts if which == self.rule.id)
            given = self._offer(person, points, visit, used)
            lost = 0
            if given is not None and gifts:
                beside = [(self.others[which], much) for which, much in gifts if which in self.others]
                earlier = [other for other, _ in beside if other.precedence < self.rule.precedence]
                if is_excluded(self.rule, earlier):
                    given = None
                else:
                    lost = sum(
                        much
                        for other, much in beside
                        if other.precedence > self.rule.precedence
                        and (other.exclusive or self.rule.exclusive)
                    )
            if given is not None and self.rule.caps.of_customer:
                day = self._day(points)
                times, much = used.get(day, (0, 0))
                used[day] = (times + 1, much + given.points)
            yield Judged(person, points, given, mine, lost)

    def _offer(
        self, person: Person, points: SalePoints, visit: int, used: dict[Any, tuple[int, int]]
    ) -> Award | None:
        sale, rules = points.sale, points.rules
        if rules is None or not rules.takes_part(sale.reference[1]):
            return None
        occasion = Occasion(
            sale=sale,
            rules=rules,
            tier=points.tier,
            local=sale.at.astimezone(self.zones[sale.reference[1]]),
            segment=person.segment,
            birthday=person.birthday,
            visit=visit,
        )
        usage = {}
        if used:
            usage[self.rule.id] = Used(*used.get(self._day(points), (0, 0)))
        (given,) = award(occasion, [self.rule], usage)
        return given if given.applies else None

    def _day(self, points: SalePoints) -> date | None:
        """What the caps of one customer are counted by: the day, or None for ever."""
        if not self.rule.caps.each_day:
            return None
        return points.sale.at.astimezone(self.zones[points.sale.reference[1]]).date()


class TotalCap:
    """When a cap for all is used up, and what is left of it for the purchases of that quarter of an hour."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self._quarters: dict[int, tuple[int, int]] = {}
        # The quarter in which it ends, and (times, points) given before that; None: it never does.
        self._last: int | None = None
        self._before = (0, 0)
        self._waiting: list[Judged] = []

    def count(self, judged: Judged) -> None:
        """The first reading: what would be given without the cap."""
        if judged.given is not None:
            quarter = _quarter(judged)
            times, points = self._quarters.get(quarter, (0, 0))
            self._quarters[quarter] = (times + 1, points + judged.given.points)

    def close(self) -> None:
        """After the first reading."""
        times = points = 0
        for quarter in sorted(self._quarters):
            more = self._quarters[quarter]
            if self._is_used_up(times + more[0], points + more[1]):
                self._last, self._before = quarter, (times, points)
                break
            times, points = times + more[0], points + more[1]
        self._quarters.clear()

    def settle(self, judged: Judged) -> Judged | None:
        """The second reading: what is given with the cap; None when that is known at the end only."""
        if judged.given is None or self._last is None:
            return judged
        quarter = _quarter(judged)
        if quarter == self._last:
            self._waiting.append(judged)
            return None
        return judged if quarter < self._last else replace(judged, given=None, lost=0)

    def rest(self) -> Iterator[Judged]:
        """After the second reading: the purchases that were waited for."""
        times, points = self._before
        for judged in sorted(self._waiting, key=lambda one: one.place):
            given = judged.given
            if given is None or self._is_used_up(times, points):
                yield replace(judged, given=None, lost=0)
                continue
            most = self.caps.total_points
            if most is not None and points + given.points > most:
                given = replace(given, points=most - points, is_rest=True)
            times, points = times + 1, points + given.points
            yield replace(judged, given=given)

    def _is_used_up(self, times: int, points: int) -> bool:
        most_times, most_points = self.caps.total_times, self.caps.total_points
        return (most_times is not None and times >= most_times) or (
            most_points is not None and points >= most_points
        )


def _quarter(judged: Judged) -> int:
    return int(judged.points.sale.at.timestamp()) // QUARTER_SECONDS
