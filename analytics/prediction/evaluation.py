"""How good predictions were, whether a new model may replace the current one, and whether the current one drifts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promotion:
    """Whether a candidate becomes the current model, and why in one sentence."""

    promoted: bool
    reason: str


def promotable(
    candidate: dict[str, float], current: dict[str, float] | None, rule: dict[str, float]
) -> Promotion:
    """Compare metrics of one window: "auc" and "brier" must not be worse than the current model's nor the rule's.

    current: None where there is no current model. Empty metrics (no closed window yet) promote.
    """
    for name, other in (("the naive rule", rule), ("the current model", current or {})):
        if not candidate or not other:
            continue
        if candidate["auc"] < other["auc"]:
            return Promotion(False, f"AUC {candidate['auc']:.3f}, that of {name} is {other['auc']:.3f}.")
        if candidate["brier"] > other["brier"]:
            return Promotion(
                False, f"Brier score {candidate['brier']:.3f}, that of {name} is {other['brier']:.3f}."
            )
    return Promotion(True, "Not worse than what it replaces.")
