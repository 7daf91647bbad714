"""Query parameters: every one is known, given once and valid, or the answer is 400 and names it.

django-filter's declarations without its cost: its FilterSet copies every filter and builds a form with every field
for each request; this one reads the parameters that are there with filters that are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, ClassVar
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import django_filters
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.naming import camel
from cloudpos.api.pagination import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    PAGE_MAX,
    SortKey,
    after,
    decode_cursor,
    deferred,
    encode_cursor,
)
from cloudpos.api.parameters import Flag, Parameter, ParameterError, whole_number
from cloudpos.api.parsing import storable
from cloudpos.api.rendering import RowShape

PARAMETERS_MAX = 100
# Beyond this offset a page is fetched by deferred join.
DEEP_OFFSET = 1_000


def read_parameters(query_string: str) -> list[tuple[str, str]]:
    """(name, value) pairs of a raw query string. Raises BadRequest for what is not UTF-8 or cannot be stored."""
    if not query_string:
        return []
    try:
        pairs = parse_qsl(
            query_string, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except UnicodeDecodeError:
        raise BadRequest("The query string is not UTF-8.", code="invalid_text") from None
    except ValueError:
        raise BadRequest(f"At most {PARAMETERS_MAX} parameters.", code="too_many_parameters") from None
    for name, value in pairs:
        if not (storable(name) and storable(value)):
            shown = name.replace("\x00", "\\u0000") if storable(name.replace("\x00", "")) else None
            raise BadRequest(
                errors=[
                    FieldError(shown, "Text must not contain NUL or unpaired surrogates.", "invalid_text")
                ]
            )
    return pairs


def zone_of(request: Any) -> tzinfo:
    """The time zone in which the caller's days begin and end: the store's, else the merchant's, else UTC."""
    zone = getattr(getattr(request, "access", None), "timezone", None)
    if zone is None:
        return UTC
    return ZoneInfo(zone) if isinstance(zone, str) else zone


