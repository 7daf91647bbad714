"""What somebody asks to be exported: read as the lists of the API read it, kept, and read again by whoever does the work."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.parameters import Text, Words
from cloudpos.api.query import StrictFilterSet
from cloudpos.exports.kinds import SOURCES
from cloudpos.exports.models import Export
from cloudpos.exports.sources import Source
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from marketing.segment_reading import find_segment


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a list's filters need of a request."""

    META: Mapping[str, str]
    access: Access


def read_filters(source: Source, filters: Mapping[str, Any], access: Access) -> Any:
    """The filters as the source's filter set: values are what a query string has, or their JSON.

    Raises BadRequest, and SegmentNotFound.
    """
    errors, texts = [], {}
    for name, value in filters.items():
        text = _text(value)
        if text is None:
            errors.append(FieldError(f"filters.{name}", "This must be a text, a number, or a list of texts."))
        else:
            texts[name] = text
    if errors:
        raise BadRequest(errors=errors)
    asked = _Asked({"QUERY_STRING": urlencode(texts)}, access)
    try:
        found = source.filters(asked)
    except BadRequest as refusal:
        raise BadRequest(
            errors=[
                FieldError(f"filters.{error.field}", error.message, error.code) for error in refusal.errors
            ]
            or [FieldError("filters", refusal.detail, refusal.error_code)]
        ) from None
    if "segment_id" in found.values:
        find_segment(merchant_id=access.merchant_id, segment_id=found.values["segment_id"])
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str) and "," not in each for each in value):
        return ",".join(value)
    return None


def read_columns(source: Source, names: Sequence[str]) -> list[str]:
    """Raises BadRequest for a column that there is not, or that is named twice."""
    errors = []
    for place, name in enumerate(names):
        if name not in source.columns:
            errors.append(FieldError(f"columns.{place}", "There is no such column.", "invalid_choice"))
        elif name in names[:place]:
            errors.append(FieldError(f"columns.{place}", "This column is named twice.", "repeated_column"))
    if errors:
        raise BadRequest(errors=errors)
    return list(names)


def told_filters(filters: StrictFilterSet) -> list[str]:
    """The filters for the log: what somebody typed is named, not said, as is who was meant."""
    told = []
    for outside, (name, parameter) in filters.parameters().items():
        if name not in filters.values:
            continue
        value = filters.values[name]
        secret = isinstance(parameter, Text | Words) or name in ("customer_id", "near")
        told.append(outside if secret else f"{outside}={_told(value)}")
    return told


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def access_of(export: Export, merchant: Merchant) -> Access:
    """In whose name an export reads: of whoever asked for it, where they were."""
    return Access(
        user_id=export.actor_id or uuid.UUID(int=0),
        merchant_id=merchant.pk,
        store_id=export.store_id,  # type: ignore[arg-type]  # none in the back office
        role=Role.MANAGER.value,
        timezone=export.timezone,
        currency=merchant.currency,
        country=merchant.country,
        language=merchant.language,
        search_key=merchant.search_key,
    )


def source_of(export: Export) -> Source:
    return SOURCES[export.kind]
