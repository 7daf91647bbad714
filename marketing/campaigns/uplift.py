"""What a campaign did beyond what would have happened anyway. Pure: numbers in, numbers and words out.

Everybody who was meant to get a message is compared with everybody in the control group, whether or not the message reached
them (intention to treat). All intervals are of 95 %.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
# Below that many customers in a group, or purchases in both, an interval says more of the method than of the campaign.
GROUP_MIN = 50
CONVERSIONS_MIN = 10


@dataclass(frozen=True, slots=True)
class Group:
    """Customers of one group: how many, how many of them bought, the sum of what each spent and of its squares."""

    customers: int
    converted: int
    revenue: float
    revenue_squares: float

    @property
    def rate(self) -> float:
        return self.converted / self.customers if self.customers else 0.0

    @property
    def mean(self) -> float:
        return self.revenue / self.customers if self.customers else 0.0

    @property
    def variance(self) -> float:
        """Of a customer's spend (n - 1); 0 with less than two."""
        n = self.customers
        if n < 2:
            return 0.0
        return max(0.0, (self.revenue_squares - self.revenue**2 / n) / (n - 1))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A difference with the interval in which it lies in 95 of 100 such campaigns."""

    value: float
    low: float
    high: float

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval holds no 0."""
        return self.low > 0 or self.high < 0

    def times(self, factor: float) -> "Estimate":
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`treated` beside `base`.

    `rate`: difference in shares of customers; `mean`: in money per customer; `relative`: of the rates, None where the base has
    none; `conversions` and `revenue`: what that makes for all who were treated.
    """

    treated: Group
    base: Group
    rate: Estimate
    mean: Estimate
    relative: float | None
    conversions: Estimate
    revenue: Estimate
    words: str
    notes: tuple[str, ...]


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927, JASA 22:209; as in Newcombe 1998, Statist. Med. 17:857, method 3)."""
    p, z2 = successes / n, Z * Z
    middle = 2 * n * p + z2
    half = Z * math.sqrt(z2 + 4 * n * p * (1 - p))
    whole = 2 * (n + z2)
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def rate_difference(treated: Group, base: Group) -> Estimate:
    """The difference of two proportions by the hybrid score interval (Newcombe 1998, Statist. Med. 17:873, method 10)."""
    p1, p2 = treated.rate, base.rate
    low1, high1 = wilson(treated.converted, treated.customers)
    low2, high2 = wilson(base.converted, base.customers)
    difference = p1 - p2
    return Estimate(
        difference,
        difference - math.hypot(p1 - low1, high2 - p2),
        difference + math.hypot(high1 - p1, p2 - low2),
    )


def mean_difference(treated: Group, base: Group) -> Estimate:
    """The difference of two means whose variances differ (Welch 1947, Biometrika 34:28)."""
    parts = [group.variance / group.customers for group in (treated, base)]
    difference = treated.mean - base.mean
    squared = sum(parts)
    if squared <= 0:
        return Estimate(difference, difference, difference)
    # Of a group without any variance nothing is known but its mean: it adds no degree of freedom.
    denominator = sum(
        part**2 / (group.customers - 1)
        for part, group in zip(parts, (treated, base), strict=True)
        if group.customers > 1
    )
    half = t_quantile(squared**2 / denominator) * math.sqrt(squared)
    return Estimate(difference, difference - half, difference + half)


def t_quantile(freedom: float) -> float:
    """Student's t that CONFIDENCE of the distribution lies within (Hill 1970, CACM 13:619, algorithm 396)."""
    p = 1 - CONFIDENCE
    n = max(1.0, freedom)
    if n < 2:
        # Exact for 1; between 1 and 2 this is on the safe side.
        return 1 / math.tan(p * math.pi / 2)
    if n == 2:
        return math.sqrt(2 / (p * (2 - p)) - 2)
    a = 1 / (n - 0.5)
    b = 48 / (a * a)
    c = ((20_700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * p) ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(p / 2)
        y = x * x
        if n < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (
            n + 1
        ) / (n + 2) + 1 / y
    return math.sqrt(n * y)


def compare(treated: Group, base: Group, *, of_variants: bool = False) -> Comparison | None:
    """The one beside the other; None where one of them is empty."""
    if not treated.customers or not base.customers:
        return None
    rate, mean = rate_difference(treated, base), mean_difference(treated, base)
    return Comparison(
        treated=treated,
        base=base,
        rate=rate,
        mean=mean,
        relative=rate.value / base.rate if base.rate else None,
        conversions=rate.times(treated.customers),
        revenue=mean.times(treated.customers),
        words=_words(rate, mean, of_variants=of_variants),
        notes=tuple(_notes(treated, base)),
    )


def _words(rate: Estimate, mean: Estimate, *, of_variants: bool) -> str:
    base = "than with the other text" if of_variants else "than without the campaign"
    said = []
    if rate.is_distinguishable:
        said.append(f"{'More' if rate.value > 0 else 'Fewer'} customers bought {base}.")
    if mean.is_distinguishable:
        said.append(f"Customers spent {'more' if mean.value > 0 else 'less'} {base}.")
    if not said:
        return "Not distinguishable from nothing: as much may be chance."
    if not mean.is_distinguishable:
        said.append("Whether they also spent more or less is not distinguishable.")
    return " ".join(said)


def _notes(treated: Group, base: Group) -> list[str]:
    notes = []
    if min(treated.customers, base.customers) < GROUP_MIN:
        notes.append(f"One of the groups has fewer than {GROUP_MIN} customers: too few to tell.")
    elif treated.converted + base.converted < CONVERSIONS_MIN:
        notes.append(f"Fewer than {CONVERSIONS_MIN} customers bought: too few to tell.")
    return notes
