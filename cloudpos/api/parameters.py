"""The kinds of query parameters."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet

from cloudpos.api.fields import INT32_MAX, YEAR_MAX, YEAR_MIN, clean_line, parse_instant

LIST_ITEMS_MAX = 50

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_AMOUNT = re.compile(r"-?[0-9]{1,10}(?:\.[0-9]{1,2})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class ParameterError(Exception):
    """What is wrong with one parameter's text."""

    def __init__(self, message: str, code: str = "invalid") -> None:
        self.message = message
        self.code = code
        super().__init__(message)


def whole_number(text: str, minimum: int, maximum: int) -> int:
    if _WHOLE.fullmatch(text) is None:
        raise ParameterError("This must be a whole number.")
    number = int(text)
    if not minimum <= number <= maximum:
        raise ParameterError(f"This must be between {minimum} and {maximum}.", "out_of_range")
    return number


class Parameter(django_filters.Filter):
    """A parameter that parses its own text. Instances are shared between requests and keep no state.

    `method` names a method of the filter set, called as `method(queryset, value)`; "" means that the value is only
    read from `values`. Without it the queryset is filtered by `field_name` and `lookup_expr`.
    """

    schema: dict[str, Any] = {"type": "string"}
    description: str = ""
    many: bool = False
    blank_is_absent: bool = False

    def __init__(
        self,
        field_name: str | None = None,
        lookup_expr: str = "exact",
        *,
        method: str | None = None,
        description: str = "",
    ) -> None:
        super().__init__(field_name, lookup_expr)
        self.method_name = method
        if description:
            self.description = description

    def parse(self, text: str) -> Any:
        """The value of `text`. Raises ParameterError."""
        raise NotImplementedError

    def narrow(self, queryset: QuerySet[Any], value: Any, filters: Any) -> QuerySet[Any]:
        if self.method_name is None:
            return queryset.filter(**{f"{self.field_name}__{self.lookup_expr}": value})
        if not self.method_name:
            return queryset
        narrowed: QuerySet[Any] = getattr(filters, self.method_name)(queryset, value)
        return narrowed

    @staticmethod
    def day_or_instant(text: str) -> date | datetime:
        if _DAY.fullmatch(text):
            try:
                day = date.fromisoformat(text)
            except ValueError:
                raise ParameterError("There is no such day.") from None
            if YEAR_MIN <= day.year <= YEAR_MAX:
                return day
        else:
            # A "+" that was not percent-encoded arrives as a space.
            instant = parse_instant(text[:11] + text[11:].replace(" ", "+"))
            if instant is not None:
                return instant
        raise ParameterError("This must be a day (2026-01-31) or a date-time with an offset.")


class Text(Parameter):
    """One line of text; an empty one counts as not given."""

    blank_is_absent = True

    def __init__(self, field_name: str | None = None, *, max_length: int = 200, **kwargs: Any) -> None:
        super().__init__(field_name, **kwargs)
        self.max_length = max_length
        self.schema = {"type": "string", "maxLength": max_length}

    def parse(self, text: str) -> str:
        if len(text) > self.max_length:
            raise ParameterError(f"At most {self.max_length} characters.", "max_length")
        return clean_line(text)


def _split(text: str) -> list[str]:
    items = text.split(",")
    if len(items) > LIST_ITEMS_MAX:
        raise ParameterError(f"At most {LIST_ITEMS_MAX} values.", "max_length")
    return items


class Choices(Parameter):
    """One or, with `many`, a comma list of the given strings."""

    def __init__(
        self, choices: Iterable[str], field_name: str | None = None, *, many: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(field_name, "in" if many else "exact", **kwargs)
        self.allowed = tuple(str(choice) for choice in choices)
        self.many = many
        item = {"type": "string", "enum": list(self.allowed)}
        self.schema = {"type": "array", "items": item} if many else item

    def parse(self, text: str) -> list[str] | str:
        items = _split(text) if self.many else [text]
        for item in items:
            if item not in self.allowed:
                raise ParameterError(f"This must be one of {', '.join(self.allowed)}.", "invalid_choice")
        return list(dict.fromkeys(items)) if self.many else text


class Words(Parameter):
    """A comma list of short texts, such as tags."""

    many = True

    def __init__(self, field_name: str | None = None, *, item_max_length: int = 50, **kwargs: Any) -> None:
        super().__init__(field_name, **kwargs)
        self.item_max_length = item_max_length
        self.schema = {"type": "array", "items": {"type": "string", "maxLength": item_max_length}}

    def parse(self, text: str) -> list[str]:
        items = [clean_line(item) for item in _split(text)]
        if not all(items):
            raise ParameterError("The list has an empty value.")
        if any(len(item) > self.item_max_length for item in items):
            raise ParameterError(f"At most {self.item_max_length} characters each.", "max_length")
        return list(dict.fromkeys(items))


class Amount(Parameter):
    """Money with at most two decimals; use lookup_expr gte or lte."""

    schema = {"type": "string", "pattern": r"^-?\d{1,10}(\.\d{1,2})?$", "examples": ["12.50"]}

    def parse(self, text: str) -> Decimal:
        if _AMOUNT.fullmatch(text) is None:
            raise ParameterError("This must be an amount such as 12.50.")
        return Decimal(text)


class Integer(Parameter):
    """A whole number within bounds."""

    def __init__(
        self,
        field_name: str | None = None,
        lookup_expr: str = "exact",
        *,
        minimum: int = 0,
        maximum: int = INT32_MAX,
        **kwargs: Any,
    ) -> None:
        super().__init__(field_name, lookup_expr, **kwargs)
        self.minimum = minimum
        self.maximum = maximum
        self.schema = {"type": "integer", "minimum": minimum, "maximum": maximum}

    def parse(self, text: str) -> int:
        return whole_number(text, self.minimum, self.maximum)


class Flag(Parameter):
    """true or false."""

    schema: ClassVar[dict[str, Any]] = {"type": "boolean"}

    def parse(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise ParameterError("This must be true or false.")
        return text == "true"


class Identifier(Parameter):
    """A UUID."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "uuid"}

    def parse(self, text: str) -> uuid.UUID:
        if _UUID.fullmatch(text) is None:
            raise ParameterError("This must be a UUID.")
        return uuid.UUID(text)


class Day(Parameter):
    """A calendar day, for date columns."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "date"}

    def parse(self, text: str) -> date:
        value = self.day_or_instant(text)
        if isinstance(value, datetime):
            raise ParameterError("This must be a day such as 2026-01-31.")
        return value
