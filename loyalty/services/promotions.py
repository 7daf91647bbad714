"""A merchant's promotions: a manager's to write, read by every sale."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from cachetools import LRUCache
from django.db import connection
from django.db.models import F, QuerySet
from django.utils.timezone import now

from cloudpos.api.errors import Conflict, NotFound
from cloudpos.api.etags import require_version
from cloudpos.api.transactions import use_case
from loyalty.models import Program, Promotion
from loyalty.rules import to_cents
from loyalty.rules.promotions import Caps, PromotionRule
from loyalty.services.programs import ProgramNotFound, active_program
from loyalty.services.promotion_checks import check_promotion

PROMOTIONS_MAX = 200
MERCHANTS_CACHED_MAX = 10_000
Status = Promotion.Status
COLUMNS = (
    "name", "description", "kind", "multiplier", "points", "status", "starts_at", "ends_at", "weekdays", "opens",
    "closes", "stores", "tiers", "segments", "categories", "skus", "min_quantity", "min_spend", "first_purchase",
    "birthday_days", "every_visit", "member_times", "member_points", "member_period", "total_times",
    "total_points", "priority", "exclusive",
)  # fmt: skip
# What may follow what. What has ended stays ended: its window has been told to customers.
FOLLOWS: Mapping[str, frozenset[str]] = {
    Status.DRAFT: frozenset({Status.ACTIVE}),
    Status.ACTIVE: frozenset({Status.PAUSED, Status.ENDED}),
    Status.PAUSED: frozenset({Status.ACTIVE, Status.ENDED}),
    Status.ENDED: frozenset(),
}


class PromotionNotFound(NotFound):
    code = "promotion_not_found"
    message = "There is no such promotion"


class TooManyPromotions(Conflict):
    code = "too_many_promotions"
    message = f"A merchant has at most {PROMOTIONS_MAX} promotions that have not ended: end some first"


class PromotionEnded(Conflict):
    code = "promotion_ended"
    message = "This promotion has ended: make a new one"


class InvalidStatus(Conflict):
    code = "invalid_status"
    message = "A promotion cannot go from this status to that one"


class CapBelowUsed(Conflict):
    code = "cap_below_used"
    message = "More than this has been given away already"


class NotADraft(Conflict):
    code = "not_a_draft"
    message = "Only a draft can be deleted: end this promotion instead"


# --- What sales read ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Promotions:
    """A program's promotions, those without an end or with the latest first."""

    rules: tuple[PromotionRule, ...] = ()
    needs_lines: bool = False

    def at(self, moment: datetime) -> list[PromotionRule]:
        """Those whose window an instant is in."""
        found = []
        for rule in self.rules:
            if rule.ends_at is not None and rule.ends_at <= moment:
                # Whatever follows has ended earlier still.
                break
            if rule.starts_at is None or rule.starts_at <= moment:
                found.append(rule)
        return found


NO_PROMOTIONS = Promotions()
_cache: LRUCache[tuple[uuid.UUID, int], Promotions] = LRUCache(maxsize=MERCHANTS_CACHED_MAX)
_lock = threading.Lock()


def promotions_of(*, merchant_id: uuid.UUID, program_id: uuid.UUID, revision: int) -> Promotions:
    """The promotions that sales are judged by: the active ones, and those that ended, for sales that arrive late.

    Cached by the program's `promotions_revision`, which every change of a promotion increments; 0 without any.
    """
    if not revision:
        return NO_PROMOTIONS
    key = (program_id, revision)
    with _lock:
        found = _cache.get(key)
    if found is None:
        rows = (
            Promotion.objects.for_merchant(merchant_id)
            .filter(program_id=program_id, status__in=[Status.ACTIVE, Status.ENDED])
            .order_by(F("ends_at").desc(nulls_first=True), "pk")
        )
        rules = tuple(rule_of(row) for row in rows)
        found = Promotions(rules, any(rule.by_line for rule in rules))
        with _lock:
            _cache[key] = found
    return found