class StrictFilterSet(django_filters.FilterSet):
    """A list's query parameters, declared like a django-filter FilterSet.

        class CustomerFilters(StrictFilterSet):
            sortable = {"createdAt": "created_at", "lastVisitAt": SortKey("last_visit_at", nullable=True)}
            default_sort = "createdAt"
            default_descending = True

            status = Choices(Status.values)                      # ?status=active,suspended
            created_from = DayFrom("created_at")                 # ?createdFrom=2026-01-31
            query = Text(method="search")                        # calls search(queryset, value)

        filters = CustomerFilters(request)                       # raises BadRequest
        return filters.respond("customers", CUSTOMER, queryset, total=total)

    `values` holds the parsed values by Python name. With `paged` it also reads page and limit, with `sortable`
    sortBy and sortOrder, with `cursors` cursor. Filters declared with django-filter's own classes work too.
    """

    paged: ClassVar[bool] = True
    cursors: ClassVar[bool] = True
    sortable: ClassVar[Mapping[str, str | SortKey | Sequence[str | SortKey]]] = {}
    default_sort: ClassVar[str] = ""
    default_descending: ClassVar[bool] = False
    unique_column: ClassVar[str] = "id"
    limit_default: ClassVar[int] = LIMIT_DEFAULT
    limit_max: ClassVar[int] = LIMIT_MAX

    def __init__(self, request: Any) -> None:
        # Deliberately not the parent's: it would copy the filters.
        self.request = request
        self.page = 1
        self.limit = self.limit_default
        self.sort_by = self.default_sort
        self.descending = self.default_descending
        self.cursor: list[Any] | None = None
        self.values: dict[str, Any] = {}
        self._zone: tzinfo | None = None
        pairs = read_parameters(request.META.get("QUERY_STRING", ""))
        if pairs:
            self._read(pairs)
        self._keys = self._sort_keys()[self.sort_by]

    @classmethod
    def parameters(cls) -> dict[str, tuple[str, django_filters.Filter]]:
        """Outside name -> (Python name, filter). Built once per class."""
        found = cls.__dict__.get("_parameters")
        if found is None:
            # `from_` is "from" outside: a word of Python's own cannot be an attribute.
            found = {
                camel(name.removesuffix("_")): (name, filter_) for name, filter_ in cls.base_filters.items()
            }
            cls._parameters = found
        return found  # type: ignore[no-any-return]

    @classmethod
    def _sort_keys(cls) -> dict[str, tuple[SortKey, ...]]:
        found = cls.__dict__.get("_keys_by_name")
        if found is None:
            unique = SortKey(cls.unique_column)
            found = {"": (unique,)}
            for name, columns in cls.sortable.items():
                listed = [columns] if isinstance(columns, str | SortKey) else columns
                keys = [SortKey(key) if isinstance(key, str) else key for key in listed]
                found[name] = (*keys, unique)
            cls._keys_by_name = found
        return found  # type: ignore[no-any-return]

    @property
    def zone(self) -> tzinfo:
        if self._zone is None:
            self._zone = zone_of(self.request)
        return self._zone

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.limit

    def _read(self, pairs: list[tuple[str, str]]) -> None:
        known = self.parameters()
        errors: list[FieldError] = []
        seen: set[str] = set()
        cursor: str | None = None
        for outside, text in pairs:
            if outside in seen:
                errors.append(FieldError(outside, "Give this parameter once.", "repeated_parameter"))
                continue
            seen.add(outside)
            try:
                entry = known.get(outside)
                if entry is not None:
                    self._read_filter(*entry, text)
                elif outside == "cursor" and self.cursors and self.paged:
                    cursor = text
                elif not self._read_paging(outside, text):
                    errors.append(
                        FieldError(outside, "This parameter is not known here.", "unknown_parameter")
                    )
            except ParameterError as exc:
                errors.append(FieldError(outside, exc.message, exc.code))
            except DjangoValidationError as exc:
                errors.append(FieldError(outside, exc.messages[0], "invalid"))
        if errors:
            raise BadRequest("Please correct the query parameters.", errors=errors)
        if cursor is not None:
            if "page" in seen:
                raise BadRequest("Give either page or cursor.", field="cursor", code="invalid_cursor")
            self.cursor = decode_cursor(self._cursor_purpose(), cursor)

    def _read_filter(self, name: str, filter_: django_filters.Filter, text: str) -> None:
        if isinstance(filter_, Parameter):
            if text == "" and filter_.blank_is_absent:
                return
            self.values[name] = filter_.parse(text)
        else:
            self.values[name] = filter_.field.clean(text)

    def _read_paging(self, outside: str, text: str) -> bool:
        if self.paged and outside == "page":
            self.page = whole_number(text, 1, PAGE_MAX)
        elif self.paged and outside == "limit":
            self.limit = whole_number(text, 1, self.limit_max)
        elif self.sortable and outside == "sortBy":
            if text not in self.sortable:
                raise ParameterError(f"Sort by one of {', '.join(self.sortable)}.", "invalid_choice")
            self.sort_by = text
        elif self.sortable and outside == "sortOrder":
            if text not in ("asc", "desc"):
                raise ParameterError("The order is asc or desc.", "invalid_choice")
            self.descending = text == "desc"
        else:
            return False
        return True

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The queryset narrowed by every parameter that was given."""
        filters = self.base_filters
        for name, value in self.values.items():
            filter_ = filters[name]
            if isinstance(filter_, Parameter):
                queryset = filter_.narrow(queryset, value, self)
            elif filter_.method:
                queryset = getattr(self, filter_.method)(queryset, filter_.field_name, value)
            else:
                queryset = filter_.filter(queryset, value)
        return queryset

    def order(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.order_by(*(key.order(self.descending) for key in self._keys))

    def _cursor_purpose(self) -> str:
        return f"{type(self).__name__}:{self.sort_by}:{'desc' if self.descending else 'asc'}"

    def fetch(self, shape: RowShape, queryset: QuerySet[Any]) -> tuple[list[dict[str, Any]], str | None]:
        """One page of an already filtered queryset in one query: (rendered rows, cursor of the next page)."""
        queryset = self.order(queryset)
        if self.cursor is not None:
            queryset = after(queryset, self._keys, self.cursor, descending=self.descending)
            start = 0
        else:
            start = self.offset
        # One row more than asked for tells whether there is a next page.
        if start >= DEEP_OFFSET:
            queryset = deferred(queryset, start, self.limit + 1)
            start = 0
        columns = [key.column for key in self._keys]
        values = shape.values(queryset, columns) if self.cursors else shape.values(queryset)
        found = list(values[start : start + self.limit + 1])
        following = None
        if len(found) > self.limit:
            del found[self.limit :]
            if self.cursors:
                following = encode_cursor(self._cursor_purpose(), found[-1][-len(columns) :])
        return shape.render(found), following

    def respond(
        self,
        key: str,
        shape: RowShape,
        queryset: QuerySet[Any],
        *,
        total: int | Callable[[], int],
        exact: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        """The page's envelope. `total` may be a callable, asked only when the page itself cannot tell."""
        rows, following = self.fetch(shape, queryset)
        if callable(total):
            last_page = following is None and self.cursor is None and (rows or self.page == 1)
            total = self.offset + len(rows) if last_page and self.cursors else total()
        return envelope.page(
            key, rows, total, self.page, self.limit, exact=exact, next_cursor=following, extra=extra
        )


class NoParameters(StrictFilterSet):
    """For routes that take none."""

    paged = False
    cursors = False


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """Midnight at the beginning of `day` there."""
    return datetime.combine(day, time.min, tzinfo=zone)


class DayFrom(Parameter):
    """`createdFrom`: from this day's beginning in the store's zone, or from this instant."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "examples": ["2026-01-31"]}
    description = "A day (whole, in the store's time zone) or a date-time with an offset (exact)."

    def parse(self, text: str) -> date | datetime:
        return self.day_or_instant(text)

    def narrow(self, queryset: QuerySet[Any], value: date | datetime, filters: Any) -> QuerySet[Any]:
        if not isinstance(value, datetime):
            value = start_of_day(value, filters.zone)
        return queryset.filter(**{f"{self.field_name}__gte": value})


class DayTo(DayFrom):
    """`createdTo`: to this day's end in the store's zone, or to this instant; both included."""

    def narrow(self, queryset: QuerySet[Any], value: date | datetime, filters: Any) -> QuerySet[Any]:
        if isinstance(value, datetime):
            return queryset.filter(**{f"{self.field_name}__lte": value})
        following = start_of_day(value + timedelta(days=1), filters.zone)
        return queryset.filter(**{f"{self.field_name}__lt": following})


__all__ = [
    "DayFrom",
    "DayTo",
    "Flag",
    "NoParameters",
    "SortKey",
    "StrictFilterSet",
    "read_parameters",
    "zone_of",
]
