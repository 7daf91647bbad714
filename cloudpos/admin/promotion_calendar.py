"""Which promotions run in which week: some weeks back, a quarter ahead."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.formats import counted
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from loyalty.models import Promotion
from loyalty.reading_promotions import vocabulary_of
from loyalty.services.promotions import rule_of

WEEKS_BACK, WEEKS_AHEAD = 4, 13
SHADES = {"active": "green", "paused": "orange", "draft": "blue", "ended": "bronze"}


@dataclass(frozen=True, slots=True)
class Row:
    """A promotion's bar: so many weeks before it, in it and after it; whether it was there before the first and goes on
    after the last; and what is written on it."""

    promotion: Promotion
    sentence: str
    shade: str
    before: int
    weeks: int
    after: int
    comes_from: bool
    goes_on: bool
    said: str


def promotion_calendar(request: HttpRequest) -> HttpResponse:
    """The page "Promotion calendar", for managers of the merchant that is shown."""
    access = staff_access(request)
    if not access.may(Role.MANAGER):
        raise PermissionDenied
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Promotion calendar"}
    if access.current is not None:
        context |= _calendar(access.current)
    return TemplateResponse(request, "backoffice/promotion_calendar.html", context)


def _calendar(merchant: Merchant) -> dict[str, Any]:
    today = timezone.now().astimezone(merchant.tz).date()
    this_week = today - timedelta(days=today.weekday())
    weeks = [this_week + timedelta(weeks=number) for number in range(-WEEKS_BACK, WEEKS_AHEAD)]
    words = vocabulary_of(merchant.pk)
    rows = []
    for promotion in Promotion.objects.for_merchant(merchant).order_by("-priority", "created_at"):
        bar = _bar(promotion, merchant, weeks, today)
        if bar is not None:
            sentence = words.sentence(rule_of(promotion))
            rows.append(Row(promotion, sentence, SHADES[promotion.status], *bar))
    months: list[list[Any]] = []
    for week in weeks:
        name = f"{week:%b %Y}"
        if months and months[-1][0] == name:
            months[-1][1] += 1
        else:
            months.append([name, 1])
    return {"merchant": merchant, "weeks": weeks, "months": months, "rows": rows, "this_week": this_week}


def _bar(
    promotion: Promotion, merchant: Merchant, weeks: list[date], today: date
) -> tuple[int, int, int, bool, bool, str] | None:
    """The numbers of a Row; None when the promotion is in none of these weeks."""
    starts, ends = promotion.starts_at, promotion.ends_at
    first = starts.astimezone(merchant.tz).date() if starts is not None else today
    last = None
    if ends is not None:
        last = (ends - timedelta(microseconds=1)).astimezone(merchant.tz).date()
    inside = [
        number
        for number, week in enumerate(weeks)
        if first < week + timedelta(days=7) and (last is None or last >= week)
    ]
    if not inside or (last is not None and last < first):
        return None
    comes_from = first < weeks[0]
    goes_on = last is None or last >= weeks[-1] + timedelta(days=7)
    if comes_from and goes_on:
        said = "All these weeks"
    elif comes_from:
        said = f"To {last:%-d %b}"
    elif goes_on:
        said = f"From {first:%-d %b}"
    else:
        said = counted(len(inside), "week")
    return inside[0], len(inside), len(weeks) - inside[-1] - 1, comes_from, goes_on, said
