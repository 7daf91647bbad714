"""Successful answers. `{"success": true, "data": ..., "message": "..."}`, encoded once, where they are made.

A plain HttpResponse instead of DRF's template-like Response: nothing is negotiated or rendered later, and an
encoding error surfaces inside the view, where the exception handler (and the transaction) sees it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.http import HttpResponse

from cloudpos.api.encoding import encode

JSON_TYPE = "application/json"


class EnvelopeResponse(HttpResponse):
    """An encoded answer. It has no `data`: read `content`, or `.json()` of the test client."""

    def items(self) -> Collection[tuple[str, str]]:
        """The headers as Django keeps them; its own view of them looks each up by its lower-case name again."""
        return self.headers._store.values()


def success(
    data: Any = None, message: str = "", status: int = 200, headers: Mapping[str, str] | None = None
) -> EnvelopeResponse:
    """200 (or 202 with a job). DELETE answers with it too."""
    response = EnvelopeResponse(
        encode({"success": True, "data": data, "message": message}), content_type=JSON_TYPE, status=status
    )
    if headers:
        for name, value in headers.items():
            response.headers[name] = value
    return response


def created(
    data: Any, location: str, message: str = "", headers: Mapping[str, str] | None = None
) -> EnvelopeResponse:
    """201 with the path of what was made."""
    response = success(data, message, 201, headers)
    response.headers["Location"] = location
    return response


def once(data: Any, location: str, *, is_new: bool) -> EnvelopeResponse:
    """201 with the path of what was made; 200 when the same request made it before."""
    return created(data, location) if is_new else success(data, "This was recorded before")


def accepted(data: Any, location: str, message: str = "") -> EnvelopeResponse:
    """202: a job has begun; `location` is where its progress is read."""
    response = success(data, message, 202)
    response.headers["Location"] = location
    return response


def page(
    key: str,
    rows: Sequence[Any],
    total: int,
    page: int,
    limit: int,
    *,
    exact: bool = True,
    next_cursor: str | None = None,
    message: str = "",
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> EnvelopeResponse:
    """One page of a list; `key` is the plural noun of the resource.

    `exact` says whether `total` is counted or a bound or estimate ("totalIsExact").
    """
    listing = {
        key: rows,
        "total": total,
        "page": page,
        "limit": limit,
        "totalPages": -(-total // limit),
        "totalIsExact": exact,
        "nextCursor": next_cursor,
    }
    if extra:
        listing |= extra
    return success(listing, message, headers=headers)
