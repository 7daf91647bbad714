"""Who will not come back within N days: the probability, how sure it is, and what speaks for and against it."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np

from analytics.prediction import bgnbd
from analytics.prediction.arrays import Codes, Floats, Parameters
from analytics.prediction.features import FEATURES, CustomerHistories, feature_matrix
from analytics.prediction.logistic import ROWS, LogisticRegression
from analytics.prediction.special import log_odds, logistic
from analytics.prediction.themes import Theme

BAND_MEDIUM_FROM = 0.3
BAND_HIGH_FROM = 0.6
# With fewer purchase days a prediction rests on one or two gaps.
CONFIDENCE_HIGH_FROM_DAYS = 4
# Reasons named per customer at most, and the least log-odds one must move.
REASONS_MAX = 3
REASON_LOG_ODDS_MIN = 0.1
NO_REASON = -1
# Probabilities are kept this far from certainty.
MARGIN = 1e-4


class Method(StrEnum):
    # Parameters of other shops: too little history, or nothing could be fitted.
    FIXED = "fixed"
    # BG/NBD (and for the value Gamma-Gamma) fitted to this merchant.
    FITTED = "fitted"
    # Churn only: the mean of the log-odds of BG/NBD and of a logistic regression.
    BLEND = "blend"


class Band(IntEnum):
    LOW = 0
    MEDIUM = 1
    HIGH = 2


class Confidence(IntEnum):
    LOW = 0
    MEDIUM = 1
    HIGH = 2


THEME_OF_FEATURE = {
    "recency": Theme.SILENCE,
    "tenure": Theme.TENURE,
    "purchase_days": Theme.FREQUENCY,
    "last_day_in_tenure": Theme.SILENCE,
    "purchases_30d": Theme.FREQUENCY,
    "purchases_90d": Theme.FREQUENCY,
    "purchases_180d": Theme.FREQUENCY,
    "purchases_365d": Theme.FREQUENCY,
    "mean_gap": Theme.RHYTHM,
    "gap_sd": Theme.RHYTHM,
    "recency_in_gaps": Theme.SILENCE,
    "total_spend": Theme.SPEND,
    "mean_spend": Theme.SPEND,
    "last_spend": Theme.SPEND,
    "spend_90d": Theme.SPEND,
    "mean_quantity": Theme.BASKET,
}
# Which columns belong to which theme, shape (features, themes).
_MEMBERSHIP = np.zeros((len(FEATURES), len(Theme)))
for _position, _feature in enumerate(FEATURES):
    _MEMBERSHIP[_position, THEME_OF_FEATURE[_feature]] = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class ChurnModel:
    """silence_mean, frequency_mean: the average customer's log-odds by BG/NBD, which reasons are compared with;
    regression: with Method.BLEND; gap_prior_days: what gaps are shrunk to, and spoken of before there is one.
    """

    method: Method
    horizon_days: int
    frequency: bgnbd.BgNbd
    silence_mean: float
    frequency_mean: float
    gap_prior_days: float
    regression: LogisticRegression | None = None

    def to_parameters(self) -> Parameters:
        return {
            "method": self.method.value,
            "horizon_days": self.horizon_days,
            "bgnbd": self.frequency.to_parameters(),
            "silence_mean": self.silence_mean,
            "frequency_mean": self.frequency_mean,
            "gap_prior_days": self.gap_prior_days,
            "logistic": None if self.regression is None else self.regression.to_parameters(),
        }

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> "ChurnModel":
        regression = parameters["logistic"]
        return cls(
            method=Method(parameters["method"]),
            horizon_days=int(parameters["horizon_days"]),
            frequency=bgnbd.BgNbd.from_parameters(parameters["bgnbd"]),
            silence_mean=float(parameters["silence_mean"]),
            frequency_mean=float(parameters["frequency_mean"]),
            gap_prior_days=float(parameters["gap_prior_days"]),
            regression=None if regression is None else LogisticRegression.from_parameters(regression),
        )


@dataclass(frozen=True, slots=True, eq=False)
class ChurnScores:
    """One row per customer, as of the histories' day.

    probability: of no purchase in the next N days, within [MARGIN, 1 - MARGIN]; band: codes of Band; confidence: codes of
    Confidence, LOW for one-time buyers; all of shape (n,). contributions: log-odds added by each Theme compared with the
    average customer, above zero speaks for churn, shape (n, themes); reasons: Themes, the strongest first, shape
    (n, REASONS_MAX), NO_REASON where there are fewer.
    """

    horizon_days: int
    probability: Floats
    band: Codes
    confidence: Codes
    contributions: Floats
    reasons: Codes

    @property
    def reason_codes(self) -> Codes:
        """The reasons as `themes.code_of` has them, shape (n, REASONS_MAX), 0 where there are fewer."""
        found = self.reasons != NO_REASON
        added = np.take_along_axis(
            self.contributions, np.where(found, self.reasons, 0).astype(np.int64), axis=1
        )
        return np.where(found, np.where(added > 0, 1, -1) * (self.reasons + 1), 0).astype(np.int8)


def frequency_log_odds(
    model: bgnbd.BgNbd, histories: CustomerHistories, *, horizon_days: int
) -> tuple[Floats, Floats]:
    """The log-odds of P(none in N) in two parts that add up to it, each of shape (n,).

    What the silence since the last purchase adds, and what they would be had the last purchase been today.
    """
    counts = bgnbd.RepeatCounts.of(histories)
    today = bgnbd.RepeatCounts(x=counts.x, t_x=counts.t_x, T=counts.t_x)
    now, then = (
        log_odds(bgnbd.probability_none(model, each, days=horizon_days), margin=MARGIN)
        for each in (counts, today)
    )
    return now - then, then


def score(model: ChurnModel, histories: CustomerHistories) -> ChurnScores:
    """Churn of each customer within the model's N days after `histories.as_of`; each row on its own."""
    silence, then = frequency_log_odds(model.frequency, histories, horizon_days=model.horizon_days)
    contributions = np.zeros((len(histories), len(Theme)))
    contributions[:, Theme.SILENCE] = silence - model.silence_mean
    contributions[:, Theme.FREQUENCY] = then - model.frequency_mean
    total = silence + then
    if model.regression is not None:
        matrix = feature_matrix(histories, gap_prior_days=model.gap_prior_days)
        by_theme = np.empty_like(contributions)
        for start in range(0, len(matrix), ROWS):
            rows = slice(start, start + ROWS)
            by_theme[rows] = model.regression.contributions(matrix[rows]) @ _MEMBERSHIP
        contributions = (contributions + by_theme) / 2
        total = (total + model.regression.intercept + by_theme.sum(axis=1)) / 2
    probability = np.clip(logistic(total), MARGIN, 1.0 - MARGIN)
    return ChurnScores(
        horizon_days=model.horizon_days,
        probability=probability,
        band=np.digitize(probability, (BAND_MEDIUM_FROM, BAND_HIGH_FROM)).astype(np.int8),
        confidence=_confidence(model, histories),
        contributions=contributions,
        reasons=_strongest(contributions),
    )


def _confidence(model: ChurnModel, histories: CustomerHistories) -> Codes:
    days = histories.purchase_days
    best = Confidence.MEDIUM if model.method is Method.FIXED else Confidence.HIGH
    known = np.where(days >= CONFIDENCE_HIGH_FROM_DAYS, best, Confidence.MEDIUM)
    return np.where(days < 2, Confidence.LOW, known).astype(np.int8)


def _strongest(contributions: Floats) -> Codes:
    strength = np.abs(contributions)
    themes = np.argsort(-strength, axis=1, kind="stable")[:, :REASONS_MAX]
    enough = np.take_along_axis(strength, themes, axis=1) >= REASON_LOG_ODDS_MIN
    return np.where(enough, themes, NO_REASON).astype(np.int8)
