"""What a customer's purchases earn and which tier they reach: a fold of their history by the program's rules."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from loyalty.rules.basis import Line
from loyalty.rules.program import RuleBook, Rules
from loyalty.rules.tiers import HUNDREDTHS, Course, TierOverride, TierRule, TierStanding


@dataclass(frozen=True, slots=True)
class Sale:
    """A purchase as the rules see it. `reference` orders sales of one instant: (transaction id, store id).

    `lines` are needed only where the rules tell lines apart. `awarded` are the points that promotions gave it when it
    was recorded: facts, which no rule derives again.
    """

    id: uuid.UUID
    cents: int
    at: datetime
    reference: tuple[str, uuid.UUID]
    tax_cents: int = 0
    discount_cents: int = 0
    lines: tuple[Line, ...] = ()
    awarded: int = 0


@dataclass(frozen=True, slots=True)
class TakeBack:
    """A return as the rules see it."""

    id: uuid.UUID
    sale_id: uuid.UUID
    cents: int
    at: datetime
    reference: tuple[str, uuid.UUID]


@dataclass(slots=True)
class SalePoints:
    """What one sale earned (`gross`: by the rules and by promotions) and what its returns took back of it, in order."""

    sale: Sale
    gross: int
    tier: TierRule | None
    returned_cents: int = 0
    taken: dict[uuid.UUID, int] = field(default_factory=dict)

    @property
    def base(self) -> int:
        """What it earned by the rules."""
        return self.gross - self.sale.awarded

    @property
    def net(self) -> int:
        return self.gross - taken_back(self.gross, self.sale.cents, self.returned_cents)


@dataclass(slots=True)
class Outcome:
    """The state after a history. `points` is in the order of the fold; `courses` say what counts towards tiers."""

    points: dict[uuid.UUID, SalePoints]
    spend_cents: int
    last_at: datetime | None
    visits: int
    courses: dict[str, Course]

    @property
    def balance(self) -> int:
        return sum(points.net for points in self.points.values())

    def standing(self, rules: Rules, at: datetime, overrides: Sequence[TierOverride] = ()) -> TierStanding:
        """The tier by these rules at an instant not before the last purchase."""
        return rules.ladder.standing(self.courses[rules.qualification.metric], at, overrides)


def eligible_cents(rules: Rules, sale: Sale) -> int:
    """The part of a sale that earns."""
    return rules.basis.eligible_cents(
        cents=sale.cents, tax_cents=sale.tax_cents, discount_cents=sale.discount_cents, lines=sale.lines
    )


def taken_back(gross: int, sale_cents: int, returned_cents: int) -> int:
    """The points that returns of `returned_cents` in all take from a sale that earned `gross`.

    In proportion, rounded down in the customer's favour, and a function of the sum: ten returns of 1.00 take what one
    of 10.00 takes, and returning everything takes exactly `gross`.
    """
    if returned_cents <= 0:
        return 0
    if returned_cents >= sale_cents:
        return gross
    return gross * returned_cents // sale_cents


def replay(
    sales: Iterable[Sale],
    returns: Iterable[TakeBack],
    book: RuleBook,
    *,
    opening_cents: int = 0,
    overrides: Sequence[TierOverride] = (),
) -> Outcome:
    """Fold a history, given in any order, into what each sale earned and where the customer stands.

    Sales and returns are taken in the order of (instant, sales first, transaction id, store id). A sale earns with the
    multiplier of the tier before it. A return lowers the net spend, and takes points back from its own sale; one whose
    till's clock puts it before its sale counts at the sale's instant. Returns of sales that are not in `sales` (earlier
    ones, when `opening_cents` stands for them: with a book that `is_lifetime` only) lower the spend only.
    """
    sold = {sale.id: sale for sale in sales}
    steps: list[tuple[datetime, int, tuple[str, uuid.UUID], Sale | TakeBack]] = [
        (sale.at, 0, sale.reference, sale) for sale in sold.values()
    ]
    for back in returns:
        origin = sold.get(back.sale_id)
        at = max(back.at, origin.at) if origin is not None else back.at
        steps.append((at, 1, back.reference, back))
    steps.sort(key=lambda step: step[:3])

    points: dict[uuid.UUID, SalePoints] = {}
    spend, earned_points = Course(total=opening_cents), Course()
    courses = {"spend": spend, "points": earned_points}
    for at, _, _, step in steps:
        if isinstance(step, Sale):
            rules = book.at(at)
            tier, gross = None, step.awarded
            if rules is not None:
                tier = rules.ladder.tier(courses[rules.qualification.metric], at, overrides)
                gross += rules.points_for(eligible_cents(rules, step), tier)
            points[step.id] = SalePoints(step, gross, tier)
            spend.add(step.id, at, step.cents)
            earned_points.add(step.id, at, gross * HUNDREDTHS)
        else:
            spend.lower(step.sale_id, step.cents)
            earned = points.get(step.sale_id)
            if earned is not None:
                before = taken_back(earned.gross, earned.sale.cents, earned.returned_cents)
                earned.returned_cents += step.cents
                after = taken_back(earned.gross, earned.sale.cents, earned.returned_cents)
                earned.taken[step.id] = after - before
                earned_points.lower(step.sale_id, (after - before) * HUNDREDTHS)
    return Outcome(points, spend.total, steps[-1][0] if steps else None, len(sold), courses)
