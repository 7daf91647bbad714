"""What a change of the program would do, before anybody makes it: nothing is written.

What is on record is counted exactly. What is to come is worked out from the points of the last months, as if customers went
on as they did and redeemed nothing: so it is what is at stake, not a forecast.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils.timezone import now

from cloudpos.tenancy.models import Merchant
from customers import purchases
from loyalty.dry_runs import prepare, run
from loyalty.models import Enrollment
from loyalty.reading import describe_program
from loyalty.rules import Expiry, Rules, TierRule, from_cents, replay
from loyalty.services import read_accounts
from loyalty.services.awarding import awarded_points
from loyalty.services.postings import as_sale, as_take_back
from loyalty.services.programs import Proposal, propose
from loyalty.services.redemptions import money_for

RECENT_DAYS = 90
MONTH_DAYS = Decimal("30.4375")
MONTHS_EARNED = 12
# A form that is being filled in is waited for: the dry run takes more of both.
TRIED_DAYS = 30
TRIED_PURCHASES_MAX = 20_000
# More members than these are not folded: so many are drawn by lot.
MEMBERS_FOLDED_MAX = 500

FROM_NOW_ON = "Counts for purchases from then on: what was earned before stays."
POINTS_TO_COME = "Counts for points earned from then on: those that exist keep their times."
AT_ONCE = "Counts at once, for all points."
TIERS_FOLLOW = "Members' tiers follow within minutes; what purchases earned before stays."
TAKES_EFFECT: Mapping[str, str] = {
    "pointsPerUnit": FROM_NOW_ON,
    "rounding": FROM_NOW_ON,
    "earnsOnTax": FROM_NOW_ON,
    "earnsOnDiscount": FROM_NOW_ON,
    "categoriesIn": FROM_NOW_ON,
    "categoriesOut": FROM_NOW_ON,
    "skusIn": FROM_NOW_ON,
    "skusOut": FROM_NOW_ON,
    "returns": FROM_NOW_ON,
    "storeIds": "Purchases from then on earn by it; redeeming follows at once.",
    "pendingDays": POINTS_TO_COME,
    "expiry": POINTS_TO_COME,
    "expiryMonths": POINTS_TO_COME,
    "expiryMonthEnd": POINTS_TO_COME,
    "shortfall": "Counts for returns from then on, whenever the goods were bought.",
    "tiers": TIERS_FOLLOW,
    "tierMetric": TIERS_FOLLOW,
    "tierWindow": TIERS_FOLLOW,
    "tierMonths": TIERS_FOLLOW,
    "tierDowngrade": TIERS_FOLLOW,
    "tierGraceDays": TIERS_FOLLOW,
}


def preview(
    *,
    merchant_id: uuid.UUID,
    tiers: Sequence[TierRule] | None = None,
    at: datetime | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """What `update_program` with these `fields` and `tiers` would do. Raises what that would raise."""
    at = at or now()
    proposal = propose(merchant_id=merchant_id, tiers=tiers, **fields)
    zone = ZoneInfo(Merchant.objects.values_list("timezone", flat=True).get(pk=merchant_id))
    existing, other = _existing(merchant_id, zone, at)
    rate = _points_a_month(merchant_id, at)
    earning = _earning(merchant_id, proposal, tiers, fields, at)
    rate_after = _rate_after(proposal, rate, earning)
    return {
        "effectiveFrom": proposal.effective_from,
        "changes": _changes(proposal),
        "pointsPerMonth": rate,
        "pointsPerMonthAfter": rate_after,
        "earning": earning,
        "pendingAfter": _waiting(proposal, rate_after),
        "existing": {name: _worth(proposal, points) for name, points in other.items()},
        "months": _months(proposal, existing, rate, rate_after, at, zone),
        "tiers": _moves(merchant_id, proposal, at),
        "assumptions": _assumptions(proposal, earning),
    }


def _changes(proposal: Proposal) -> list[dict[str, str]]:
    before = describe_program(proposal.before, proposal.tiers_before)
    after = describe_program(proposal.after, proposal.tiers_after)
    return [
        {
            "field": name,
            "before": _said(_but(value, after[name])),
            "after": _said(_but(after[name], value)),
            "takesEffect": TAKES_EFFECT.get(name, AT_ONCE),
        }
        for name, value in before.items()
        if value != after[name]
    ]


def _but(value: Any, other: Any) -> Any:
    """Of the ladder only the tiers that differ; of what is no list all."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [each for each in value if each not in other]
    return value


