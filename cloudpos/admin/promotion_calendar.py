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
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from loyalty.models import Promotion
from loyalty.reading_promotions import vocabulary_of
from loyalty.services.promotions import rule_of

WEEKS_BACK, WEEKS_AHEAD = 4, 13
SHADES = {"active": "green", "paused": "orange", "draft": "blue", "ended": "bronze"}


@dataclass(frozen=True, slots=True)
class Row:
    """A promotion's bar: so many weeks before it, in it and after it."""

    promotion: Promotion
    sentence: str
    shade: str
    before: int
    weeks: int
    after: int
    goes_on: bool


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
) -> tuple[int, int, int, bool] | None:
    """(weeks before, in, after, whether it goes on behind them); None when it is in none of them."""
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
    goes_on = last is None or last >= weeks[-1] + timedelta(days=7)
    return inside[0], len(inside), len(weeks) - inside[-1] - 1, goes_on
