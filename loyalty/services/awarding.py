"""What promotions give for a sale at the moment it is recorded: decided once, and written with it as facts.

Promotions are those of the sale's own time, caps those of this moment. A customer's cap holds by the customer's lock, a cap
of all by the lock on the promotion's row, which is taken after the customer and in order of id.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from customers.models import Customer
from loyalty.ledger import Account, AwardRow, Budgets, Cause
from loyalty.models import LedgerEntry
from loyalty.rules import Rules, Sale, TierRule
from loyalty.rules.calendar import midnight
from loyalty.rules.promotions import Award, Occasion, PromotionRule, Used, award, fitting
from loyalty.services.promotions import promotions_of

BONUS = LedgerEntry.Type.BONUS.value


def decide_awards(
    account: Account,
    customer: Customer,
    sale: Sale,
    *,
    rules: Rules | None,
    tier: TierRule | None,
    zone: ZoneInfo,
) -> list[Award]:
    """What each promotion of the sale's time gives for it, those that give nothing included.

    `rules` and `tier` are those of the sale's instant, `customer` is as before the purchase, `zone` the store's. Takes no
    statement without promotions, none for promotions without caps.
    """
    if rules is None or not account.promotions_revision or not rules.takes_part(sale.reference[1]):
        return []
    promotions = promotions_of(
        merchant_id=account.merchant_id, program_id=account.program_id, revision=account.promotions_revision
    ).at(sale.at)
    if not promotions:
        return []
    occasion = Occasion(
        sale=sale,
        rules=rules,
        tier=tier,
        local=sale.at.astimezone(zone),
        segment=customer.segment,
        birthday=customer.date_of_birth,
        visit=customer.visit_count + 1,
    )
    if not any(promotion.caps.of_customer or promotion.caps.of_all for promotion in promotions):
        return award(occasion, promotions, {})
    capped = fitting(occasion, promotions)
    budgets = account.budgets
    budgets.read(promotion.id for promotion in capped if promotion.caps.of_all)
    usage = _usage(account, capped, at=sale.at, zone=zone)
    return award(occasion, [_with_caps_of_now(promotion, budgets) for promotion in promotions], usage)


def needs_lines(account: Account) -> bool:
    """Whether it takes the lines of a sale to know what it earns."""
    return (
        account.book.needs_lines
        or promotions_of(
            merchant_id=account.merchant_id,
            program_id=account.program_id,
            revision=account.promotions_revision,
        ).needs_lines
    )


def _with_caps_of_now(promotion: PromotionRule, budgets: Budgets) -> PromotionRule:
    """Its caps for all as its locked row has them: a manager may have lowered them a moment ago."""
    budget = budgets.of(promotion.id)
    if budget is None:
        return promotion
    caps = replace(promotion.caps, total_times=budget.times_max, total_points=budget.points_max)
    return promotion if caps == promotion.caps else replace(promotion, caps=caps)


def _usage(
    account: Account, promotions: Sequence[PromotionRule], *, at: datetime, zone: ZoneInfo
) -> dict[uuid.UUID, Used]:
    """What promotions with caps have given; daily caps are for the day of the instant in the zone."""
    day = at.astimezone(zone).date()
    # Midnights of a zone are no 24 hours apart when its clocks change.
    begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    of_customer = [promotion for promotion in promotions if promotion.caps.of_customer]
    given = _given_to(account, of_customer, begin=begin, end=end)
    usage = {}
    for promotion in promotions:
        times, points = given.get(promotion.id, (0, 0))
        budget = account.budgets.of(promotion.id)
        usage[promotion.id] = Used(
            times,
            points,
            budget.times if budget is not None else 0,
            budget.points if budget is not None else 0,
        )
    return usage


def _given_to(
    account: Account, promotions: Sequence[PromotionRule], *, begin: datetime, end: datetime
) -> Mapping[uuid.UUID, tuple[int, int]]:
    """(times, points) that the account's owner has had of each, on record and in this posting."""
    each_day = {promotion.id: promotion.caps.each_day for promotion in promotions}
    if not each_day:
        return {}
    found: dict[uuid.UUID, tuple[int, int]] = {}
    if not account.is_new:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT a.promotion_id, count(*), sum(a.points)::bigint
                FROM loyalty_awards a
                JOIN unnest(%s::uuid[], %s::boolean[]) v (id, each_day) ON v.id = a.promotion_id
                WHERE a.merchant_id = %s AND a.customer_id = %s
                    AND (NOT v.each_day OR (a.occurred_at >= %s AND a.occurred_at < %s))
                GROUP BY 1
                """,
                [
                    list(each_day),
                    list(each_day.values()),
                    account.merchant_id,
                    account.customer_id,
                    begin,
                    end,
                ],
            )
            found = {promotion_id: (times, points) for promotion_id, times, points in cursor.fetchall()}
    for row in account.awards:
        daily = each_day.get(row.promotion_id)
        if daily is not None and (not daily or begin <= row.at < end):
            times, points = found.get(row.promotion_id, (0, 0))
            found[row.promotion_id] = (times + 1, points + row.points)
    return found


def post_awards(account: Account, sale: Sale, awards: Sequence[Award], *, actor_id: uuid.UUID | None) -> None:
    """An entry with a lot of its own for each promotion that gives something."""
    for given in awards:
        if not given.applies:
            continue
        promotion = given.promotion
        entry = account.credit(
            type=BONUS,
            points=given.points,
            cause=Cause(
                at=sale.at,
                description=f"{promotion.name}: purchase {sale.reference[0]}",
                purchase_id=sale.id,
                actor_id=actor_id,
                store_id=sale.reference[1],
            ),
        )
        account.awards.append(
            AwardRow(promotion.id, sale.id, entry.id, given.points, sale.at, promotion.caps.of_all)
        )
        if promotion.caps.of_all:
            account.budgets.give(promotion.id, given.points)


def awarded_points(account: Account, purchase_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """What promotions of the account's program gave for purchases on record, in whichever account they were."""
    if not account.promotions_revision or not purchase_ids:
        return {}
    return awarded_by_purchase(
        merchant_id=account.merchant_id, program_id=account.program_id, purchase_ids=purchase_ids
    )


def awarded_by_purchase(
    *, merchant_id: uuid.UUID, program_id: uuid.UUID, purchase_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.purchase_id, sum(a.points)::bigint FROM loyalty_awards a"
            " JOIN loyalty_promotions p ON p.merchant_id = a.merchant_id AND p.id = a.promotion_id"
            " WHERE a.merchant_id = %s AND a.purchase_id = ANY(%s) AND p.program_id = %s GROUP BY 1",
            [merchant_id, list(purchase_ids), program_id],
        )
        return dict(cursor.fetchall())
