"""Why a customer may not come back, as their figures have it."""

from analytics.models import CustomerFigures
from analytics.prediction.reasons import Facts, Reason, in_words


def reasons_of(figures: CustomerFigures) -> list[Reason]:
    """The weightiest first."""
    facts = Facts(
        recency=(figures.as_of - figures.last_day).days,
        tenure=(figures.as_of - figures.first_day).days,
        purchase_days=figures.purchase_days,
        purchases_180d=figures.purchases_180d,
        gap_sd=figures.gap_sd_days or 0.0,
        total=figures.total_cents / 100,
        spend_90d=figures.spend_90d_cents / 100,
        quantity=figures.milli_units / 1_000,
    )
    return in_words(figures.churn_reasons, facts)
