"""A merchant's program: its rules, their versions, and what a change does to those who are in it."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from cachetools import LRUCache
from django.db.models import Max
from django.utils.timezone import now

from cloudpos.api.errors import Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Merchant
from customers.models import Purchase
from loyalty.models import Program, ProgramVersion, Tier
from loyalty.rules import (
    AFTER_EARNING,
    AFTER_INACTIVITY,
    Basis,
    Expiry,
    Pending,
    Qualification,
    RuleBook,
    Rules,
    TierRule,
    to_cents,
)
from loyalty.services.program_checks import check_ladder, check_program, folded, follow_choices

RULE_BOOKS_CACHED_MAX = 10_000

CHANGEABLE = (
    "name", "point_name", "points_name", "points_per_unit", "rounding", "expiry", "expiry_months", "expiry_month_end",
    "grace_days", "redeem_value", "redeem_points_min", "earns_on_tax", "earns_on_discount", "categories_in",
    "categories_out", "skus_in", "skus_out", "store_ids", "pending_days", "returns", "shortfall", "tier_metric",
    "tier_window", "tier_months", "tier_downgrade", "tier_grace_days",
)  # fmt: skip
DEFAULT_TIERS = (
    TierRule("bronze", "Bronze", 0, Decimal("1")),
    TierRule("silver", "Silver", to_cents(Decimal(500)), Decimal("1.25")),
    TierRule("gold", "Gold", to_cents(Decimal(2000)), Decimal("1.5")),
    TierRule("platinum", "Platinum", to_cents(Decimal(5000)), Decimal("2")),
)


class ProgramExists(Conflict):
    code = "program_exists"
    message = "This merchant already has an active loyalty program"


class ProgramNotFound(NotFound):
    code = "program_not_found"
    message = "This merchant has no active loyalty program"


_books: LRUCache[tuple[uuid.UUID, int], RuleBook] = LRUCache(maxsize=RULE_BOOKS_CACHED_MAX)
_lock = threading.Lock()


def rule_book(*, merchant_id: uuid.UUID, program_id: uuid.UUID, revision: int) -> RuleBook:
    """The program's rules over time. Cached without limit of time: a revision never changes."""
    key = (program_id, revision)
    with _lock:
        found = _books.get(key)
    if found is None:
        versions = (
            ProgramVersion.objects.for_merchant(merchant_id)
            .filter(program_id=program_id, number__lte=revision)
            .order_by("number")
            .values_list("effective_from", "rules")
        )
        found = RuleBook(tuple((begins_at, Rules.from_json(stored)) for begins_at, stored in versions))
        with _lock:
            _books[key] = found
    return found


def active_program(merchant_id: uuid.UUID) -> Program | None:
    """The merchant's program, or None: purchases work all the same and earn nothing."""
    found: Program | None = Program.objects.for_merchant(merchant_id).filter(is_active=True).first()
    return found


@use_case
def put_program(*, access: Access, tiers: Sequence[TierRule], **fields: Any) -> tuple[Program, bool]:
    """Change the merchant's program, or start it. True when it is new.

    A program that a merchant with purchases starts earns from now on; what was bought before counts towards tiers.
    """
    if active_program(access.merchant_id) is not None:
        changed = _update(merchant_id=access.merchant_id, tiers=tiers, actor_id=access.user_id, **fields)
        return changed, False
    has_sold = Purchase.objects.for_merchant(access.merchant_id).exists()
    program = _create(
        merchant_id=access.merchant_id,
        tiers=tiers,
        begins_at=now() if has_sold else None,
        actor_id=access.user_id,
        **fields,
    )
    return program, True


@use_case
def create_program(
    *,
    merchant_id: uuid.UUID,
    tiers: Sequence[TierRule] = DEFAULT_TIERS,
    begins_at: datetime | None = None,
    actor_id: uuid.UUID | None = None,
    **fields: Any,
) -> Program:
    """Start a program; `fields` are columns of Program. Purchases before `begins_at` earn nothing but count for tiers.

    Without `begins_at` every purchase on record earns, once its customer is enrolled. Raises ProgramExists.
    """
    return _create(merchant_id=merchant_id, tiers=tiers, begins_at=begins_at, actor_id=actor_id, **fields)


