"""What the analytics pages have in common: who may see them, and what they say when there are no figures yet."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.contrib import admin
from django.core.cache import cache
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from psycopg.errors import QueryCanceled

from analytics.rollups.reading import AnalyticsBeingPrepared
from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.models import Merchant

# The pages are opened often; what is a minute old is fresh enough for a person.
KEPT_SECONDS = 60

Found = TypeVar("Found")
# The context of the page's template, or an answer of another kind, such as a file.
Shown = dict[str, Any] | HttpResponse
Show = Callable[..., Shown]


def analytics_page(
    title: str, template: str, *, folder: str = "analytics", policy: str | None = None
) -> Callable[[Show], Callable[..., HttpResponse]]:
    """A page of the current merchant, which is one that the person manages: `show(request, merchant)` says what is on it.

    With `part` in the query it is the figures alone, for the overview to take in. `policy`: its own content policy; `template`
    in what is shown: another page of the folder.
    """

    def decorate(show: Show) -> Callable[..., HttpResponse]:
        @wraps(show)
        def view(request: HttpRequest, **named: Any) -> HttpResponse:
            context: dict[str, Any] = {**admin.site.each_context(request), "title": title}
            context["frame"] = "bare" if "part" in request.GET else "page"
            merchant = staff_access(request).current
            if merchant is not None:
                context.update(merchant=merchant, currency=merchant.currency)
                shown = in_time(show, request, merchant, **named)
                if isinstance(shown, HttpResponse):
                    return shown
                context.update(shown if shown is not None else {"figures_late": True})
            page = f"backoffice/{folder}/{context.pop('template', template)}.html"
            headers = {"Content-Security-Policy": policy} if policy else {}
            return TemplateResponse(request, page, context, headers=headers)

        return admin.site.admin_view(view)  # type: ignore[no-any-return]

    return decorate


def kept(merchant: Merchant, name: str, find: Callable[[], Found]) -> Found:
    """A figure that the services do not keep themselves, from the shared cache for KEPT_SECONDS."""
    key = f"backoffice:{name}:{merchant.pk}"
    found: Found | None = cache.get(key)
    if found is None:
        found = find()
        cache.set(key, found, KEPT_SECONDS)
    return found


def in_time(show: Show, request: HttpRequest, merchant: Merchant, **named: Any) -> Shown | None:
    """What `show` gives; None when it takes longer than a statement may, or while the figures are being prepared."""
    try:
        return show(request, merchant, **named)
    except AnalyticsBeingPrepared:
        return None
    except OperationalError as exc:
        if not isinstance(exc.__cause__, QueryCanceled):
            raise
        # A busy database: the way to the customers must stay open.
        return None
