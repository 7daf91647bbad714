"""Replaying a period with a promotion more, or with the program's rules changed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from cloudpos.api.errors import BadRequest
from cloudpos.garbage import rare_collections
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.zones import store_zones
from loyalty.dry_runs.reading import (
    Facts,
    Period,
    Person,
    count_purchases,
    read_facts,
    read_people,
    read_sales,
)
from loyalty.dry_runs.tally import DryRun
from loyalty.models import Program, Promotion
from loyalty.rules import RuleBook, SalePoints, replay
from loyalty.rules.promotions import Award, Occasion, PromotionRule, Used, award, is_excluded
from loyalty.services.programs import ProgramNotFound, Proposal, active_program, propose, rule_book
from loyalty.services.promotion_checks import check_promotion
from loyalty.services.promotions import draft_promotion, find_promotion, rule_of

DRY_RUN_DAYS_MAX = 365
PURCHASES_MAX = 300_000
# Where tiers follow from whole histories.
HISTORY_PURCHASES_MAX = 600_000

SAME_BEHAVIOUR = (
    "Customers would have bought the same, at the same times: what a promotion brings in is not in this."
)
CAPS_IN_ORDER = "Limits are counted from the beginning of the period, in the order of time."
SEGMENTS_OF_NOW = "Segments are those of now."
WHOLE_PERIOD = "It is tried over the whole period, whatever its own dates."
TIERS_AS_THEY_WERE = "Tiers are as they were: more points would not have raised them."
FACTS_STAY = "What promotions gave for these purchases stays as it was."
SHARE_BY_MONEY = "Returned goods take back by their price."


Bought = tuple[datetime, tuple[str, uuid.UUID], int, Person, SalePoints]


class TooManyPurchases(BadRequest):
    code = "too_many_purchases"
    message = f"There are more than {PURCHASES_MAX:,} purchases in this period: choose a shorter one"


def dry_run(
    *,
    merchant_id: uuid.UUID,
    begin: datetime,
    end: datetime,
    promotion: Mapping[str, Any] | None = None,
    promotion_id: uuid.UUID | None = None,
    program: Mapping[str, Any] | None = None,
) -> DryRun:
    """Purchases from `begin` to `end` (not included), as they were and with a change. Nothing is written.

    `promotion` has the values of a new one; with `promotion_id` it is that one with these values, instead of what it gave.
    `program` has columns of the program, and `tiers`. One of the two. Raises BadRequest and what writing them would raise.
    """
    active = active_program(merchant_id)
    if active is None:
        raise ProgramNotFound()
    book = rule_book(merchant_id=merchant_id, program_id=active.pk, revision=active.revision)
    zone = Merchant.objects.get(pk=merchant_id).tz
    run = DryRun(begin, end, zone, redeem_value=active.redeem_value)
    if (promotion is None) == (program is None):
        raise TypeError("either a promotion or a program")
    with rare_collections():
        if program is not None:
            proposal = propose(merchant_id=merchant_id, **program)
            _run_program(run, merchant_id, active, book, proposal)
        else:
            rule = _proposed(merchant_id, active, promotion or {}, promotion_id)
            run.rule = rule
            _run_promotion(run, merchant_id, active, book, rule)
    return run


def _proposed(
    merchant_id: uuid.UUID, program: Program, values: Mapping[str, Any], promotion_id: uuid.UUID | None
) -> PromotionRule:
    """The promotion that is tried out, whatever its status and its window: for the whole period."""
    if promotion_id is None:
        row = draft_promotion(merchant_id=merchant_id, program=program, values=values)
    else:
        row = find_promotion(merchant_id=merchant_id, promotion_id=promotion_id)
        for name, value in values.items():
            setattr(row, name, value)
    row.status = Promotion.Status.DRAFT
    check_promotion(row)
    return replace(rule_of(row), starts_at=None, ends_at=None)


def _period(run: DryRun, merchant_id: uuid.UUID, *, whole: bool) -> Period:
    """Raises TooManyPurchases."""
    most = HISTORY_PURCHASES_MAX if whole else PURCHASES_MAX
    period = Period(run.begin, run.end, whole)
    if count_purchases(merchant_id, period, most=most + 1) > most:
        raise TooManyPurchases(field="days")
    return period


# --- A promotion ------------------------------------------------------------------------------------------------


def _run_promotion(
    run: DryRun, merchant_id: uuid.UUID, program: Program, book: RuleBook, rule: PromotionRule
) -> None:
    period = _period(run, merchant_id, whole=not book.is_lifetime)
    # Judging takes seconds: the database ends a transaction that idles for so long.
    with transaction.atomic():
        facts = read_facts(merchant_id, program.pk, period)
        bought = _bought(run, merchant_id, program, book, period, facts, with_lines=rule.by_line)
    judge = _Judge(merchant_id, rule, facts)
    for _, _, visit, person, points in bought:
        after, awards = judge.judge(person, points, visit)
        run.add(person.id, points, after, awards)
    run.assumptions += [SAME_BEHAVIOUR, WHOLE_PERIOD, TIERS_AS_THEY_WERE]
    if rule.caps.of_customer or rule.caps.of_all:
        run.assumptions.append(CAPS_IN_ORDER)
    if rule.segments:
        run.assumptions.append(SEGMENTS_OF_NOW)


def _bought(
    run: DryRun,
    merchant_id: uuid.UUID,
    program: Program,
    book: RuleBook,
    period: Period,
    facts: Facts,
    *,
    with_lines: bool,
) -> list[Bought]:
    """The purchases of the period in the order of time, each with what it earned and its number for its customer."""
    people = read_people(merchant_id, program.pk, period)
    bought: list[Bought] = []
    for person, sales in read_sales(
        merchant_id, people, period, facts=facts, with_lines=with_lines or book.needs_lines
    ):
        outcome = replay(
            sales, person.returns, book, opening_cents=person.opening_cents, overrides=person.overrides
        )
        # In the order of the fold, which is that of time.
        visit = person.visits
        for points in outcome.points.values():
            visit += 1
            if points.sale.at >= run.begin:
                bought.append((points.sale.at, points.sale.reference, visit, person, points))
    run.buyers = len(people)
    bought.sort(key=lambda each: each[:2])
    return bought


class _Judge:
    """Gives the promotion to purchases in the order of time, beside what others gave them."""

    def __init__(self, merchant_id: uuid.UUID, rule: PromotionRule, facts: Facts) -> None:
        self.rule = rule
        self.facts = facts
        self.zones: dict[uuid.UUID, ZoneInfo] = store_zones(merchant_id)
        self.known = {
            row.pk: rule_of(row) for row in Promotion.objects.for_merchant(merchant_id).exclude(pk=rule.id)
        }
        self.counts = rule.caps.of_customer or rule.caps.of_all
        self.given: dict[Any, tuple[int, int]] = {}
        self.all = (0, 0)

    def judge(
        self, person: Person, points: SalePoints, visit: int
    ) -> tuple[SalePoints | None, tuple[Award, ...]]:
        """The purchase with the promotion, and the promotion's award; None when nothing changes."""
        facts = self.facts.get(points.sale.id, ())
        mine = sum(given for promotion_id, given in facts if promotion_id == self.rule.id)
        given = self._offer(person, points, visit)
        if given is None and not mine:
            return None, ()
        others = [(self.known[which], much) for which, much in facts if which in self.known]
        earlier = [other for other, _ in others if other.precedence < self.rule.precedence]
        if given is not None and is_excluded(self.rule, earlier):
            given = None
        lost = 0
        if given is not None:
            lost = sum(
                much
                for other, much in others
                if other.precedence > self.rule.precedence and (other.exclusive or self.rule.exclusive)
            )
            self._count(person, points, given)
        awarded = points.sale.awarded - mine - lost + (given.points if given is not None else 0)
        if awarded == points.sale.awarded:
            return None, ()
        after = SalePoints(
            replace(points.sale, awarded=awarded),
            points.base + awarded,
            points.tier,
            points.rules,
            points.returned,
        )
        return after, (given,) if given is not None else ()

    def _offer(self, person: Person, points: SalePoints, visit: int) -> Award | None:
        if points.rules is None or not points.rules.takes_part(points.sale.reference[1]):
            return None
        zone = self.zones[points.sale.reference[1]]
        occasion = Occasion(
            sale=points.sale,
            rules=points.rules,
            tier=points.tier,
            local=points.sale.at.astimezone(zone),
            segment=person.segment,
            birthday=person.birthday,
            visit=visit,
        )
        usage = {}
        if self.counts:
            usage[self.rule.id] = Used(*self.given.get(self._key(person, occasion.local), (0, 0)), *self.all)
        (given,) = award(occasion, [self.rule], usage)
        return given if given.applies else None

    def _key(self, person: Person, local: datetime) -> Any:
        return (person.id, local.date()) if self.rule.caps.each_day else person.id

    def _count(self, person: Person, points: SalePoints, given: Award) -> None:
        if not self.counts:
            return
        key = self._key(person, points.sale.at.astimezone(self.zones[points.sale.reference[1]]))
        times, much = self.given.get(key, (0, 0))
        self.given[key] = (times + 1, much + given.points)
        self.all = (self.all[0] + 1, self.all[1] + given.points)


