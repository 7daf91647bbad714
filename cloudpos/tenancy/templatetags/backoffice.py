"""Filters of the admin's templates. Times come out in the active time zone, which is the merchant's."""

from datetime import datetime
from typing import Any

from django import template
from django.contrib import admin
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone

from cloudpos.tenancy import formats

register = template.Library()

register.filter("money", formats.money)
register.filter("short_money", formats.short_money)
register.filter("count", formats.count)
register.filter("counted", formats.counted)
register.filter("quantity", formats.quantity)
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


@register.inclusion_tag("unfold/helpers/header_title.html", takes_context=True)
def page_trail(context: template.Context) -> dict[str, Any]:
    """Where the page is: its list, the row, and what is done to it, each by the name that the navigation uses."""
    parts: list[dict[str, str]] = []
    opts: Any = context.get("opts")
    page: Any = admin.site._registry.get(opts.model) if opts else None
    if page is not None:
        name = f"admin:{opts.app_label}_{opts.model_name}"
        parts.append({"title": page.list_title, "link": reverse(f"{name}_changelist")})
        row = context.get("original") or context.get("object")
        if isinstance(row, Model):
            parts.append({"title": page.row_title(row), "link": reverse(f"{name}_change", args=[row.pk])})
    title = str(context.get("title") or "")
    if title and title not in [part["title"] for part in parts]:
        parts.append({"title": title})
    return {"parts": parts}
