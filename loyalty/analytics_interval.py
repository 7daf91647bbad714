"""How far the expected breakage may be off: a prediction interval, for what will in truth be left of the points outstanding.

The error has two parts (Mack 1993): what the months to come do by chance, and what those on record did, from which the
rates were estimated. Both are sums of surprises: of the points of one month of earning at one age, how many more turned out to
be redeemed in the end than was expected before that month (the increments of a martingale, so those of different ages do not
hang together by themselves). Each surprise of the past counts as often as its rate is applied to points outstanding.

Points are not spent one by one: a member spends many at once, of several months of earning; in one month everybody spends
more; one month's members are more eager than another's. So surprises have three moments, estimated from the past: how much
larger they are than those of independent points (Wedderburn 1974), and how much of that two cells of the same calendar month,
and two of the same month of earning, have in common (clustering both ways: Cameron, Gelbach and Miller 2011). An interval that
takes months of earning for independent covers the truth in a third of the cases: the members of one are those of the next.

No database. `tests/loyalty/test_analytics_breakage.py` plays programs whose breakage is known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

NORMAL_95 = 1.959964

# Points at risk at the beginning of a month, and how many of them were redeemed, expired and removed in it.
Row = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Open:
    """Points outstanding of one month of earning, by now of this age in months."""

    month: int
    age: int
    points: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A month of earning at an age. `scale` is the standard deviation that independent points would have."""

    month: int
    age: int
    scale: float
    surprise: float = 0.0


class LifeTable:
    """What becomes of points by age: the rates of all months of earning together, by what they had at risk.

    `ultimate` is the chance that a point unspent at the beginning of an age is redeemed at that age or later.
    """

    __slots__ = ("expiring", "exposed", "redeeming", "spread", "ultimate")

    def __init__(self, rows: Mapping[int, Sequence[Row]], horizon: int) -> None:
        self.exposed = [0.0] * horizon
        redeemed, expired = [0] * horizon, [0] * horizon
        for each in rows.values():
            for age, row in enumerate(each[:horizon]):
                self.exposed[age] += exposure(row)
                redeemed[age] += row[1]
                expired[age] += row[2]
        self.redeeming = [_rate(*each) for each in zip(redeemed, self.exposed, strict=True)]
        self.expiring = [
            min(_rate(*each), 1.0 - redeeming)
            for *each, redeeming in zip(expired, self.exposed, self.redeeming, strict=True)
        ]
        self.ultimate = [0.0] * (horizon + 1)
        # The variance of what is expected of one point, over its month at an age.
        self.spread = [0.0] * horizon
        for age in range(horizon - 1, -1, -1):
            after, redeeming, expiring = self.ultimate[age + 1], self.redeeming[age], self.expiring[age]
            left = 1.0 - redeeming - expiring
            now = self.ultimate[age] = redeeming + left * after
            self.spread[age] = redeeming * (1.0 - now) ** 2 + expiring * now**2 + left * (after - now) ** 2

    @property
    def horizon(self) -> int:
        return len(self.exposed)

    def staying(self, age: int) -> float:
        """The chance to be neither redeemed nor expired at an age."""
        return 1.0 - self.redeeming[age] - self.expiring[age]

    def redeemed_from(self, age: int, elapsed: float) -> float:
        """The chance of a point that is unspent when a part of the month of this age has elapsed."""
        if age >= self.horizon:
            return 0.0
        return elapsed * self.ultimate[age + 1] + (1.0 - elapsed) * self.ultimate[age]

    def surprise(self, age: int, row: Row) -> float:
        """How many points more are expected to be redeemed in the end after a month at this age than before it."""
        _, redeemed, expired, _ = row
        now, after = self.ultimate[age], self.ultimate[age + 1]
        stayed = exposure(row) - redeemed - expired
        return redeemed * (1.0 - now) - expired * now + stayed * (after - now)


def exposure(row: Row) -> float:
    """Points at risk in a month: those removed in it for half of it."""
    return row[0] - row[3] / 2


def half_width(
    table: LifeTable, rows: Mapping[int, Sequence[Row]], unspent: Sequence[Open], *, elapsed: float
) -> float:
    """Of the 95 % interval, in points. `rows` are what `table` was made of, by month of earning and age."""
    past = [
        Cell(month, age, math.sqrt(at_risk * table.spread[age]), table.surprise(age, row))
        for month, each in rows.items()
        for age, row in enumerate(each[: table.horizon])
        if (at_risk := exposure(row)) > 0 and table.spread[age] > 0
    ]
    independent = math.fsum(cell.scale**2 for cell in past)
    if not independent:
        return 0.0
    rates = len({cell.age for cell in past})
    variance = math.fsum(cell.surprise**2 for cell in past) / independent
    variance *= len(past) / max(len(past) - rates, 1)
    by_calendar = min(_in_common(past, _calendar), variance)
    by_earning = min(_in_common(past, _earning), variance - by_calendar)

    applied = [0.0] * table.horizon
    future = []
    for month, age, points in _to_come(table, unspent, elapsed):
        applied[age] += points
        future.append(Cell(month, age, math.sqrt(points * table.spread[age])))
    cells = future + [
        Cell(cell.month, cell.age, -cell.scale * applied[cell.age] / table.exposed[cell.age]) for cell in past
    ]
    total = variance * math.fsum(cell.scale**2 for cell in cells)
    total += by_calendar * _pairs(cells, _calendar) + by_earning * _pairs(cells, _earning)
    return _student_95(len(rows) - 1) * math.sqrt(total)


def _to_come(table: LifeTable, unspent: Sequence[Open], elapsed: float) -> Iterator[tuple[int, int, float]]:
    """(month of earning, age, points expected at risk) of the months to come, and of what is left of this one."""
    for each in unspent:
        points, part = float(each.points), 1.0 - elapsed
        for age in range(each.age, table.horizon):
            yield each.month, age, points * part
            points *= 1.0 - part * (1.0 - table.staying(age))
            part = 1.0


def _calendar(cell: Cell) -> int:
    return cell.month + cell.age


def _earning(cell: Cell) -> int:
    return cell.month


def _in_common(cells: Sequence[Cell], cluster: Callable[[Cell], int]) -> float:
    """The covariance of two cells of a cluster, in units of their scales; none is below zero."""
    found: dict[int, float] = defaultdict(float)
    for cell in cells:
        found[cluster(cell)] += cell.surprise
    products = math.fsum(total**2 for total in found.values()) - math.fsum(cell.surprise**2 for cell in cells)
    pairs = _pairs(cells, cluster)
    return max(products / pairs, 0.0) if pairs > 0 else 0.0


def _pairs(cells: Sequence[Cell], cluster: Callable[[Cell], int]) -> float:
    """The sum of the products of scales, over all ordered pairs of cells in the same cluster."""
    found: dict[int, float] = defaultdict(float)
    for cell in cells:
        found[cluster(cell)] += cell.scale
    return math.fsum(total**2 for total in found.values()) - math.fsum(cell.scale**2 for cell in cells)


def _rate(left: float, exposed: float) -> float:
    return min(max(left / exposed, 0.0), 1.0) if exposed > 0 else 0.0


def _student_95(degrees: int) -> float:
    """The two-sided quantile of Student's t (Abramowitz and Stegun 1964, 26.7.5): to 0.003 from 5 degrees on."""
    z = NORMAL_95
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    )
