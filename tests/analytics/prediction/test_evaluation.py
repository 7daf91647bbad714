import numpy as np
import pytest

from analytics.prediction import evaluation
from analytics.prediction.evaluation import Drift, promotable

YES, NO = True, False


def test_auc_is_the_share_of_pairs_in_order() -> None:
    outcome = np.array([NO, NO, YES, YES])
    assert evaluation.auc(np.array([0.1, 0.2, 0.3, 0.4]), outcome) == 1.0
    assert evaluation.auc(np.array([0.4, 0.3, 0.2, 0.1]), outcome) == 0.0
    assert evaluation.auc(np.array([0.1, 0.3, 0.2, 0.4]), outcome) == 0.75
    assert evaluation.auc(np.array([0.5, 0.5, 0.5, 0.5]), outcome) == 0.5
    assert evaluation.auc(np.array([0.1, 0.2, 0.2, 0.4]), outcome) == 0.875


def test_auc_needs_both_outcomes() -> None:
    assert evaluation.auc(np.array([0.1, 0.2]), np.array([YES, YES])) is None
    assert evaluation.auc(np.array([]), np.array([], dtype=bool)) is None
    assert "auc" not in evaluation.classification(np.array([0.1]), np.array([NO]))
    assert evaluation.classification(np.array([]), np.array([], dtype=bool)) == {}


def test_auc_against_counting_pairs() -> None:
    random = np.random.default_rng(5)
    score, outcome = random.integers(0, 20, 300) / 20, random.random(300) < 0.3
    pairs = score[outcome][:, np.newaxis] - score[~outcome]
    assert evaluation.auc(score, outcome) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_naive_rule() -> None:
    found = evaluation.naive_churn(np.array([10, 100, 200]), np.array([NO, NO, YES]), horizon_days=90)
    assert found["auc"] == 1.0
    assert found["brier"] == pytest.approx(1 / 3)


def test_amounts() -> None:
    predicted = np.array([5.0] + [1.0] * 9)
    actual = np.array([12.0] + [0.0] * 9)
    found = evaluation.amounts(predicted, actual)
    assert found["total_ratio"] == pytest.approx(14 / 12)
    assert found["top_decile_share"] == 1.0
    assert found["mae"] == pytest.approx(1.6)
    assert found["rmse"] == pytest.approx(np.sqrt((49 + 9) / 10))
    assert "total_ratio" not in evaluation.amounts(predicted, np.zeros(10))
    assert evaluation.amounts(np.array([]), np.array([])) == {}


def test_calibration() -> None:
    bins = evaluation.calibration(np.linspace(0.05, 0.95, 20), np.arange(20) >= 10)
    assert len(bins) == 10
    assert bins[0] == {"mean": pytest.approx(0.0737, abs=1e-4), "observed": 0.0, "customers": 2.0}
    assert evaluation.calibration(np.array([0.3]), np.array([YES])) == [
        {"mean": 0.3, "observed": 1.0, "customers": 1.0}
    ]


def test_population_stability() -> None:
    assert evaluation.score_shares(np.array([0.0, 0.05, 0.15, 1.0])) == [0.5, 0.25, *[0.0] * 7, 0.25]
    assert evaluation.score_shares(np.array([])) == []
    assert evaluation.population_stability([0.5, 0.5], [0.5, 0.5]) == 0.0
    # (.3) ln(.8/.5) + (-.3) ln(.2/.5)
    assert evaluation.population_stability([0.5, 0.5], [0.8, 0.2]) == pytest.approx(0.4159, abs=1e-4)
    assert np.isfinite(evaluation.population_stability([1.0, 0.0], [0.0, 1.0]))
    assert evaluation.population_stability([], [1.0]) == 0.0


RULE = {"auc": 0.7, "brier": 0.2}
CURRENT = {"auc": 0.8, "brier": 0.15}


@pytest.mark.parametrize(
    ("candidate", "promoted", "words"),
    [
        ({"auc": 0.8, "brier": 0.15}, True, "Not worse"),
        ({"auc": 0.79, "brier": 0.1}, False, "AUC 0.79; that of the current model is 0.8."),
        ({"auc": 0.9, "brier": 0.16}, False, "Brier score 0.16; that of the current model is 0.15."),
        ({"auc": 0.69, "brier": 0.1}, False, "AUC 0.69; that of the naive rule is 0.7."),
        ({"auc": 0.9, "brier": 0.21}, False, "Brier score 0.21; that of the naive rule is 0.2."),
        ({}, True, "Not worse"),
    ],
)
def test_promotion(candidate: evaluation.Metrics, promoted: bool, words: str) -> None:
    found = promotable(candidate, CURRENT, RULE)
    assert found.promoted is promoted
    assert found.reason.startswith(words)


def test_promotion_of_amounts() -> None:
    assert promotable({"mae": 9.0}, {"mae": 9.0}, {"mae": 5.0}).promoted
    assert not promotable({"mae": 9.1}, {"mae": 9.0}, {}).promoted
    assert promotable({"mae": 9.1}, None, {}).promoted


def drift_of(*, mean_observed: float = 0.5, auc: float = 0.8, shares: list[float]) -> list[Drift]:
    return evaluation.drift(
        reference={"auc": 0.8, "mean_predicted": 0.5, "mean_observed": 0.5},
        now={"auc": auc, "mean_predicted": 0.5, "mean_observed": mean_observed},
        reference_shares=[0.5, 0.5],
        shares=shares,
    )


def test_drift() -> None:
    assert drift_of(shares=[0.5, 0.5]) == []
    assert drift_of(mean_observed=0.551, shares=[0.5, 0.5]) == [Drift.MEAN]
    assert drift_of(mean_observed=0.549, shares=[0.5, 0.5]) == []
    assert drift_of(auc=0.769, shares=[0.5, 0.5]) == [Drift.AUC]
    assert drift_of(auc=0.771, shares=[0.5, 0.5]) == []
    assert drift_of(shares=[0.8, 0.2]) == [Drift.SCORES]
    assert drift_of(shares=[0.7, 0.3]) == []
    assert evaluation.drift(reference={}, now={}) == []
