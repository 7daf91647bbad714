"""One row of CustomerFigures for each of some customers: features, predictions, and what follows from them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.models import HORIZONS_DAYS, CustomerFigures, CutPoints
from analytics.prediction import churn, training
from analytics.prediction.arrays import Floats, Integers
from analytics.prediction.features import CustomerHistories, histories_at
from analytics.prediction.lifetime_value import LifetimeValues
from analytics.recalculating.columns import Column, execute, uuids
from analytics.recalculating.sales import EPOCH, Buyers, Sales, read_buyers, read_sales

CENTS_MAX = 10**14
SPEND_DAYS = 365

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Models:
    """The merchant's models in use: the id of each run, and its parameters."""

    churn_run: uuid.UUID
    churn: dict[str, Any]
    value_run: uuid.UUID
    value: dict[str, Any]


def refresh_figures(
    cuts: CutPoints, customer_ids: Sequence[uuid.UUID], models: Models, *, as_of: date
) -> int:
    """Work out the figures of these customers from their sales; of how many there are any. Under `locked`.

    Who is not visible any more, or has taken everything back, has none afterwards.
    """
    buyers = read_buyers(merchant_id=cuts.merchant_id, customer_ids=customer_ids)
    sales = read_sales(merchant_id=cuts.merchant_id, customer_ids=buyers.ids, as_of=as_of)
    written = write_figures(cuts, buyers, sales, models, as_of=as_of)
    gone = set(customer_ids) - set(written)
    if gone:
        CustomerFigures.objects.for_merchant(cuts.merchant_id).filter(customer_id__in=gone).delete()
    return len(written)


def write_figures(
    cuts: CutPoints, buyers: Buyers, sales: Sales, models: Models, *, as_of: date
) -> list[uuid.UUID]:
    """The ids of those who have figures. Under `locked`, within which `buyers` and `sales` were read."""
    index, histories = histories_at(sales.table(len(buyers)), as_of=as_of.toordinal())
    ids = [buyers.ids[number] for number in index.tolist()]
    if ids:
        columns = {
            **_habits(histories),
            **_sums(cuts, sales, index, histories),
            **_expectations(training.score_lifetime_value(histories, models.value)),
            **_churn(training.score_churn(histories, models.churn), histories),
            "visit_count": buyers.visit_count[index],
            "total_spent_cents": buyers.total_spent_cents[index],
        }
        _upsert(columns, ids, cuts.merchant_id, models, as_of)
    return ids


def _habits(histories: CustomerHistories) -> Columns:
    repeats = histories.repeats
    gap = np.where(repeats > 0, (histories.last_day - histories.first_day) / np.maximum(repeats, 1), np.nan)
    return {
        "first_day": histories.first_day - EPOCH,
        "last_day": histories.last_day - EPOCH,
        "purchase_days": histories.purchase_days,
        "mean_gap_days": gap,
        "gap_sd_days": np.where(repeats > 1, histories.gap_sd, np.nan),
        "next_day": histories.last_day - EPOCH + np.rint(np.nan_to_num(gap)).astype(np.int64),
    }


def _sums(cuts: CutPoints, sales: Sales, index: Integers, histories: CustomerHistories) -> Columns:
    customers = int(index[-1]) + 1
    recent = sales.day > histories.as_of - SPEND_DAYS
    total = _sum_by(sales.customer, sales.cents, customers)[index]
    return {
        "purchases": np.bincount(sales.customer, minlength=customers)[index],
        "total_cents": total,
        "spend_365d_cents": _sum_by(sales.customer[recent], sales.cents[recent], customers)[index],
        "recency_score": _score(histories.last_day, [day.toordinal() for day in cuts.recency_cuts]),
        "frequency_score": _score(histories.purchase_days, cuts.frequency_cuts),
        "monetary_score": _score(total, cuts.monetary_cuts),
    }


