"""Why a customer has their tier, what keeps it, and how it came about, in words and figures."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cloudpos.tenancy.access import Access
from customers.models import Event
from customers.services import find_customer
from loyalty.ledger import Account
from loyalty.models import TierOverride
from loyalty.rules import HUNDREDTHS, Qualification, TierStanding, from_cents, plain
from loyalty.services.courses import load_courses
from loyalty.services.overrides import Given

TIER_CHANGES_MAX = 200
NO_TIERS: dict[str, Any] = {"tierDetails": None, "why": None, "qualifying": None, "keep": None}


def tier_facts(access: Access, account: Account) -> dict[str, Any]:
    """The parts of a standing that tell of the tier. Reads the history where it decides more than the net spend."""
    load_courses(account)
    assert account.tiers.courses is not None
    ladder = account.rules.ladder
    rule = ladder.qualification
    standing = ladder.standing(account.tiers.courses[rule.metric], account.at, account.tiers.overrides)
    tier = standing.tier
    first = rule.counts_from(account.at)
    today = None if first is None else account.at.astimezone(ZoneInfo(rule.timezone)).date()
    return {
        "tierDetails": None
        if tier is None
        else {
            "code": tier.code,
            "name": tier.name,
            "multiplier": plain(tier.multiplier),
            "benefits": list(tier.benefits),
            "since": _since(account),
        },
        "why": _why(access, account, standing),
        "qualifying": {
            "metric": rule.metric,
            "amount": _shown(rule, standing.amount),
            "from": first,
            "to": today,
        },
        "keep": _keep(account, standing),
    }


def _since(account: Account) -> datetime | None:
    """From when on the customer has had this tier without a break; None before they are enrolled.

    Of the log of changes the last that led to it, unless there is one that nobody has written down yet.
    """
    if account.tiers.moves:
        return account.tiers.moves[-1].at
    if account.is_new:
        return None
    return (
        Event.objects.for_merchant(account.merchant_id)
        .filter(customer_id=account.customer_id, type="tier.changed", data__to=account.tier)
        .order_by("-occurred_at", "-pk")
        .values_list("occurred_at", flat=True)
        .first()
    )


def _why(access: Access, account: Account, standing: TierStanding) -> dict[str, Any] | None:
    tier, rule = standing.tier, account.rules.qualification
    if tier is None:
        return None
    override = standing.override
    if override is not None:
        end = override.ends_at()
        until = "" if end is None else f" until {_day(end, access.timezone)}"
        reason = _reason(account, override.order)
        words = f"{tier.name} was given by hand{until}" + (f": {reason}" if reason else "")
        return {"code": "override", "message": words, "until": end}
    if standing.reached_at is not None:
        kept = f"{tier.name} was reached on {_day(standing.reached_at, rule.timezone)} and is kept"
        if standing.until is not None:
            kept += f" until {_day(standing.until - timedelta(microseconds=1), rule.timezone)}"
        return {"code": "kept", "message": kept, "until": standing.until}
    if tier.threshold_cents == 0 and account.rules.ladder.rank(tier) == 1:
        return {"code": "start", "message": f"Everybody begins with {tier.name}", "until": None}
    amount, threshold = (
        _shown(rule, standing.amount, grouped=True),
        _shown(rule, tier.threshold_cents, grouped=True),
    )
    what = f"{amount} {access.currency} spent" if rule.metric == "spend" else f"{amount} points earned"
    first = rule.counts_from(account.at)
    when = "in all" if first is None else f"from {first} to {_day(account.at, rule.timezone)}"
    words = f"{what} {when} reaches {tier.name} ({threshold})"
    return {"code": "reached", "message": words, "until": None}


def _keep(account: Account, standing: TierStanding) -> dict[str, Any] | None:
    """What must be added until when; None unless the tier falls by itself."""
    tier, until, ladder = standing.tier, standing.until, account.rules.ladder
    assert account.tiers.courses is not None
    if tier is None or until is None:
        return None
    rule = ladder.qualification
    after = ladder.tier(account.tiers.courses[rule.metric], until, account.tiers.overrides)
    if ladder.rank(after) >= ladder.rank(tier):
        return None
    return {
        "until": until,
        "from": rule.counts_from(until - timedelta(microseconds=1)),
        "amountNeeded": None if standing.keep is None else _shown(rule, standing.keep),
    }


def _reason(account: Account, order: int) -> str:
    rows = (
        TierOverride.objects.for_merchant(account.merchant_id)
        .filter(program_id=account.program_id, customer_id=account.customer_id)
        .order_by("recorded_at", "pk")
        .values_list("reason", flat=True)
    )
    return str(rows[order])


def _shown(rule: Qualification, hundredths: int, *, grouped: bool = False) -> str:
    """Money with two places, points as whole ones."""
    number = from_cents(hundredths) if rule.metric == "spend" else -(-hundredths // HUNDREDTHS)
    return f"{number:,}" if grouped else str(number)


def _day(at: datetime, timezone: str) -> str:
    return str(at.astimezone(ZoneInfo(timezone)).date())


def tier_changes(*, access: Access, customer_id: uuid.UUID) -> list[dict[str, Any]]:
    """The latest TIER_CHANGES_MAX changes, newest first. Raises CustomerNotFound.

    From the log of what was told at the time. The history folded anew would say what tills that sent late make of it.
    """
    customer = find_customer(merchant_id=access.merchant_id, id=customer_id)
    rows = (
        Event.objects.for_merchant(access.merchant_id)
        .filter(customer_id=customer.pk, type="tier.changed")
        .order_by("-occurred_at", "-pk")
        .values_list("occurred_at", "data", "actor_id")[:TIER_CHANGES_MAX]
    )
    return [
        {
            "at": at,
            "from": data["from"] or None,
            "to": data["to"] or None,
            # Older ones say neither.
            "reason": data.get("reason"),
            "until": datetime.fromisoformat(data["until"]) if data.get("until") else None,
            "actorId": actor_id,
        }
        for at, data, actor_id in rows
    ]


def describe_override(given: Given) -> dict[str, Any]:
    override = given.override
    return {
        "id": override.pk,
        "customerId": override.customer_id,
        "tier": override.tier,
        "mode": str(override.mode),
        "beginsAt": override.begins_at,
        "until": override.until,
        "reason": override.reason,
        "actorId": override.actor_id,
        "recordedAt": override.recorded_at,
        "endedAt": override.ended_at,
        "currentTier": given.tier or None,
    }
