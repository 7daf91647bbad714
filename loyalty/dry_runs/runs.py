"""Replaying a period with a promotion more, or with the program's rules changed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from django.utils.timezone import now

from cloudpos.garbage import rare_collections
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.zones import store_zones
from loyalty.dry_runs.judging import Judge, Judged, TotalCap
from loyalty.dry_runs.reading import Period, Person, count_purchases, read_people
from loyalty.dry_runs.tally import DryRun
from loyalty.models import Program, Promotion
from loyalty.rules import RuleBook, SalePoints, replay
from loyalty.rules.promotions import PromotionRule
from loyalty.services.programs import ProgramNotFound, Proposal, active_program, propose, rule_book
from loyalty.services.promotion_checks import check_promotion
from loyalty.services.promotions import draft_promotion, find_promotion, rule_of

DRY_RUN_DAYS_MAX = 365

SAME_BEHAVIOUR = (
    "Customers would have bought the same, at the same times: what a promotion brings in is not in this."
)
CAPS_IN_ORDER = "Limits are counted from the beginning of the period, in the order of time."
SEGMENTS_OF_NOW = "Segments are those of now."
WHOLE_PERIOD = "It is tried over the whole period, whatever its own dates."
TIERS_AS_THEY_WERE = "Tiers are as they were: more points would not have raised them."
FACTS_STAY = "What promotions gave for these purchases stays as it was."
SHARE_BY_MONEY = "Returned goods take back by their price."


class Progress(Protocol):
    """Whoever wants to know how far it is. May raise, to end it."""

    def advance(self, done: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Trial:
    """A promotion or a changed program, checked, and the purchases that it is to be tried on. Nothing of it is written."""

    merchant_id: uuid.UUID
    program: Program
    book: RuleBook
    period: Period
    zone: ZoneInfo
    promotion: Promotion | None = None
    proposal: Proposal | None = None

    @property
    def rule(self) -> PromotionRule | None:
        """The promotion that is tried out, whatever its status and its window: for the whole period."""
        return (
            None if self.promotion is None else replace(rule_of(self.promotion), starts_at=None, ends_at=None)
        )

    @property
    def readings(self) -> int:
        """How often the purchases are read."""
        return 2 if self.rule is not None and self.rule.caps.of_all else 1

    def count(self, *, most: int) -> int:
        """How many purchases are to be read each time; not more than `most` are counted."""
        return count_purchases(self.merchant_id, self.period, most=most)


def dry_run(*, merchant_id: uuid.UUID, begin: datetime, end: datetime, **change: Any) -> DryRun:
    """Purchases from `begin` to `end` (not included), as they were and with a change, as `prepare` takes it."""
    return run(prepare(merchant_id=merchant_id, begin=begin, end=end, **change))


def prepare(
    *,
    merchant_id: uuid.UUID,
    begin: datetime,
    end: datetime,
    promotion: Mapping[str, Any] | None = None,
    promotion_id: uuid.UUID | None = None,
    program: Mapping[str, Any] | None = None,
) -> Trial:
    """What is to be tried on the purchases from `begin` to `end` (not included).

    `promotion` has the values of a new one; with `promotion_id` it is that one with these values, instead of what it gave.
    `program` has columns of the program, and `tiers`. One of the two. Raises BadRequest and what writing them would raise.
    """
    active = active_program(merchant_id)
    if active is None:
        raise ProgramNotFound()
    if (promotion is None) == (program is None):
        raise TypeError("either a promotion or a program")
    book = rule_book(merchant_id=merchant_id, program_id=active.pk, revision=active.revision)
    row = proposal = None
    lifetime = book.is_lifetime
    if program is None:
        row = _proposed(merchant_id, active, promotion or {}, promotion_id)
    else:
        proposal = propose(merchant_id=merchant_id, **program)
        lifetime = lifetime and _from_then_on(book, proposal, begin).is_lifetime
    return Trial(
        merchant_id,
        active,
        book,
        Period(begin, end, whole=not lifetime, as_of=now()),
        Merchant.objects.get(pk=merchant_id).tz,
        row,
        proposal,
    )


def run(trial: Trial, progress: Progress | None = None) -> DryRun:
    """Try it. In bounded memory, whatever the number of purchases; nothing is written."""
    period = trial.period
    result = DryRun(
        period.begin, period.end, period.as_of, trial.zone, redeem_value=trial.program.redeem_value
    )
    with rare_collections():
        if trial.proposal is not None:
            _run_program(result, trial, trial.proposal, progress)
        elif trial.rule is not None:
            result.rule = trial.rule
            _run_promotion(result, trial, trial.rule, progress)
    return result


def _proposed(
    merchant_id: uuid.UUID, program: Program, values: Mapping[str, Any], promotion_id: uuid.UUID | None
) -> Promotion:
    """A new promotion, or one that there is, with these values."""
    if promotion_id is None:
        row = draft_promotion(merchant_id=merchant_id, program=program, values=values)
    else:
        row = find_promotion(merchant_id=merchant_id, promotion_id=promotion_id)
        for name, value in values.items():
            setattr(row, name, value)
    row.status = Promotion.Status.DRAFT
    check_promotion(row)
    return row


# --- A promotion ------------------------------------------------------------------------------------------------


def _run_promotion(result: DryRun, trial: Trial, rule: PromotionRule, progress: Progress | None) -> None:
    others = Promotion.objects.for_merchant(trial.merchant_id).exclude(pk=rule.id)
    judge = Judge(rule, store_zones(trial.merchant_id), {row.pk: rule_of(row) for row in others})
    cap = TotalCap(rule.caps) if rule.caps.of_all else None
    if cap is not None:
        for person in _people(trial, progress, with_lines=rule.by_line):
            for judged in judge.judge(person, _bought(trial, person)):
                cap.count(judged)
        cap.close()
    for person in _people(trial, progress, with_lines=rule.by_line):
        buys = 0
        for judged in judge.judge(person, _bought(trial, person)):
            buys = 1
            settled = judged if cap is None else cap.settle(judged)
            if settled is not None:
                _add(result, settled)
        result.buyers += buys
    for judged in cap.rest() if cap is not None else ():
        _add(result, judged)
    result.assumptions += [SAME_BEHAVIOUR, WHOLE_PERIOD, TIERS_AS_THEY_WERE]
    if rule.caps.of_customer or rule.caps.of_all:
        result.assumptions.append(CAPS_IN_ORDER)
    if rule.segments:
        result.assumptions.append(SEGMENTS_OF_NOW)


def _add(result: DryRun, judged: Judged) -> None:
    result.add(judged.person, judged.points, judged.after(), judged.awards)


def _people(trial: Trial, progress: Progress | None, *, with_lines: bool) -> Iterator[Person]:
    """Everybody who bought in the period, one after the other."""
    with_lines = with_lines or trial.book.needs_lines
    for people in read_people(trial.merchant_id, trial.program.pk, trial.period, with_lines=with_lines):
        yield from people
        if progress is not None:
            progress.advance(sum(len(person.sales) for person in people))


def _bought(trial: Trial, person: Person) -> Iterator[tuple[int, SalePoints]]:
    """A person's purchases of the period in the order of time, each with its number among all that they ever made."""
    points = _points(person, trial.book)
    # In the order of the fold, which is that of time.
    for visit, each in enumerate(points.values(), start=person.visits + 1):
        if each.sale.at >= trial.period.begin:
            yield visit, each


