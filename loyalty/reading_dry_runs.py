"""A dry run as it is shown."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.utils.timezone import now

from cloudpos.api.errors import BadRequest
from loyalty.dry_runs import DRY_RUN_DAYS_MAX, DryRun
from loyalty.dry_runs.tally import Affected, Sums
from loyalty.reading_promotions import Vocabulary
from loyalty.rules import explain, from_cents, plain
from loyalty.rules.calendar import midnight
from loyalty.services.redemptions import money_for

DAYS_DEFAULT = 90
NO_VALUE = "The program says no value of a point, so there is no cost in money."


def period_of(
    words: Vocabulary, days: int | None, first_day: date | None, last_day: date | None
) -> tuple[datetime, datetime]:
    """The instants of the last `days`, or of one day to another (both included), by the merchant's calendar.

    Raises BadRequest.
    """
    today = now().astimezone(words.zone).date()
    if first_day is None or last_day is None:
        last_day = today
        first_day = today - timedelta(days=(days or DAYS_DEFAULT) - 1)
    if first_day > last_day:
        raise BadRequest("The last day is before the first.", field="lastDay", code="invalid")
    if first_day > today:
        raise BadRequest("Nothing has been bought there yet.", field="firstDay", code="invalid")
    if (last_day - first_day).days >= DRY_RUN_DAYS_MAX:
        raise BadRequest(f"At most {DRY_RUN_DAYS_MAX} days.", field="lastDay", code="too_long")
    return midnight(first_day, words.zone), midnight(last_day + timedelta(days=1), words.zone)


def describe_run(run: DryRun, words: Vocabulary) -> dict[str, Any]:
    last = (run.end - timedelta(microseconds=1)).astimezone(run.zone).date()
    return {
        "summary": words.sentence(run.rule) if run.rule is not None else "The program with these changes",
        "firstDay": run.begin.astimezone(run.zone).date(),
        "lastDay": last,
        "asOf": run.as_of,
        "currency": words.currency,
        "pointValue": None if run.redeem_value is None else plain(run.redeem_value),
        "customers": run.buyers,
        "total": {**_sums(run, run.total), "pointsMore": run.more, "pointsLess": run.less},
        "weeks": [{"week": week, **_sums(run, sums)} for week, sums in run.all_weeks()],
        "tiers": [
            {"tier": code or None, "name": words.tiers.get(code, code.capitalize()), **_sums(run, sums)}
            for code, sums in _by_size(run.tiers)
        ],
        "stores": [
            {"storeId": store_id, "name": words.stores.get(store_id, ""), **_sums(run, sums)}
            for store_id, sums in _by_size(run.stores)
        ],
        "mostAffected": [_affected(run, affected, words) for affected in run.top],
        "assumptions": [*run.assumptions, *([NO_VALUE] if run.redeem_value is None else [])],
    }


def _by_size(parts: dict[Any, Sums]) -> list[tuple[Any, Sums]]:
    return sorted(parts.items(), key=lambda part: (-abs(part[1].change), str(part[0])))


def _sums(run: DryRun, sums: Sums) -> dict[str, Any]:
    cost = money_for(sums.change, run.redeem_value)
    return {
        "purchases": sums.purchases,
        "purchasesTouched": sums.touched,
        "customersTouched": sums.customers,
        "pointsBefore": sums.before,
        "pointsAfter": sums.before + sums.change,
        "pointsChange": sums.change,
        "cost": None if cost is None else str(cost),
    }


def _affected(run: DryRun, affected: Affected, words: Vocabulary) -> dict[str, Any]:
    before, after = affected.before, affected.after
    sale = before.sale
    number, store_id = sale.reference
    return {
        "purchaseId": sale.id,
        "transactionId": number,
        "storeId": store_id,
        "customerId": affected.customer_id,
        "occurredAt": sale.at,
        "amount": str(from_cents(sale.cents)),
        "pointsBefore": before.net,
        "pointsAfter": after.net,
        "explanation": [
            *explain(after.rules, sale, after, currency=words.currency, awards=affected.awards),
            *_beside(after.sale.awarded - sum(given.points for given in affected.awards)),
            *_returned(after.net - after.gross),
        ],
    }


def _beside(points: int) -> list[dict[str, Any]]:
    """What other promotions gave."""
    if not points:
        return []
    return [{"code": "promotion", "points": points, "message": "From other promotions, as it was"}]


def _returned(points: int) -> list[dict[str, Any]]:
    if not points:
        return []
    return [{"code": "returned", "points": points, "message": "Taken back by returns"}]
