"""Pages and cursors. Totals are the caller's business: counting 1,000,000 rows is never done here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.db.models import F, OrderBy, Q, QuerySet

from cloudpos.api.encoding import encode
from cloudpos.api.errors import BadRequest

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
# Deeper than any list that a person pages through; machines walk by cursor.
PAGE_MAX = 1_000_000
CURSOR_CHARS_MAX = 1_024
SIGNATURE_BYTES = 12


@dataclass(frozen=True)
class SortKey:
    """One ORM column to order by. Nullable columns put their NULLs last in either direction."""

    column: str
    nullable: bool = False

    def order(self, descending: bool) -> OrderBy | str:
        if not self.nullable:
            return f"-{self.column}" if descending else self.column
        return OrderBy(F(self.column), descending=descending, nulls_last=True)


def _signature(payload: bytes, purpose: str) -> bytes:
    # Every page is signed: keyed BLAKE2 (RFC 7693) takes a tenth of the time of an HMAC.
    key = settings.SECRET_KEY.encode()[: hashlib.blake2b.MAX_KEY_SIZE]
    message = b"cursor:" + purpose.encode() + b":" + payload
    return hashlib.blake2b(message, key=key, digest_size=SIGNATURE_BYTES).digest()


def encode_cursor(purpose: str, values: Sequence[Any]) -> str:
    """An opaque position: the sort values of a page's last row. `purpose` binds it to one list and one order."""
    payload = encode(list(values))
    return base64.urlsafe_b64encode(_signature(payload, purpose) + payload).rstrip(b"=").decode()


def decode_cursor(purpose: str, cursor: str) -> list[Any]:
    """The values of `encode_cursor`, as JSON made them. Raises BadRequest for any other text."""
    refusal = BadRequest(
        "This cursor does not belong to this list and order.", field="cursor", code="invalid_cursor"
    )
    if len(cursor) > CURSOR_CHARS_MAX or not cursor.isascii():
        raise refusal
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raise refusal from None
    signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(payload, purpose)):
        raise refusal
    values: list[Any] = orjson.loads(payload)
    return values


def after(
    queryset: QuerySet[Any], keys: Sequence[SortKey], values: Sequence[Any], *, descending: bool
) -> QuerySet[Any]:
    """The rows that come after `values` in this order: keyset pagination, as fast on the last page as on the first.

    `keys` end with a unique column, so that the order is total.
    """
    comparison = "lt" if descending else "gt"
    condition = Q()
    equal = Q()
    bound: Q | None = None
    for key, value in zip(keys, values, strict=True):
        if value is None:
            # NULLs stand last: nothing follows within this column.
            equal &= Q(**{f"{key.column}__isnull": True})
            continue
        beyond = Q(**{f"{key.column}__{comparison}": value})
        if key.nullable:
            beyond |= Q(**{f"{key.column}__isnull": True})
        elif bound is None:
            # Redundant with the alternatives below, but this is what the planner turns into an index range.
            bound = Q(**{f"{key.column}__{comparison}e": value})
        condition |= equal & beyond
        equal &= Q(**{key.column: value})
    if not condition:
        return queryset.none()
    # Only the first column's bound is a range of the index.
    if bound is not None and not keys[0].nullable:
        condition = bound & condition
    return queryset.filter(condition)


def deferred(queryset: QuerySet[Any], offset: int, limit: int) -> QuerySet[Any]:
    """A deep page by deferred join: the offset is walked on the index alone, rows are fetched for one page.

    The queryset must be ordered; its filters stay inside the subquery, unless what they look at is worked out: that is
    wanted outside too, and then they are asked once more of a page's rows.
    """
    keys = queryset.values("pk")[offset : offset + limit]
    rows = queryset if queryset.query.annotations else queryset.model._default_manager.all()
    outer = rows.filter(pk__in=keys)
    return outer.order_by(*queryset.query.order_by)
