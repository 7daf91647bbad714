"""Who will not come back within N days, how sure that is, and why in words."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from analytics.prediction import bgnbd
from analytics.prediction.arrays import Codes, Floats
from analytics.prediction.features import CustomerHistories

BAND_MEDIUM_FROM = 0.3
BAND_HIGH_FROM = 0.6
# Reasons named per customer at most.
REASONS_MAX = 3


class Band(IntEnum):
    LOW = 0
    MEDIUM = 1
    HIGH = 2


class Confidence(IntEnum):
    LOW = 0
    MEDIUM = 1
    HIGH = 2


class Theme(IntEnum):
    """What a reason speaks of; features that tell the same story are added up."""

    SILENCE = 0
    FREQUENCY = 1
    TENURE = 2
    RHYTHM = 3
    SPEND = 4
    BASKET = 5


NO_REASON = -1


@dataclass(frozen=True, slots=True, eq=False)
class ChurnScores:
    """One row per customer, as of the histories' day.

    probability: of no purchase in the next N days, 0..1; band: codes of Band; confidence: codes of Confidence, all of shape (n,).
    contributions: signed log-odds per Theme, shape (n, themes), above zero speaks for churn;
    reasons: Themes, the strongest first, shape (n, REASONS_MAX), NO_REASON where there are fewer.
    """

    horizon_days: int
    probability: Floats
    band: Codes
    confidence: Codes
    contributions: Floats
    reasons: Codes


def bands(probability: Floats) -> Codes:
    return np.digitize(probability, (BAND_MEDIUM_FROM, BAND_HIGH_FROM)).astype(np.int8)


def reasons_in_words(scores: ChurnScores, histories: CustomerHistories, row: int) -> list[str]:
    """The reasons of one customer, the strongest first, as sentences for a store manager."""
    return []


def score_fixed(model: bgnbd.BgNbd, histories: CustomerHistories, *, horizon_days: int) -> ChurnScores:
    """Scores by P(none in N) alone."""
    probability = bgnbd.probability_none(model, bgnbd.RepeatCounts.of(histories), days=horizon_days)
    n = len(histories)
    return ChurnScores(
        horizon_days=horizon_days,
        probability=probability,
        band=bands(probability),
        confidence=np.where(histories.purchase_days > 1, Confidence.MEDIUM, Confidence.LOW).astype(np.int8),
        contributions=np.zeros((n, len(Theme))),
        reasons=np.full((n, REASONS_MAX), NO_REASON, dtype=np.int8),
    )