@use_case
def update_program(
    *,
    merchant_id: uuid.UUID,
    tiers: Sequence[TierRule] | None = None,
    actor_id: uuid.UUID | None = None,
    **fields: Any,
) -> Program:
    """Change the active program's `fields` (CHANGEABLE) and its tiers.

    Takes effect for purchases from now on: lots and entries that exist, and purchases of before that arrive late,
    keep the rules of their time. Members whose tier changes by new thresholds are brought up to date in the background
    (`refresh_tiers`). Raises ProgramNotFound.
    """
    return _update(merchant_id=merchant_id, tiers=tiers, actor_id=actor_id, **fields)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A program as it is and as it would be; nothing of it is written. `book` has the proposed rules as its newest."""

    before: Program
    after: Program
    tiers_before: list[TierRule]
    tiers_after: list[TierRule]
    book: RuleBook
    rules_before: Rules
    effective_from: datetime

    @property
    def rules_after(self) -> Rules:
        return self.book.current


def propose(*, merchant_id: uuid.UUID, tiers: Sequence[TierRule] | None = None, **fields: Any) -> Proposal:
    """What `update_program` would make of the active program. Writes nothing, and raises what that would."""
    _check_fields(fields)
    follow_choices(fields)
    before = active_program(merchant_id)
    if before is None:
        raise ProgramNotFound()
    after = copy.copy(before)
    for column, value in fields.items():
        setattr(after, column, value)
    check_program(after)
    tiers_before = tiers_of(before)
    tiers_after = tiers_before if tiers is None else sorted(tiers, key=lambda tier: tier.threshold_cents)
    check_ladder(tiers_after)
    book = rule_book(merchant_id=merchant_id, program_id=before.pk, revision=before.revision)
    rules, effective_from = _rules(after, tiers_after), _from_now_on(merchant_id)
    return Proposal(
        before,
        after,
        tiers_before,
        tiers_after,
        RuleBook((*book.versions, (effective_from, rules))),
        book.current,
        effective_from,
    )


def _create(
    *,
    merchant_id: uuid.UUID,
    tiers: Sequence[TierRule],
    begins_at: datetime | None,
    actor_id: uuid.UUID | None,
    **fields: Any,
) -> Program:
    _check_fields(fields)
    if active_program(merchant_id) is not None:
        raise ProgramExists()
    program = Program(merchant_id=merchant_id, **fields)
    check_program(program)
    program.save(force_insert=True)
    _write_tiers(program, tiers)
    _write_version(program, _rules(program, tiers), effective_from=begins_at, actor_id=actor_id)
    return program


def _update(
    *,
    merchant_id: uuid.UUID,
    tiers: Sequence[TierRule] | None,
    actor_id: uuid.UUID | None,
    **fields: Any,
) -> Program:
    _check_fields(fields)
    follow_choices(fields)
    program: Program | None = (
        Program.objects.for_merchant(merchant_id).select_for_update().filter(is_active=True).first()
    )
    if program is None:
        raise ProgramNotFound()
    before = rule_book(merchant_id=merchant_id, program_id=program.pk, revision=program.revision).current
    for column, value in fields.items():
        setattr(program, column, value)
    check_program(program)
    if tiers is not None:
        _write_tiers(program, tiers)
    after = _rules(program, tiers_of(program))
    if after != before:
        program.revision += 1
        _write_version(program, after, effective_from=_from_now_on(merchant_id), actor_id=actor_id)
        if after.ladder.decides_like(before.ladder) and program.tiers_revision == program.revision - 1:
            program.tiers_revision = program.revision
    program.save(update_fields=[*fields, "revision", "tiers_revision"])
    return program


def _check_fields(fields: dict[str, Any]) -> None:
    if unknown := fields.keys() - CHANGEABLE:
        raise TypeError(f"not columns of a program to be set: {', '.join(sorted(unknown))}")


def _from_now_on(merchant_id: uuid.UUID) -> datetime:
    """Now, or just after the latest purchase on record: a till's clock may be a little ahead of ours."""
    at = now()
    latest = Purchase.objects.for_merchant(merchant_id).aggregate(at=Max("occurred_at"))["at"]
    return at if latest is None or latest < at else latest + timedelta(microseconds=1)


def tiers_of(program: Program) -> list[TierRule]:
    """The program's present tiers, by threshold."""
    rows = (
        Tier.objects.for_merchant(program.merchant_id)
        .filter(program_id=program.pk)
        .order_by("threshold")
        .values_list("code", "name", "threshold", "multiplier", "benefits")
    )
    return [
        TierRule(code, name, to_cents(threshold), multiplier, tuple(benefits))
        for code, name, threshold, multiplier, benefits in rows
    ]


def _rules(program: Program, tiers: Sequence[TierRule]) -> Rules:
    ascending = sorted(tiers, key=lambda tier: tier.threshold_cents)
    zone = Merchant.objects.values_list("timezone", flat=True).get(pk=program.merchant_id)
    expiry = None
    if program.expiry_months is not None:
        after = AFTER_EARNING if program.expiry == Program.Expiry.AFTER_EARNING else AFTER_INACTIVITY
        expiry = Expiry(program.expiry_months, program.expiry_month_end, zone, after)
    return Rules(
        program.points_per_unit,
        str(program.rounding),
        tuple(ascending),
        expiry,
        program.grace_days,
        basis=Basis(
            program.earns_on_tax,
            program.earns_on_discount,
            folded(program.categories_in),
            folded(program.categories_out),
            folded(program.skus_in),
            folded(program.skus_out),
        ),
        store_ids=frozenset(program.store_ids),
        pending=Pending(program.pending_days, zone) if program.pending_days else None,
        returns=str(program.returns),
        shortfall=str(program.shortfall),
        qualification=_qualification(program, zone),
    )


def _qualification(program: Program, zone: str) -> Qualification:
    if program.tier_window == Program.Window.LIFETIME:
        # Days do not matter to it: another time zone is no other rule.
        return Qualification(str(program.tier_metric))
    return Qualification(
        str(program.tier_metric),
        str(program.tier_window),
        program.tier_months or 0,
        str(program.tier_downgrade),
        program.tier_grace_days,
        zone,
    )


def _write_version(
    program: Program,
    rules: Rules,
    *,
    effective_from: datetime | None,
    actor_id: uuid.UUID | None,
) -> None:
    ProgramVersion.objects.create(
        merchant_id=program.merchant_id,
        program=program,
        number=program.revision,
        effective_from=effective_from,
        rules=rules.as_json(),
        actor_id=actor_id,
    )


def _write_tiers(program: Program, tiers: Sequence[TierRule]) -> None:
    check_ladder(tiers)
    Tier.objects.for_merchant(program.merchant_id).filter(program_id=program.pk).delete()
    Tier.objects.bulk_create(
        Tier(
            merchant_id=program.merchant_id,
            program=program,
            code=tier.code,
            name=tier.name,
            threshold=Decimal(tier.threshold_cents) / 100,
            multiplier=tier.multiplier,
            benefits=list(tier.benefits),
        )
        for tier in tiers
    )