def _points(person: Person, book: RuleBook) -> dict[uuid.UUID, SalePoints]:
    return replay(
        person.sales,
        person.returns,
        book,
        opening_cents=person.opening_cents,
        overrides=person.overrides,
    ).points


# --- The program ------------------------------------------------------------------------------------------------


def _run_program(result: DryRun, trial: Trial, proposal: Proposal, progress: Progress | None) -> None:
    begin = trial.period.begin
    changed = _from_then_on(trial.book, proposal, begin)
    result.redeem_value = proposal.after.redeem_value
    for person in _people(trial, progress, with_lines=changed.needs_lines):
        after = _points(person, changed)
        buys = 0
        for sale_id, points in _points(person, trial.book).items():
            if points.sale.at >= begin:
                buys = 1
                result.add(person, points, after[sale_id])
        result.buyers += buys
    result.assumptions += [SAME_BEHAVIOUR, FACTS_STAY]
    if trial.book.needs_lines or changed.needs_lines:
        result.assumptions.append(SHARE_BY_MONEY)


def _from_then_on(book: RuleBook, proposal: Proposal, begin: datetime) -> RuleBook:
    """The proposed rules in force since the period began, or since the program did."""
    first = book.versions[0][0]
    since = begin if first is None else max(first, begin)
    earlier = tuple(version for version in book.versions if version[0] is None or version[0] < since)
    return RuleBook((*earlier, (since, proposal.rules_after)))