def rule_of(row: Promotion) -> PromotionRule:
    """A promotion as the rules see it."""
    return PromotionRule(
        id=row.pk,
        name=row.name,
        multiplier=row.multiplier,
        points=row.points or 0,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        weekdays=frozenset(row.weekdays),
        opens=row.opens,
        closes=row.closes,
        stores=frozenset(row.stores),
        tiers=frozenset(row.tiers),
        segments=frozenset(row.segments),
        categories=frozenset(name.casefold() for name in row.categories),
        skus=frozenset(sku.casefold() for sku in row.skus),
        min_quantity=row.min_quantity,
        min_spend_cents=None if row.min_spend is None else to_cents(row.min_spend),
        first_purchase=row.first_purchase,
        birthday_days=row.birthday_days,
        every_visit=row.every_visit,
        caps=Caps(
            row.member_times,
            row.member_points,
            row.member_period == Promotion.CapPeriod.DAY,
            row.total_times,
            row.total_points,
        ),
        priority=row.priority,
        exclusive=row.exclusive,
        created=row.created_at,
        items_named=(*row.categories, *row.skus),
    )


# --- Writing ------------------------------------------------------------------------------------------------------


@use_case
def create_promotion(
    *, merchant_id: uuid.UUID, values: Mapping[str, Any], actor_id: uuid.UUID | None = None
) -> Promotion:
    """Add a promotion, a draft unless `values` say active. Raises BadRequest, ProgramNotFound, TooManyPromotions."""
    program = active_program(merchant_id)
    if program is None:
        raise ProgramNotFound()
    open_ones = Promotion.objects.for_merchant(merchant_id).exclude(status=Status.ENDED)
    if open_ones.count() >= PROMOTIONS_MAX:
        raise TooManyPromotions()
    promotion = draft_promotion(merchant_id=merchant_id, program=program, values=values)
    promotion.actor_id = actor_id
    if promotion.status not in (Status.DRAFT, Status.ACTIVE):
        raise InvalidStatus("A new promotion is a draft or active.", field="status")
    _begin(promotion, now())
    check_promotion(promotion)
    promotion.save(force_insert=True)
    _changed(promotion)
    return promotion


def draft_promotion(*, merchant_id: uuid.UUID, program: Program, values: Mapping[str, Any]) -> Promotion:
    """A promotion that is not written, and not checked."""
    return Promotion(merchant_id=merchant_id, program=program, **_known(values))


@use_case
def update_promotion(
    *,
    merchant_id: uuid.UUID,
    promotion_id: uuid.UUID,
    changes: Mapping[str, Any],
    expected_version: int | None = None,
    actor_id: uuid.UUID | None = None,
) -> Promotion:
    """Change a promotion for sales recorded from now on: what was given stays given.

    Raises BadRequest, PromotionNotFound, PreconditionFailed, PromotionEnded, InvalidStatus, CapBelowUsed.
    """
    promotion = find_promotion(merchant_id=merchant_id, promotion_id=promotion_id, lock=True)
    require_version(expected_version, promotion.version)
    changed = {name: value for name, value in _known(changes).items() if getattr(promotion, name) != value}
    if not changed:
        return promotion
    if promotion.status == Status.ENDED:
        raise PromotionEnded()
    status = changed.get("status", promotion.status)
    if status != promotion.status and status not in FOLLOWS[promotion.status]:
        raise InvalidStatus(field="status", extra={"status": promotion.status})
    at, had_total = now(), rule_of(promotion).caps.of_all
    for name, value in changed.items():
        setattr(promotion, name, value)
    written = set(changed) | {"updated_at", "version", "actor_id"}
    if status == Status.ENDED:
        _end(promotion, at)
    else:
        _begin(promotion, at)
        check_promotion(promotion)
    _count_caps(promotion, had_total=had_total)
    promotion.updated_at, promotion.actor_id = at, actor_id
    promotion.version += 1
    promotion.save(update_fields=[*written, "starts_at", "ends_at", "used_times", "used_points"])
    _changed(promotion)
    return promotion


@use_case
def delete_promotion(
    *, merchant_id: uuid.UUID, promotion_id: uuid.UUID, expected_version: int | None = None
) -> None:
    """Throw a draft away. Raises PromotionNotFound, PreconditionFailed, NotADraft."""
    promotion = find_promotion(merchant_id=merchant_id, promotion_id=promotion_id, lock=True)
    require_version(expected_version, promotion.version)
    if promotion.status != Status.DRAFT:
        raise NotADraft()
    promotion.delete()


def find_promotion(
    *, merchant_id: uuid.UUID, promotion_id: uuid.UUID, lock: bool = False, alone: bool = False
) -> Promotion:
    """One promotion; with `alone` its lock also waits for whoever gives of it. Raises PromotionNotFound."""
    rows = Promotion.objects.for_merchant(merchant_id)
    if lock:
        rows = rows.select_for_update(no_key=not alone)
    found: Promotion | None = rows.filter(pk=promotion_id).first()
    if found is None:
        raise PromotionNotFound()
    return found


