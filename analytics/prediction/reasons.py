"""Why a customer may not come back, in words. Without numpy: they are made when they are read."""

from collections.abc import Iterable
from dataclasses import dataclass

from analytics.prediction.themes import Theme, of_code


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one customer on a day.

    recency, tenure: days since the last and the first purchase day; gap_sd: of the days between purchase days, 0 before the
    third; total, spend_90d: money; quantity: units in all.
    """

    recency: int
    tenure: int
    purchase_days: int
    purchases_180d: int
    gap_sd: float
    total: float
    spend_90d: float
    quantity: float

    @property
    def gap(self) -> float:
        """Mean days between purchase days, 0 before the second."""
        repeats = self.purchase_days - 1
        return (self.tenure - self.recency) / repeats if repeats > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Reason:
    """raises: whether it speaks for churn; words: the fact, without a full stop.

    The fact holds whatever the sign: a model that has seen big spenders leave says so.
    """

    theme: Theme
    raises: bool
    words: str

    @property
    def sentence(self) -> str:
        return f"{self.words}: {'raises' if self.raises else 'lowers'} the risk."


def in_words(codes: Iterable[int], facts: Facts) -> list[Reason]:
    """The reasons of one customer in the order of their codes (see `themes.code_of`); what was said is not said again."""
    found: list[Reason] = []
    for code in codes:
        theme, raises = of_code(code)
        words = fact_in_words(theme, facts)
        if all(words != other.words for other in found):
            found.append(Reason(theme, raises, words))
    return found


def fact_in_words(theme: Theme, facts: Facts) -> str:
    once, gap = facts.purchase_days < 2, facts.gap
    match theme:
        case Theme.SILENCE:
            ago = "today" if facts.recency == 0 else f"{_count(facts.recency, 'day')} ago"
            if gap < 1:
                return f"The last purchase was {ago}"
            return f"The last purchase was {ago}; until then one came every {_count(round(gap), 'day')}"
        case Theme.FREQUENCY | Theme.RHYTHM if once:
            return "Has bought on one day only"
        case Theme.FREQUENCY:
            lately = facts.purchases_180d or "none"
            return (
                f"Has bought on {_count(facts.purchase_days, 'day')}, {lately} of them in the last 180 days"
            )
        case Theme.RHYTHM:
            give = f", give or take {round(facts.gap_sd)}" if facts.gap_sd >= 1 else ""
            return f"Buys every {_count(round(gap), 'day')}{give}"
        case Theme.TENURE:
            return (
                "A customer since today"
                if facts.tenure == 0
                else f"A customer for {_count(facts.tenure, 'day')}"
            )
        case Theme.SPEND:
            return f"Spent {facts.total:.2f} in all, {facts.spend_90d:.2f} of it in the last 90 days"
        case Theme.BASKET:
            return f"Takes {facts.quantity / max(facts.purchase_days, 1):.1f} items at a time"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