def _sum_by(customer: Integers, cents: Integers, customers: int) -> Integers:
    # Exact to 2^53 cents.
    return np.bincount(customer, weights=cents, minlength=customers).astype(np.int64)


def _score(values: Integers, cuts: Sequence[int]) -> Integers:
    """One more than the number of cut points below each value."""
    return 1 + np.searchsorted(np.array(cuts, dtype=np.int64), values, side="left")


def _expectations(values: LifetimeValues) -> Columns:
    columns: Columns = {"alive": _probability(values.alive)}
    for place, days in enumerate(HORIZONS_DAYS):
        assert values.horizons_days[place] == days
        columns[f"expected_purchases_{days}d"] = np.nan_to_num(values.purchases[:, place])
        columns[f"expected_{days}d_cents"] = _cents(values.value[:, place])
        columns[f"expected_{days}d_low_cents"] = _cents(values.low[:, place])
        columns[f"expected_{days}d_high_cents"] = _cents(values.high[:, place])
    return columns


def _churn(scores: churn.ChurnScores, histories: CustomerHistories) -> Columns:
    codes = scores.reason_codes.astype(np.int16)
    return {
        "churn": _probability(scores.probability),
        "churn_band": scores.band.astype(np.int16),
        "churn_confidence": scores.confidence.astype(np.int16),
        **{f"reason_{place}": codes[:, place] for place in range(churn.REASONS_MAX)},
        "purchases_180d": histories.purchases_180d,
        "spend_90d_cents": _cents(histories.spend_90d),
        "milli_units": np.rint(histories.quantity * 1_000.0).astype(np.int64),
    }


def _probability(values: Floats) -> Floats:
    return np.clip(np.nan_to_num(values), 0.0, 1.0)


def _cents(amounts: Floats) -> Integers:
    return np.rint(np.clip(np.nan_to_num(amounts) * 100.0, 0.0, CENTS_MAX)).astype(np.int64)


# Where a column of the table is not that of the array.
_CONVERTED = {
    "first_day": "date '1970-01-01' + v.first_day::int",
    "last_day": "date '1970-01-01' + v.last_day::int",
    "next_day": "CASE WHEN v.purchase_days > 1 THEN date '1970-01-01' + v.next_day::int END",
    "mean_gap_days": "nullif(v.mean_gap_days, 'NaN')",
    "gap_sd_days": "nullif(v.gap_sd_days, 'NaN')",
}
_REASONS = [f"reason_{place}" for place in range(churn.REASONS_MAX)]


def _upsert(
    columns: Columns, ids: Sequence[uuid.UUID], merchant_id: uuid.UUID, models: Models, as_of: date
) -> None:
    """Segments are left as they are: `analytics.segmenting` writes them."""
    arrays = {"id": uuids(ids), **{name: Column(values) for name, values in columns.items()}}
    own = {
        "as_of": "%(as_of)s::date",
        "value_run_id": "%(value_run)s::uuid",
        "churn_run_id": "%(churn_run)s::uuid",
        "updated_at": "statement_timestamp()",
        "churn_reasons": f"array_remove(ARRAY[{', '.join(f'v.{name}' for name in _REASONS)}], 0::smallint)",
        **{name: _CONVERTED.get(name, f"v.{name}") for name in columns if name not in _REASONS},
    }
    unnested = ", ".join(f"%({name})s::{array.sql_type}[]" for name, array in arrays.items())
    statement = f"""
        INSERT INTO analytics_customers (id, merchant_id, customer_id, segment, segment_reason, {", ".join(own)})
        SELECT v.id, %(merchant)s, v.id, 'new', '', {", ".join(own.values())}
        FROM unnest({unnested}) AS v ({", ".join(arrays)})
        ON CONFLICT (merchant_id, customer_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in own)}
    """  # noqa: S608 - names of ours
    execute(
        statement,
        {
            "merchant": merchant_id,
            "as_of": as_of,
            "value_run": models.value_run,
            "churn_run": models.churn_run,
            **arrays,
        },
    )
