"""The tier of an account as a posting moves it: by what is stored of it, or by the history where that does not suffice."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from loyalty.rules import HUNDREDTHS, Course, RuleBook, Rules, TierOverride, TierRule

REACHED, NO_LONGER_REACHED = "reached", "no_longer_reached"
OVERRIDE, OVERRIDE_ENDED = "override", "override_ended"
RULES_CHANGED = "rules_changed"


@dataclass(frozen=True, slots=True)
class TierMove:
    """A change of the tier at an instant; before `until` it does not change by itself (None: it never does)."""

    tier: str
    at: datetime
    reason: str
    until: datetime | None


class TierState:
    """Tier and amount as of `at`: the amount stands until `amount_until`, the tier at least until `until`.

    Where the net spend alone decides (`follows_spend`) that is all there is to know. Otherwise a latest purchase needs only
    these columns while they stand; `courses`, what the purchases of the whole history count for, say the rest.
    """

    __slots__ = (
        "amount", "amount_until", "at", "book", "by_other_rules", "code", "courses", "is_changed", "moves", "overrides",
        "revision", "until",
    )  # fmt: skip

    def __init__(
        self,
        book: RuleBook,
        *,
        code: str = "",
        amount: int = 0,
        amount_until: datetime | None = None,
        until: datetime | None = None,
        at: datetime | None = None,
        revision: int = 0,
        overrides: Sequence[TierOverride] = (),
    ) -> None:
        self.book = book
        self.code = code
        self.amount = amount
        self.amount_until = amount_until
        self.until = until
        self.at = at
        self.revision = revision
        # Once known by which rules, and those decided otherwise.
        self.by_other_rules = revision > 0 and not book.decides_tiers_like(revision)
        self.overrides = tuple(overrides)
        self.courses: dict[str, Course] | None = None
        self.moves: list[TierMove] = []
        # Worked out anew from the courses, so that it has to be written.
        self.is_changed = False

    @property
    def follows_spend(self) -> bool:
        return self.book.is_lifetime and not self.overrides

    @property
    def rule(self) -> TierRule | None:
        return self.book.current.ladder.by_code(self.code)

    def is_overdue(self, at: datetime) -> bool:
        """Whether another tier may hold by now than the stored one."""
        if self.follows_spend:
            return False
        return (self.until is not None and self.until <= at) or not self.book.decides_tiers_like(
            self.revision
        )

    def suffices(self, sale_at: datetime, now: datetime) -> bool:
        """Whether the columns alone say what a latest purchase earns by and what it changes.

        They are by the present rules: whoever opened the account has brought them up.
        """
        if self.follows_spend:
            return True
        rules, current = self.book.at(sale_at), self.book.current
        if self.courses is not None or self.overrides or self.at is None or self.at > sale_at:
            return False
        if rules is not None and rules is not current and not rules.ladder.decides_like(current.ladder):
            return False
        until = (self.amount_until, self.until, current.qualification.leaves_at(sale_at))
        return all(end is None or max(sale_at, now) < end for end in until)

    # --- Purchases --------------------------------------------------------------------------------------------

    def begin(self, spend_cents: int = 0) -> None:
        """Of a customer without purchases, or with purchases that count for ever."""
        self.courses = {"spend": Course(total=spend_cents), "points": Course()}

    def before(self, rules: Rules, at: datetime, *, spend_cents: int) -> TierRule | None:
        """The tier by the rules of a purchase about to be counted, at its instant."""
        if self.follows_spend:
            return rules.ladder.reached(spend_cents)
        if self.courses is not None:
            return rules.ladder.tier(self.courses[rules.qualification.metric], at, self.overrides)
        return rules.ladder.by_code(self.code)

    def add(self, sale_id: uuid.UUID, at: datetime, *, cents: int, points: int, spend_cents: int) -> None:
        """Count a latest purchase; `spend_cents` is the net spend with it."""
        if self.follows_spend:
            self.follow(spend_cents)
        elif self.courses is not None:
            self.courses["spend"].add(sale_id, at, cents)
            self.courses["points"].add(sale_id, at, points * HUNDREDTHS)
            self.settle(at)
        else:
            self._add_to_columns(
                at, cents if self.book.current.qualification.metric == "spend" else points * HUNDREDTHS
            )

    def lower(self, sale_id: uuid.UUID, at: datetime, *, cents: int, points: int, spend_cents: int) -> None:
        """Count a return; `courses` are at hand unless the net spend alone decides."""
        if self.courses is not None:
            self.courses["spend"].lower(sale_id, cents)
            self.courses["points"].lower(sale_id, points * HUNDREDTHS)
            self.settle(at)
        else:
            self.follow(spend_cents)

    def _add_to_columns(self, at: datetime, count: int) -> None:
        """A purchase raises the amount and the tier, and lowers neither."""
        ladder = self.book.current.ladder
        rule = ladder.qualification
        self.amount += count
        if count and self.amount_until is None:
            self.amount_until = rule.leaves_at(at)
        self.at = at
        reached = ladder.reached(self.amount)
        if reached is not None and ladder.rank(reached) > ladder.rank(self.rule):
            self.until = rule.falls_at_first(at, self.amount_until)
            self.code = reached.code
            self.moves.append(TierMove(reached.code, at, REACHED, self.until))

    # --- Time -------------------------------------------------------------------------------------------------

    def follow(self, spend_cents: int) -> None:
        """The tier follows the net spend, up and down."""
        reached = self.book.current.ladder.reached(spend_cents)
        self.code = reached.code if reached is not None else ""
        self.amount = spend_cents
        self.amount_until = self.until = self.at = None
        self.revision = len(self.book.versions)

    def settle(self, at: datetime, reason: str = "") -> None:
        """Work the columns out from the courses, as of `at` or of what they are as of already."""
        assert self.courses is not None
        rules = self.book.current
        course = self.courses[rules.qualification.metric]
        at = max([at, *course.at[-1:], *([self.at] if self.at is not None else [])])
        standing = rules.ladder.standing(course, at, self.overrides)
        code = standing.tier.code if standing.tier is not None else ""
        if code != self.code:
            if not reason:
                reason = OVERRIDE if standing.override is not None else self._reason(code, at)
            self.moves.append(TierMove(code, at, reason, standing.until))
        self.code, self.amount = code, standing.amount
        self.amount_until, self.until, self.at = standing.amount_until, standing.until, at
        self.revision, self.is_changed = len(self.book.versions), True

    def advance(self, to: datetime) -> None:
        """Bring the tier up to an instant, change by change, each dated when it took effect."""
        if not self.book.decides_tiers_like(self.revision):
            self.settle(to, RULES_CHANGED)
            return
        while self.until is not None and self.until <= to:
            self.settle(self.until)
        self.settle(to)

    def _reason(self, code: str, at: datetime) -> str:
        since = self.at
        if since is not None and any(
            (end := one.ends_at()) is not None and since < end <= at for one in self.overrides
        ):
            return OVERRIDE_ENDED
        return self.why_moved(self.code, code)

    def why_moved(self, before: str, after: str) -> str:
        """Of a change that no person has made."""
        ladder = self.book.current.ladder
        was, is_ = ladder.by_code(before), ladder.by_code(after)
        if self.by_other_rules or (before and was is None):
            return RULES_CHANGED
        return REACHED if ladder.rank(is_) > ladder.rank(was) else NO_LONGER_REACHED
