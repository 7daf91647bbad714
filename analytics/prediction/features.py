"""What the models know of a customer on a day: columns that SQL or an event table delivers, and the matrix made of them.

A day is an ordinal (`date.toordinal()`) in the store's zone, a *purchase day* a distinct day with a sale that was not wholly
taken back, an amount is money of the merchant's currency net of returns. Nothing after `as_of` is looked at.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analytics.prediction.arrays import Booleans, Floats, Integers

# The order of the matrix's columns. Another name, order or (then raise VERSION) way of computing a column is another schema.
FEATURES = (
    "recency",
    "tenure",
    "purchase_days",
    "last_day_in_tenure",
    "purchases_30d",
    "purchases_90d",
    "purchases_180d",
    "purchases_365d",
    "mean_gap",
    "gap_sd",
    "recency_in_gaps",
    "total_spend",
    "mean_spend",
    "last_spend",
    "spend_90d",
    "mean_quantity",
)
VERSION = 1
FEATURE_SCHEMA = hashlib.sha256(f"{VERSION}:{','.join(FEATURES)}".encode()).hexdigest()[:16]

# A mean gap is shrunk as if this many more gaps of the population's length had been seen.
GAP_PRIOR_WEIGHT = 1.0
# The population's gap where nobody has come twice.
GAP_DAYS_DEFAULT = 90.0
# A shorter or longer N than these would say little of customers.
HORIZON_SUGGESTION_DAYS = (14, 365)
# Larger than any real figure, small enough that sums and squares stay finite.
FIGURE_MAX = 1e15


@dataclass(frozen=True, slots=True, eq=False)
class PurchaseTable:
    """Purchase days of all customers, one row each, sorted by customer and day. Made by `purchase_table`.

    customer: index 0..customers-1; day: ordinal; amount: money; quantity: units; each of shape (rows,).
    """

    customer: Integers
    day: Integers
    amount: Floats
    quantity: Floats
    customers: int

    @property
    def first_day(self) -> int | None:
        """The first purchase day of all; None without a purchase."""
        return int(self.day.min()) if len(self.day) else None

    def every(self, step: int) -> "PurchaseTable":
        """The purchases of every step-th customer, who keep their indices."""
        if step <= 1:
            return self
        return self._rows(self.customer % step == 0)

    def until(self, day: int) -> "PurchaseTable":
        """What was known at the end of `day`."""
        return self if not len(self.day) or self.day.max() <= day else self._rows(self.day <= day)

    def _rows(self, kept: Booleans) -> "PurchaseTable":
        return PurchaseTable(
            self.customer[kept], self.day[kept], self.amount[kept], self.quantity[kept], self.customers
        )


@dataclass(frozen=True, slots=True, eq=False)
class CustomerHistories:
    """One row per customer with a purchase up to `as_of`; every column of shape (n,), in the same order.

    first_day, last_day: ordinals <= as_of; purchase_days >= 1; purchases_Nd: purchase days in (as_of - N, as_of];
    gap_sd: sample standard deviation in days of the gaps between purchase days, 0 with fewer than two gaps;
    total, last_amount, spend_90d: money in all, on the last purchase day and in (as_of - 90, as_of];
    quantity: units in all.
    """

    as_of: int
    first_day: Integers
    last_day: Integers
    purchase_days: Integers
    purchases_30d: Integers
    purchases_90d: Integers
    purchases_180d: Integers
    purchases_365d: Integers
    gap_sd: Floats
    total: Floats
    last_amount: Floats
    spend_90d: Floats
    quantity: Floats

    def __len__(self) -> int:
        return len(self.first_day)

    @property
    def repeats(self) -> Integers:
        """x: purchase days after the first."""
        return np.maximum(self.purchase_days - 1, 0)

    @property
    def mean_amount(self) -> Floats:
        """Money spent on a purchase day, 0 at least."""
        mean = _finite(self.total) / np.maximum(self.purchase_days, 1)
        return np.clip(mean, 0.0, FIGURE_MAX)

    @property
    def tenure(self) -> Integers:
        """T in days: from the first purchase day to as_of."""
        return np.maximum(self.as_of - self.first_day, 0)

    @property
    def recency(self) -> Integers:
        """Days since the last purchase day."""
        return np.clip(self.as_of - self.last_day, 0, self.tenure)

    @property
    def last_in_tenure(self) -> Integers:
        """t_x in days: from the first purchase day to the last."""
        return np.where(self.repeats > 0, self.tenure - self.recency, 0)


def purchase_table(
    *, customer: ArrayLike, day: ArrayLike, amount: ArrayLike, quantity: ArrayLike, customers: int
) -> PurchaseTable:
    """Purchase days from purchases in any order; purchases of one customer on one day become one row.

    Arguments are arrays of shape (purchases,): index 0..customers-1, day ordinal, money, units.
    Raises ValueError when a customer's index is out of range or the lengths differ.
    """
    index = np.asarray(customer, dtype=np.int64)
    days = np.asarray(day, dtype=np.int64)
    amounts = _finite(np.asarray(amount, dtype=np.float64))
    units = _finite(np.asarray(quantity, dtype=np.float64))
    if not len(index) == len(days) == len(amounts) == len(units):
        raise ValueError("The columns of a purchase table must be of one length.")
    if not len(index):
        return PurchaseTable(index, days, amounts, units, customers)
    if index.min() < 0 or index.max() >= customers:
        raise ValueError("A purchase names a customer out of range.")
    first = int(days.min())
    key = index * (int(days.max()) - first + 1) + (days - first)
    if np.any(key[1:] < key[:-1]):
        order = np.argsort(key, kind="stable")
        key, index, days, amounts, units = key[order], index[order], days[order], amounts[order], units[order]
    starts = _starts(key)
    if len(starts) == len(key):
        return PurchaseTable(index, days, amounts, units, customers)
    return PurchaseTable(
        index[starts],
        days[starts],
        np.add.reduceat(amounts, starts),
        np.add.reduceat(units, starts),
        customers,
    )


def histories_at(table: PurchaseTable, *, as_of: int) -> tuple[Integers, CustomerHistories]:
    """The customers who had bought by the end of day `as_of`, as indices in ascending order, and their histories then."""
    known = table.until(as_of)
    customer, day, amount = known.customer, known.day, known.amount
    starts = _starts(customer)
    rank = np.cumsum(_is_start(customer)) - 1
    counts = np.diff(np.append(starts, len(customer)))
    ends = starts + counts - 1
    n = len(starts)
    age = as_of - day

    def total(weights: Floats) -> Floats:
        return np.bincount(rank, weights=weights, minlength=n).astype(np.float64, copy=False)

    def purchases_within(days: int) -> Integers:
        return np.bincount(rank[age < days], minlength=n)

    # Gaps of all customers in one array; those across two customers are struck out.
    gaps = np.zeros(len(day))
    if n:
        gaps[1:] = np.diff(day)
        gaps[starts] = 0.0
        first_day, last_day = day[starts], day[ends]
    else:
        first_day = last_day = day
    gap_count = counts - 1
    mean_gap = (last_day - first_day) / np.maximum(gap_count, 1)
    deviations = np.where(_is_start(customer), 0.0, gaps - mean_gap[rank]) if n else gaps
    return customer[starts], CustomerHistories(
        as_of=as_of,
        first_day=first_day,
        last_day=last_day,
        purchase_days=counts,
        purchases_30d=purchases_within(30),
        purchases_90d=purchases_within(90),
        purchases_180d=purchases_within(180),
        purchases_365d=purchases_within(365),
        gap_sd=np.where(gap_count > 1, np.sqrt(total(deviations**2) / np.maximum(gap_count - 1, 1)), 0.0),
        total=total(amount),
        last_amount=amount[ends] if n else amount,
        spend_90d=total(np.where(age < 90, amount, 0.0)),
        quantity=total(known.quantity),
    )


def horizon_suggestion(table: PurchaseTable) -> int | None:
    """Days within which 85 of 100 customers who come again have come: the p85 of the gaps; None without a gap.

    A suggestion for N of churn, within HORIZON_SUGGESTION_DAYS.
    """
    gaps = np.diff(table.day)[~_is_start(table.customer)[1:]]
    if not len(gaps):
        return None
    p85 = float(np.quantile(gaps, 0.85))
    shortest, longest = HORIZON_SUGGESTION_DAYS
    return min(max(round(p85), shortest), longest)


def population_gap_days(histories: CustomerHistories) -> float:
    """The mean over repeat buyers of their mean gap in days, which the gaps of the others are shrunk to."""
    repeated = histories.repeats > 0
    if not repeated.any():
        return GAP_DAYS_DEFAULT
    return float(np.mean(histories.last_in_tenure[repeated] / histories.repeats[repeated]))


def shrunk_gap(histories: CustomerHistories, *, prior_days: float) -> Floats:
    """(t_x + w * prior) / (x + w) in days, at least one."""
    gap = (histories.last_in_tenure + GAP_PRIOR_WEIGHT * prior_days) / (histories.repeats + GAP_PRIOR_WEIGHT)
    return np.maximum(gap, 1.0)


def feature_matrix(histories: CustomerHistories, *, gap_prior_days: float) -> Floats:
    """The columns FEATURES, shape (n, len(FEATURES)), as log(1 + figure); not yet standardised. Always finite."""
    count = np.maximum(histories.purchase_days, 1)
    tenure, recency = histories.tenure, histories.recency
    gap = shrunk_gap(histories, prior_days=gap_prior_days)
    columns: dict[str, Floats | Integers] = {
        "recency": recency,
        "tenure": tenure,
        "purchase_days": histories.purchase_days,
        "last_day_in_tenure": histories.last_in_tenure / np.maximum(tenure, 1),
        "purchases_30d": histories.purchases_30d,
        "purchases_90d": histories.purchases_90d,
        "purchases_180d": histories.purchases_180d,
        "purchases_365d": histories.purchases_365d,
        "mean_gap": gap,
        "gap_sd": histories.gap_sd,
        "recency_in_gaps": recency / gap,
        "total_spend": histories.total,
        "mean_spend": histories.mean_amount,
        "last_spend": histories.last_amount,
        "spend_90d": histories.spend_90d,
        "mean_quantity": _finite(histories.quantity) / count,
    }
    matrix = np.empty((len(histories), len(FEATURES)))
    for position, name in enumerate(FEATURES):
        matrix[:, position] = columns[name]
    np.clip(_finite(matrix), 0.0, FIGURE_MAX, out=matrix)
    return np.log1p(matrix, out=matrix)


def _finite(figures: Floats) -> Floats:
    return np.nan_to_num(figures, nan=0.0, posinf=FIGURE_MAX, neginf=-FIGURE_MAX)


def _is_start(keys: Integers) -> Booleans:
    start = np.ones(len(keys), dtype=np.bool_)
    start[1:] = keys[1:] != keys[:-1]
    return start


def _starts(keys: Integers) -> Integers:
    return np.flatnonzero(_is_start(keys))
