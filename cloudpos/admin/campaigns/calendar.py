"""What goes out in a month: what has, and what will."""

from __future__ import annotations

import calendar
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cloudpos.tenancy.models import Merchant
from marketing.campaigns.runs import next_run_at
from marketing.models import Campaign, CampaignRun

SHOWN_MAX = 500


@dataclass(slots=True)
class Day:
    date: date
    is_inside: bool
    is_today: bool
    entries: list[dict[str, Any]] = field(default_factory=list)


def month_of(merchant: Merchant, said: str | None, *, at: datetime) -> dict[str, Any]:
    """`said`: 2026-11; anything else is this month. Weeks begin on Monday."""
    today = at.astimezone(merchant.tz).date()
    first = _first(said) or today.replace(day=1)
    weeks = calendar.Calendar().monthdatescalendar(first.year, first.month)
    begin = datetime.combine(weeks[0][0], time.min, merchant.tz).astimezone(UTC)
    end = datetime.combine(weeks[-1][-1] + timedelta(days=1), time.min, merchant.tz).astimezone(UTC)
    entries = defaultdict(list)
    for instant, campaign, is_past in _going_out(merchant, begin, end):
        local = instant.astimezone(merchant.tz)
        entries[local.date()].append(
            {"campaign": campaign, "time": f"{local:%H:%M}", "is_past": is_past, "at": instant}
        )
    return {
        "title": f"{first:%B %Y}",
        "before": f"{first - timedelta(days=1):%Y-%m}",
        "after": f"{first + timedelta(days=31):%Y-%m}",
        "weeks": [
            [
                Day(
                    day,
                    day.month == first.month,
                    day == today,
                    sorted(entries[day], key=lambda entry: entry["at"]),
                )
                for day in week
            ]
            for week in weeks
        ],
        "is_empty": not any(entries.values()),
    }


def _first(said: str | None) -> date | None:
    try:
        return datetime.strptime(said or "", "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
    except ValueError:
        return None


def _going_out(merchant: Merchant, begin: datetime, end: datetime) -> list[tuple[datetime, Campaign, bool]]:
    runs = (
        CampaignRun.objects.for_merchant(merchant)
        .filter(due_at__gte=begin, due_at__lt=end)
        .select_related("campaign")
        .defer("campaign__variants")
        .order_by("due_at")[:SHOWN_MAX]
    )
    found = [(run.due_at, run.campaign, True) for run in runs]
    coming = (
        Campaign.objects.for_merchant(merchant)
        .filter(state=Campaign.State.SCHEDULED, next_run_at__lt=end)
        .select_related("merchant")
        .defer("variants")
    )
    for campaign in coming[:SHOWN_MAX]:
        at = campaign.next_run_at
        while at is not None and at < end and len(found) < SHOWN_MAX:
            if at >= begin:
                found.append((at, campaign, False))
            at = next_run_at(campaign, after=at)
    return found