def promotions_at(rows: QuerySet[Any], moment: datetime) -> QuerySet[Any]:
    """Those that give points to a sale of an instant, as far as their window says."""
    return rows.filter(status__in=[Status.ACTIVE, Status.ENDED], starts_at__lte=moment).exclude(
        ends_at__lte=moment
    )


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = values.keys() - COLUMNS
    if unknown:
        raise TypeError(f"not columns of a promotion: {', '.join(sorted(unknown))}")
    return dict(values)


def _begin(promotion: Promotion, at: datetime) -> None:
    """What is not said counts from now: a sale of before cannot have known of it."""
    if promotion.status != Status.DRAFT and promotion.starts_at is None:
        promotion.starts_at = at


def _end(promotion: Promotion, at: datetime) -> None:
    """From now on. Sales of before that arrive late are still given what was promised."""
    if promotion.ends_at is None or promotion.ends_at > at:
        promotion.ends_at = at
    if promotion.starts_at is None or promotion.starts_at > promotion.ends_at:
        promotion.starts_at = promotion.ends_at


def _count_caps(promotion: Promotion, *, had_total: bool) -> None:
    """What was given before there was a cap for all counts towards it. Raises CapBelowUsed."""
    if not rule_of(promotion).caps.of_all:
        return
    if not had_total:
        # Sales that are under way gave of it uncounted: they are waited for, and whoever comes after them sees the cap.
        find_promotion(merchant_id=promotion.merchant_id, promotion_id=promotion.pk, lock=True, alone=True)
        promotion.used_times, promotion.used_points = given_by(
            merchant_id=promotion.merchant_id, promotion_ids=[promotion.pk]
        ).get(promotion.pk, (0, 0))
    for field, outside, used in (
        ("total_times", "totalTimes", promotion.used_times),
        ("total_points", "totalPoints", promotion.used_points),
    ):
        cap = getattr(promotion, field)
        if cap is not None and cap < used:
            raise CapBelowUsed(field=outside, extra={"used": used})


def given_by(
    *, merchant_id: uuid.UUID, promotion_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tuple[int, int]]:
    """By promotion: how often it was applied, and its points, before any returns."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT promotion_id, count(*), sum(points)::bigint FROM loyalty_awards"
            " WHERE merchant_id = %s AND promotion_id = ANY(%s) GROUP BY 1",
            [merchant_id, list(promotion_ids)],
        )
        return {promotion_id: (times, points) for promotion_id, times, points in cursor.fetchall()}


def _changed(promotion: Promotion) -> None:
    Program.objects.for_merchant(promotion.merchant_id).filter(pk=promotion.program_id).update(
        promotions_revision=F("promotions_revision") + 1
    )


# --- What they have done --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """`times` and `points` as given; `returned` is the part of what returns took from these purchases, in proportion."""

    times: int = 0
    points: int = 0
    returned: int = 0
    customers: int = 0
    sales: Decimal = Decimal("0.00")


def figures_of(*, merchant_id: uuid.UUID, promotion_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Figures]:
    """What promotions have given, to how many, on purchases of how much money."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH given AS (
                SELECT promotion_id, purchase_id, customer_id, points FROM loyalty_awards
                WHERE merchant_id = %(merchant)s AND promotion_id = ANY(%(promotions)s)
            ), taken AS (
                SELECT purchase_id, sum(points) FILTER (WHERE purchase_return_id IS NULL) AS gross,
                    coalesce(-sum(points) FILTER (WHERE purchase_return_id IS NOT NULL), 0) AS points
                FROM loyalty_transactions WHERE merchant_id = %(merchant)s AND purchase_id IN (
                    SELECT r.purchase_id FROM purchase_returns r
                    WHERE r.merchant_id = %(merchant)s AND r.purchase_id IN (SELECT purchase_id FROM given)
                ) GROUP BY 1
            )
            SELECT g.promotion_id, count(*), sum(g.points)::bigint,
                coalesce(sum(floor(g.points * least(t.points, t.gross) / nullif(t.gross, 0))), 0)::bigint,
                count(DISTINCT g.customer_id), sum(p.amount)
            FROM given g
            JOIN purchases p ON p.merchant_id = %(merchant)s AND p.id = g.purchase_id
            LEFT JOIN taken t ON t.purchase_id = g.purchase_id
            GROUP BY 1
            """,
            {"merchant": merchant_id, "promotions": list(promotion_ids)},
        )
        return {promotion_id: Figures(*rest) for promotion_id, *rest in cursor.fetchall()}