def _said(value: Any) -> str:
    """A setting in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(_said(each) for each in value)
    if isinstance(value, dict):
        return f"{value['name']} from {value['threshold']}, times {value['multiplier']}"
    return str(value)


# --- Points that exist ----------------------------------------------------------------------------------------


def _existing(merchant_id: uuid.UUID, zone: ZoneInfo, at: datetime) -> tuple[dict[str, int], dict[str, int]]:
    """Points on record by the month (in the merchant's zone) in which they expire; and those that have no month."""
    with connection.cursor() as cursor:
        cursor.execute(
            # Over at a midnight: the last day they are there is the one before.
            "SELECT to_char((l.expires_at - interval '1 microsecond') AT TIME ZONE %s, 'YYYY-MM'), l.while_active,"
            " coalesce(l.available_at > %s, false), sum(l.remaining)::bigint"
            " FROM loyalty_lots l JOIN loyalty_enrollments e ON e.merchant_id = l.merchant_id AND e.id = l.enrollment_id"
            " JOIN loyalty_programs p ON p.merchant_id = e.merchant_id AND p.id = e.program_id AND p.is_active"
            " WHERE l.merchant_id = %s AND l.remaining > 0 AND (l.expires_at IS NULL OR l.expires_at > %s)"
            " AND NOT (l.while_active AND coalesce(e.inactive_at <= %s, false)) GROUP BY 1, 2, 3",
            [zone.key, at, merchant_id, at, at],
        )
        rows = cursor.fetchall()
        cursor.execute(
            "SELECT coalesce(-sum(e.balance), 0)::bigint FROM loyalty_enrollments e"
            " JOIN loyalty_programs p ON p.merchant_id = e.merchant_id AND p.id = e.program_id AND p.is_active"
            " WHERE e.merchant_id = %s AND e.balance < 0",
            [merchant_id],
        )
        (owed,) = cursor.fetchone()
    months: dict[str, int] = {}
    other = {"total": 0, "neverExpiring": 0, "whileActive": 0, "pending": 0, "owed": owed}
    for month, while_active, pending, points in rows:
        other["total"] += points
        if pending:
            other["pending"] += points
        if month is not None:
            months[month] = months.get(month, 0) + points
        else:
            other["whileActive" if while_active else "neverExpiring"] += points
    return months, other


# --- Points to come -------------------------------------------------------------------------------------------


def _points_a_month(merchant_id: uuid.UUID, at: datetime) -> int:
    """What purchases earned of late, less what returns took back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(points), 0)::bigint FROM loyalty_transactions WHERE merchant_id = %s"
            " AND occurred_at > %s AND occurred_at <= %s AND (type IN ('earned', 'bonus') OR type = 'reversed'"
            " AND purchase_id IS NOT NULL)",
            [merchant_id, at - timedelta(days=RECENT_DAYS), at],
        )
        (points,) = cursor.fetchone()
    return max(0, int(points * MONTH_DAYS / RECENT_DAYS))


def _earning(
    merchant_id: uuid.UUID,
    proposal: Proposal,
    tiers: Sequence[TierRule] | None,
    fields: Mapping[str, Any],
    at: datetime,
) -> dict[str, int] | None:
    """What the purchases of the last days would have earned; None when they earn the same, or are too many to wait for."""
    if not _earns_otherwise(proposal):
        return None
    program = {**fields, **({} if tiers is None else {"tiers": tiers})}
    trial = prepare(merchant_id=merchant_id, begin=at - timedelta(days=TRIED_DAYS), end=at, program=program)
    if trial.count(most=TRIED_PURCHASES_MAX + 1) > TRIED_PURCHASES_MAX:
        return None
    total = run(trial).total
    return {
        "days": TRIED_DAYS,
        "purchases": total.purchases,
        "pointsBefore": total.before,
        "pointsAfter": total.before + total.change,
    }


def _earns_otherwise(proposal: Proposal) -> bool:
    before, after = proposal.rules_before, proposal.rules_after
    return any(
        getattr(before, name) != getattr(after, name)
        for name in ("points_per_unit", "rounding", "basis", "store_ids", "returns", "tiers", "qualification")
    )


def _rate_after(proposal: Proposal, rate: int, earning: Mapping[str, int] | None) -> int:
    if earning is not None and earning["pointsBefore"] > 0:
        return max(0, rate * earning["pointsAfter"] // earning["pointsBefore"])
    before, after = proposal.rules_before.points_per_unit, proposal.rules_after.points_per_unit
    return rate if before == after or not before else int(rate * after / before)


def _waiting(proposal: Proposal, rate_after: int) -> int:
    """Points that would be waiting to be spent at any time."""
    pending = proposal.rules_after.pending
    return 0 if pending is None else int(rate_after * pending.days / MONTH_DAYS)


def _months(
    proposal: Proposal,
    existing: Mapping[str, int],
    rate: int,
    rate_after: int,
    at: datetime,
    zone: ZoneInfo,
) -> list[dict[str, Any]]:
    """By month: points that exist and end in it, and those of the next year that would, by the rules of now and changed."""
    present = _ending(proposal.rules_before, rate, at, zone)
    changed = _ending(proposal.rules_after, rate_after, at, zone)
    return [
        {
            "month": month,
            "existing": _worth(proposal, existing.get(month, 0)),
            "before": _worth(proposal, present.get(month, 0), changed=False),
            "after": _worth(proposal, changed.get(month, 0)),
        }
        for month in sorted({*existing, *present, *changed})
    ]


def _ending(rules: Rules, rate: int, at: datetime, zone: ZoneInfo) -> dict[str, int]:
    """Points earned in each of the next months, by the month in which they would end."""
    found: dict[str, int] = {}
    expiry: Expiry | None = rules.expiry
    if expiry is None or rules.lasts_while_active or not rate:
        return found
    for number in range(MONTHS_EARNED):
        earned_at = at + timedelta(days=int(MONTH_DAYS * number) + 15)
        last = (expiry.ends_at(earned_at) - timedelta(microseconds=1)).astimezone(zone)
        month = f"{last:%Y-%m}"
        found[month] = found.get(month, 0) + rate
    return found


def _worth(proposal: Proposal, points: int, *, changed: bool = True) -> dict[str, Any]:
    """Points and the money that they buy, by the value that is proposed or by that of now."""
    program = proposal.after if changed else proposal.before
    money = money_for(points, program.redeem_value)
    return {"points": points, "money": None if money is None else str(money)}


# --- Tiers ----------------------------------------------------------------------------------------------------


def _moves(merchant_id: uuid.UUID, proposal: Proposal, at: datetime) -> dict[str, Any]:
    """How many members would have which tier instead of which; a part of them is looked at where each takes a fold."""
    members = Enrollment.objects.for_merchant(merchant_id).filter(program_id=proposal.before.pk)
    total = members.count()
    if proposal.rules_after.ladder.decides_like(proposal.rules_before.ladder):
        return {"members": total, "looked": total, "changing": 0, "moves": []}
    looked = total
    if proposal.book.is_lifetime:
        moves = _moves_by_spend(merchant_id, proposal)
    else:
        chosen = list(members.order_by("?").values_list("customer_id", flat=True)[:MEMBERS_FOLDED_MAX])
        looked = len(chosen)
        moves = _moves_by_fold(merchant_id, proposal, chosen, at)
    return {
        "members": total,
        "looked": looked,
        "changing": sum(moves.values()),
        "moves": [
            {"from": before or None, "to": after or None, "members": number}
            for (before, after), number in sorted(moves.items())
        ],
    }


def _moves_by_spend(merchant_id: uuid.UUID, proposal: Proposal) -> dict[tuple[str, str], int]:
    """Where the net spend alone decides: one pass over the accounts. Who was given a tier by hand keeps it."""
    tiers = proposal.rules_after.tiers
    rungs = ", ".join(["(%s::text, %s::numeric)"] * len(tiers)) or "(NULL::text, NULL::numeric)"
    parameters: list[Any] = []
    for tier in tiers:
        parameters += [tier.code, from_cents(tier.threshold_cents)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tier, reached, count(*) FROM (SELECT e.tier, coalesce((SELECT code FROM"  # noqa: S608
            f" (VALUES {rungs}) t (code, threshold) WHERE threshold <= e.net_spend"
            " ORDER BY threshold DESC LIMIT 1), '') AS reached FROM loyalty_enrollments e"
            " WHERE e.merchant_id = %s AND e.program_id = %s AND NOT EXISTS (SELECT FROM loyalty_tier_overrides o"
            " WHERE o.merchant_id = e.merchant_id AND o.customer_id = e.customer_id)"
            ") found WHERE tier <> reached GROUP BY 1, 2",
            [*parameters, merchant_id, proposal.before.pk],
        )
        return {(before, after): number for before, after, number in cursor.fetchall()}


def _moves_by_fold(
    merchant_id: uuid.UUID, proposal: Proposal, customer_ids: Sequence[uuid.UUID], at: datetime
) -> dict[tuple[str, str], int]:
    moves: dict[tuple[str, str], int] = {}
    accounts = read_accounts(merchant_id=merchant_id, customer_ids=customer_ids)
    for account in accounts.values():
        sales, returns = purchases.history(
            merchant_id=merchant_id,
            customer_id=account.customer_id,
            with_items=proposal.book.needs_lines,
        )
        awarded = awarded_points(account, [sale.id for sale in sales])
        outcome = replay(
            [as_sale(sale, awarded=awarded.get(sale.id, 0)) for sale in sales],
            [as_take_back(back) for back in returns],
            proposal.book,
            overrides=account.tiers.overrides,
        )
        moment = max(at, outcome.last_at or at)
        tier = outcome.standing(proposal.rules_after, moment, account.tiers.overrides).tier
        code = tier.code if tier is not None else ""
        if code != account.tiers.code:
            move = (account.tiers.code, code)
            moves[move] = moves.get(move, 0) + 1
    return moves


def _assumptions(proposal: Proposal, earning: Mapping[str, int] | None) -> list[str]:
    found = [
        f"Points to come are those of the last {RECENT_DAYS} days, month by month for a year, and none of them is redeemed.",
        "Lots that exist keep the times that they have.",
    ]
    if proposal.after.redeem_value is None:
        found.append("The program says no value of a point, so there is no money here.")
    if proposal.rules_after.lasts_while_active:
        found.append("When points end by inactivity depends on each member: they are in no month.")
    if earning is not None:
        found.append(f"What changed rules earn is tried on the purchases of the last {TRIED_DAYS} days.")
    elif _earns_otherwise(proposal):
        found.append(
            "There are too many purchases to try it on at once: points to come follow the rate. Make a dry run."
        )
    return found
