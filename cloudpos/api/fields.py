"""Strict input fields: a value is what JSON says it is, never what it could be coerced to."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
from rest_framework import serializers

from cloudpos.api.parsing import storable

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
EXACT_FLOAT_MAX = 2**53
METADATA_BYTES_MAX = 16_384
LIST_ITEMS_MAX = 100
YEAR_MIN = 1900
YEAR_MAX = 2200

# Controls, invisible and direction-changing characters: they make two names look alike or turn text around.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = "\u200b\u2060\ufeff\ufff9-\ufffb"
_CONTROLS = "\u0000-\u001f\u007f-\u009f"
_REMOVED_IN_LINE = re.compile(f"[{_BIDI}{_INVISIBLE}\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f]")
_REMOVED_IN_TEXT = re.compile(f"[{_BIDI}{_INVISIBLE}\u0000-\u0008\u000b-\u001f\u007f-\u009f]")
_BREAKS = re.compile("[\t\n\u000b\u000c\r\u0085\u2028\u2029]+")
_LINE_ENDS = re.compile("\r\n|\r|\u2028|\u2029")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def clean_line(text: str) -> str:
    """One line of text in NFC, without controls, invisible or direction-changing characters, trimmed."""
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _BREAKS.sub(" ", text)
    return unicodedata.normalize("NFC", _REMOVED_IN_LINE.sub("", text)).strip()


def clean_text(text: str) -> str:
    """The same for text of several lines; line ends become "\\n"."""
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _REMOVED_IN_TEXT.sub("", _LINE_ENDS.sub("\n", text))
    return unicodedata.normalize("NFC", text).strip()


class CleanCharField(serializers.CharField):
    """Text from outside. Refuses anything but a JSON string; `multiline` keeps line ends.

    `trim_whitespace=False` leaves it exactly as it came, for passwords and tokens.
    """

    default_error_messages = {
        "invalid": "This must be text.",
        "invalid_text": "Text must not contain NUL or unpaired surrogate characters.",
    }

    max_length: int

    def __init__(self, *, multiline: bool = False, max_length: int = 255, **kwargs: Any) -> None:
        self.multiline = multiline
        super().__init__(max_length=max_length, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        is_empty_value, data = self.validate_empty_values(data)
        if is_empty_value:
            return data
        value = self.to_internal_value(data)
        if not value:
            if not self.allow_blank:
                self.fail("blank")
        elif len(value) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        elif self.min_length is not None and len(value) < self.min_length:
            self.fail("min_length", min_length=self.min_length)
        return value

    def to_internal_value(self, data: Any) -> str:
        if type(data) is not str:
            self.fail("invalid")
        if not data.isascii() and not storable(data) or "\x00" in data:
            self.fail("invalid_text")
        if not self.trim_whitespace:
            return data
        return clean_text(data) if self.multiline else clean_line(data)


class StrictIntegerField(serializers.IntegerField):
    """A whole JSON number: 3 or 3.0; not "3", not true, not 3.5. 32 bits unless bounds say otherwise."""

    min_value: int
    max_value: int

    def __init__(self, *, min_value: int = -INT32_MAX - 1, max_value: int = INT32_MAX, **kwargs: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        is_empty_value, data = self.validate_empty_values(data)
        if is_empty_value:
            return data
        value = self.to_internal_value(data)
        if value > self.max_value:
            self.fail("max_value", max_value=self.max_value)
        if value < self.min_value:
            self.fail("min_value", min_value=self.min_value)
        return value

    def to_internal_value(self, data: Any) -> int:
        if type(data) is int:
            return data
        if type(data) is float and data.is_integer() and abs(data) <= EXACT_FLOAT_MAX:
            return int(data)
        return self.fail("invalid")


class StrictBooleanField(serializers.BooleanField):
    """true or false; not "true", not 1."""

    def to_internal_value(self, data: Any) -> bool:
        if data is True or data is False:
            return data
        return self.fail("invalid", input=data)


_NUMBER = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
# Beyond this a number is not even written out.
_NUMBER_MAX = 10**40


class MoneyField(serializers.DecimalField):
    """An amount as a decimal string ("12.50") or a JSON number, in the merchant's currency.

    More than `places` decimals are refused, never rounded. Not negative unless `min_value=None` or lower.
    """

    default_error_messages = {
        "invalid": 'This must be an amount such as "12.50".',
        "places": "An amount has at most {places} decimal places.",
        "too_large": "An amount has at most {digits} digits before the decimal point.",
    }
    decimal_places: int

    def __init__(
        self,
        *,
        places: int = 2,
        max_digits: int = 12,
        min_value: Decimal | int | None = Decimal(0),
        max_value: Decimal | int | None = None,
        **kwargs: Any,
    ) -> None:
        self._whole_digits = max_digits - places
        super().__init__(
            max_digits=max_digits,
            decimal_places=places,
            min_value=None if min_value is None else Decimal(min_value),
            max_value=None if max_value is None else Decimal(max_value),
            **kwargs,
        )

    # DRF's takes "" for null.
    validate_empty_values = serializers.Field.validate_empty_values

    def run_validation(self, data: Any = serializers.empty) -> Any:
        is_empty_value, data = self.validate_empty_values(data)
        if is_empty_value:
            return data
        value = self.to_internal_value(data)
        if self.max_value is not None and value > self.max_value:
            self.fail("max_value", max_value=self.max_value)
        if self.min_value is not None and value < self.min_value:
            self.fail("min_value", min_value=self.min_value)
        return value

    def to_internal_value(self, data: Any) -> Decimal:
        if type(data) is int:
            text = str(data) if abs(data) < _NUMBER_MAX else ""
        elif type(data) is float:
            text = format(Decimal(repr(data)), "f") if abs(data) < _NUMBER_MAX else ""
        elif type(data) is str and len(data) <= 64 and data.isascii():
            text = data
        else:
            text = ""
        match = _NUMBER.fullmatch(text)
        if match is None:
            self.fail("invalid")
        whole, decimals = match.group(1), match.group(2) or ""
        if len(whole) > self._whole_digits:
            self.fail("too_large", digits=self._whole_digits)
        if len(decimals.rstrip("0")) > self.decimal_places:
            self.fail("places", places=self.decimal_places)
        # `+ 0` turns -0 into 0.
        return Decimal(text).quantize(Decimal(1).scaleb(-self.decimal_places)) + 0


class QuantityField(MoneyField):
    """A quantity sold by the piece or by weight: three decimal places, more than zero."""

    default_error_messages = {
        "invalid": 'This must be a quantity such as 2 or "0.750".',
        "places": "A quantity has at most {places} decimal places.",
        "too_large": "A quantity has at most {digits} digits before the decimal point.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"places": 3, "min_value": Decimal("0.001"), **kwargs})


class CoordinateField(serializers.FloatField):
    """Degrees: latitude with `bound=90`, longitude with `bound=180`."""

    def __init__(self, *, bound: int, **kwargs: Any) -> None:
        super().__init__(min_value=-bound, max_value=bound, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        if type(data) not in (int, float):
            self.fail("invalid")
        return float(data)


class StrictUuidField(serializers.UUIDField):
    """A UUID as a string with hyphens."""

    def to_internal_value(self, data: Any) -> uuid.UUID:
        if type(data) is not str or _UUID.fullmatch(data) is None:
            self.fail("invalid", value=data)
        return uuid.UUID(data)


class StrictChoiceField(serializers.ChoiceField):
    """One of a list of strings."""

    def to_internal_value(self, data: Any) -> Any:
        if data == "" and self.allow_blank:
            return ""
        if type(data) is not str or data not in self.choice_strings_to_values:
            self.fail("invalid_choice", input=data if type(data) is str else type(data).__name__)
        return self.choice_strings_to_values[data]


class StrictDateField(serializers.DateField):
    """YYYY-MM-DD between `YEAR_MIN` and `YEAR_MAX`."""

    default_error_messages = {"invalid": "This must be a date such as 2026-01-31."}

    def to_internal_value(self, data: Any) -> date:
        if type(data) is str and _DAY.fullmatch(data):
            try:
                day = date.fromisoformat(data)
            except ValueError:
                self.fail("invalid")
            if YEAR_MIN <= day.year <= YEAR_MAX:
                return day
        return self.fail("invalid")


def parse_instant(text: str) -> datetime | None:
    """An ISO 8601 date-time with an offset, as UTC; None when it is anything else."""
    # fromisoformat also reads bare dates, week dates and times of no zone.
    if _INSTANT.fullmatch(text) is None:
        return None
    try:
        instant = datetime.fromisoformat(text.upper())
        if not YEAR_MIN <= instant.year <= YEAR_MAX:
            return None
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class AwareDateTimeField(serializers.DateTimeField):
    """ISO 8601 with an offset ("2026-01-31T10:00:00Z"); becomes UTC."""

    default_error_messages = {
        "invalid": "This must be a date-time with an offset, such as 2026-01-31T10:00:00Z."
    }

    def to_internal_value(self, data: Any) -> datetime:
        instant = parse_instant(data) if type(data) is str else None
        if instant is None:
            self.fail("invalid")
        return instant


class MetadataField(serializers.DictField):
    """Free JSON, kept as sent: nobody renames its keys. An object of at most `bytes_max` bytes."""

    default_error_messages = {
        "invalid": "This must be an object.",
        "too_large": "This may have {bytes_max} bytes at most.",
    }

    def __init__(self, *, bytes_max: int = METADATA_BYTES_MAX, **kwargs: Any) -> None:
        self.bytes_max = bytes_max
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            self.fail("invalid")
        if len(orjson.dumps(data)) > self.bytes_max:
            self.fail("too_large", bytes_max=self.bytes_max)
        return data


class StrictListField(serializers.ListField):
    """A JSON array of at most `max_length` items."""

    max_length: int
    field_name: str

    def __init__(self, *, max_length: int = LIST_ITEMS_MAX, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)

    def get_value(self, dictionary: Mapping[str, Any]) -> Any:
        return dictionary.get(self.field_name, serializers.empty)

    def to_internal_value(self, data: Any) -> list[Any]:
        if type(data) is not list:
            self.fail("not_a_list", input_type=type(data).__name__)
        if len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        if not self.allow_empty and not data:
            self.fail("empty")
        return self.run_child_validation(data)
