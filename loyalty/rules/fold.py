"""What a customer's purchases earn and which tier they reach: a fold of their history by the program's rules."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from operator import itemgetter

from loyalty.rules.arithmetic import POINTS_PER_ENTRY_MAX
from loyalty.rules.basis import Line
from loyalty.rules.program import KEEP, RuleBook, Rules
from loyalty.rules.qualifying import HUNDREDTHS, Course
from loyalty.rules.tiers import TierOverride, TierRule, TierStanding


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
    """A return as the rules see it.

    `goods` are lines of the sale and which part of each came back (1: all of it); none when only money went back. They are
    needed only where the rules tell lines apart.
    """

    id: uuid.UUID
    sale_id: uuid.UUID
    cents: int
    at: datetime
    reference: tuple[str, uuid.UUID]
    goods: tuple[tuple[Line, Fraction], ...] = ()


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back of a sale so far: money, and of what had earned the share (1: all of it)."""

    cents: int = 0
    share: Fraction = Fraction(0)


NOTHING_RETURNED = Returned()


@dataclass(slots=True)
class SalePoints:
    """What one sale earned (`gross`: by `rules` and by promotions) and what its returns took back of it, in order."""

    sale: Sale
    gross: int
    tier: TierRule | None
    rules: Rules | None = None
    returned: Returned = NOTHING_RETURNED
    taken: dict[uuid.UUID, int] = field(default_factory=dict)

    @property
    def base(self) -> int:
        """What it earned by the rules."""
        return self.gross - self.sale.awarded

    @property
    def net(self) -> int:
        return self.gross - self.taken_by(self.returned)

    def taken_by(self, returned: Returned) -> int:
        """The points that returns take in all: a function of their sum, whatever their number and order."""
        if returned is NOTHING_RETURNED or (self.rules is not None and self.rules.returns == KEEP):
            return 0
        return taken_back(self.gross, self.sale.cents, returned.cents, returned.share)

    def with_return(self, returned: Returned, back: TakeBack) -> Returned:
        """One return more."""
        return Returned(returned.cents + back.cents, returned.share + self._share(back))

    def _share(self, back: TakeBack) -> Fraction:
        """Of what had earned, the share that a return brings back: by the lines if they matter, else by the money."""
        if back.goods and self.rules is not None and self.rules.basis.by_line:
            admits = self.rules.basis.admits
            earning = sum(line.cents for line in self.sale.lines if admits(line))
            if earning > 0:
                return sum(
                    (Fraction(line.cents, earning) * part for line, part in back.goods if admits(line)),
                    Fraction(0),
                )
        return Fraction(back.cents, self.sale.cents) if self.sale.cents > 0 else Fraction(0)


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


def earned_by(rules: Rules | None, sale: Sale, tier: TierRule | None) -> int:
    """What a sale earns by the rules of its moment: nothing before the program began, or where it is not."""
    if rules is None or not rules.takes_part(sale.reference[1]):
        return 0
    return rules.points_for(eligible_cents(rules, sale), tier)


def gross_of(rules: Rules | None, sale: Sale, tier: TierRule | None) -> int:
    """What a sale earns in all, by the rules and by promotions: no more than one entry can take back."""
    return min(earned_by(rules, sale, tier) + sale.awarded, POINTS_PER_ENTRY_MAX)


def taken_back(gross: int, sale_cents: int, returned_cents: int, share: Fraction | None = None) -> int:
    """The points that returns of `returned_cents` in all take from a sale that earned `gross`.

    In proportion to the money, or to the `share` of what earned that came back; rounded down in the customer's favour, and
    a function of the sum: ten returns of 1.00 take what one of 10.00 takes, and returning everything takes exactly `gross`.
    """
    if returned_cents >= sale_cents > 0:
        return gross
    if share is None:
        share = Fraction(max(returned_cents, 0), sale_cents) if sale_cents > 0 else Fraction(0)
    return min(gross, gross * share.numerator // share.denominator)


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
    steps.sort(key=itemgetter(0, 1, 2))

    points: dict[uuid.UUID, SalePoints] = {}
    spend, earned_points = Course(total=opening_cents), Course()
    courses = {"spend": spend, "points": earned_points}
    for at, _, _, step in steps:
        if isinstance(step, Sale):
            rules = book.at(at)
            tier = None
            if rules is not None:
                tier = rules.ladder.tier(courses[rules.qualification.metric], at, overrides)
            gross = gross_of(rules, step, tier)
            points[step.id] = SalePoints(step, gross, tier, rules)
            spend.add(step.id, at, step.cents)
            earned_points.add(step.id, at, gross * HUNDREDTHS)
        else:
            spend.lower(step.sale_id, step.cents)
            earned = points.get(step.sale_id)
            if earned is not None:
                before = earned.taken_by(earned.returned)
                earned.returned = earned.with_return(earned.returned, step)
                earned.taken[step.id] = earned.taken_by(earned.returned) - before
                earned_points.lower(step.sale_id, earned.taken[step.id] * HUNDREDTHS)
    return Outcome(points, spend.total, steps[-1][0] if steps else None, len(sold), courses)
