"""Filters of the admin's templates. Times come out in the active time zone, which is the merchant's."""

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone

from cloudpos.tenancy import formats

register = template.Library()

register.filter("money", formats.money)
register.filter("short_money", formats.short_money)
register.filter("count", formats.count)
register.filter("signed", formats.signed)
register.filter("phone", formats.phone)


@register.filter
def moment(at: datetime | None) -> str:
    return formats.moment(at, timezone.get_current_timezone())


@register.filter
def day(at: Any) -> str:
    return formats.day(at, timezone.get_current_timezone())


@register.filter
def ago(at: datetime | None) -> str:
    return formats.ago(at, now=timezone.now())
