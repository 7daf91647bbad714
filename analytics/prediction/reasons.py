"""Why a customer may not come back, in words."""

from dataclasses import dataclass

from analytics.prediction.churn import NO_REASON, ChurnScores, Theme
from analytics.prediction.features import CustomerHistories


@dataclass(frozen=True, slots=True)
class Reason:
    """raises: whether it speaks for churn; log_odds: by how much, signed; words: the fact, without a full stop.

    The fact holds whatever the sign: a model that has seen big spenders leave says so.
    """

    theme: Theme
    raises: bool
    log_odds: float
    words: str

    @property
    def sentence(self) -> str:
        return f"{self.words}: {'raises' if self.raises else 'lowers'} the risk."


def in_words(scores: ChurnScores, histories: CustomerHistories, row: int) -> list[Reason]:
    """The reasons of one customer, the strongest first. `histories` are those scored; raises IndexError beyond them."""
    found: list[Reason] = []
    for code in scores.reasons[row].tolist():
        if code == NO_REASON:
            continue
        theme = Theme(code)
        log_odds = float(scores.contributions[row, code])
        words = _fact(theme, histories, row)
        if all(words != other.words for other in found):
            found.append(Reason(theme, log_odds > 0, log_odds, words))
    return found


def _fact(theme: Theme, histories: CustomerHistories, row: int) -> str:
    purchase_days = int(histories.purchase_days[row])
    recency, tenure = int(histories.recency[row]), int(histories.tenure[row])
    repeats = int(histories.repeats[row])
    gap = float(histories.last_in_tenure[row]) / repeats if repeats else 0.0
    match theme:
        case Theme.SILENCE:
            ago = "today" if recency == 0 else f"{_count(recency, 'day')} ago"
            if gap < 1:
                return f"The last purchase was {ago}"
            return f"The last purchase was {ago}; until then one came every {_count(round(gap), 'day')}"
        case Theme.FREQUENCY | Theme.RHYTHM if repeats == 0:
            return "Has bought on one day only"
        case Theme.FREQUENCY:
            lately = int(histories.purchases_180d[row])
            return f"Has bought on {_count(purchase_days, 'day')}, {lately or 'none'} of them in the last 180 days"
        case Theme.RHYTHM:
            spread = float(histories.gap_sd[row])
            give = f", give or take {round(spread)}" if spread >= 1 else ""
            return f"Buys every {_count(round(gap), 'day')}{give}"
        case Theme.TENURE:
            return "A customer since today" if tenure == 0 else f"A customer for {_count(tenure, 'day')}"
        case Theme.SPEND:
            total, lately_spent = float(histories.total[row]), float(histories.spend_90d[row])
            return f"Spent {total:.2f} in all, {lately_spent:.2f} of it in the last 90 days"
        case Theme.BASKET:
            return f"Takes {float(histories.quantity[row]) / max(purchase_days, 1):.1f} items at a time"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