# --- The program ------------------------------------------------------------------------------------------------


def _run_program(
    run: DryRun, merchant_id: uuid.UUID, program: Program, book: RuleBook, proposal: Proposal
) -> None:
    changed = _from_then_on(book, proposal, run.begin)
    run.redeem_value = proposal.after.redeem_value
    period = _period(run, merchant_id, whole=not (book.is_lifetime and changed.is_lifetime))
    with transaction.atomic():
        people = read_people(merchant_id, program.pk, period)
        facts = read_facts(merchant_id, program.pk, period)
        fold: Callable[..., Any] = replay
        for person, sales in read_sales(
            merchant_id, people, period, facts=facts, with_lines=book.needs_lines or changed.needs_lines
        ):
            how = {"opening_cents": person.opening_cents, "overrides": person.overrides}
            before = fold(sales, person.returns, book, **how).points
            after = fold(sales, person.returns, changed, **how).points
            for sale_id, points in before.items():
                if points.sale.at >= run.begin:
                    run.add(person.id, points, after[sale_id])
    run.buyers = len(people)
    run.assumptions += [SAME_BEHAVIOUR, FACTS_STAY]
    if book.needs_lines or changed.needs_lines:
        run.assumptions.append(SHARE_BY_MONEY)


def _from_then_on(book: RuleBook, proposal: Proposal, begin: datetime) -> RuleBook:
    """The proposed rules in force since the period began, or since the program did."""
    first = book.versions[0][0]
    since = begin if first is None else max(first, begin)
    earlier = tuple(version for version in book.versions if version[0] is None or version[0] < since)
    return RuleBook((*earlier, (since, proposal.rules_after)))
