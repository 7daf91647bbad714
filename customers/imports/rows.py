"""From a row of texts to what the services take: every cell that cannot be read is a problem, by its column."""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudpos.api.fields import clean_line, clean_text
from customers.identity import (
    NotAnEmail,
    NotAPhone,
    is_customer_number,
    normal_email,
    normal_phone,
    normal_tags,
)
from customers.imports import values as read
from customers.imports.fields import ADDRESS, CONSENT, METADATA, TARGETS, title_of
from customers.imports.settings import Settings
from customers.imports.tables import REPLACEMENT, TableRow
from customers.imports.values import Unreadable
from customers.models import Address, Customer
from customers.models.customer import TAG_CHARS_MAX
from customers.models.imports import EXTERNAL_ID_CHARS_MAX

VALUE_CHARS_MAX = 100
METADATA_VALUE_CHARS_MAX = 1_000
NOTES_CHARS_MAX = 5_000

# What spreadsheets write where a formula failed.
_FAILED_FORMULAS = frozenset(
    {"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#NV", "#WERT!", "#BEZUG!"}
)
# Excel's way of writing what it took for a large number: the digits are gone.
_SHORTENED = re.compile(r"\d[.,]\d+E\+\d+", re.IGNORECASE)
# Our own exports put an apostrophe before what a spreadsheet would run.
_INERT = re.compile(r"'[=+\-@\t\r\n]")
_BETWEEN_TAGS = re.compile(r"[,;|\n]+")

_PROFILE = {
    "firstName": "first_name",
    "lastName": "last_name",
    "companyName": "company_name",
    "taxId": "tax_id",
}


def _longest(model: Any, column: str) -> int:
    return int(model._meta.get_field(column).max_length)


_LENGTHS: dict[str, int] = {
    **{name: _longest(Customer, column) for name, column in _PROFILE.items()},
    **{
        f"{ADDRESS}{name}": _longest(Address, column)
        for name, column in (
            ("street1", "street1"),
            ("street2", "street2"),
            ("city", "city"),
            ("state", "state"),
            ("postalCode", "postal_code"),
        )
    },
}
_ERASABLE = {
    **_PROFILE,
    "email": "email",
    "phone": "phone",
    "dateOfBirth": "date_of_birth",
    "gender": "gender",
    "language": "language",
    "notes": "notes",
}


@dataclass(slots=True)
class ReadRow:
    """A row's values by the names that services use. `emptied`: columns of the customer whose cells are empty."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    address: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    consents: dict[str, bool] = field(default_factory=dict)
    emptied: list[str] = field(default_factory=list)
    email_key: str = ""
    phone: str = ""
    customer_number: str = ""
    external_id: str = ""
    problems: list[dict[str, Any]] = field(default_factory=list)


class RowReader:
    """Reads the rows of one file. `stores`: the merchant's by code and name, folded."""

    def __init__(
        self, settings: Settings, headers: Sequence[str], *, stores: Mapping[str, uuid.UUID]
    ) -> None:
        self._settings = settings
        self._headers = headers
        self._stores = stores
        self._columns = [
            (place, target, self._reader(target))
            for place, target in enumerate(settings.targets)
            if target is not None
        ]
        self._place = {target: place for place, target, _ in self._columns}
        self._tags = list(settings.add_tags)

    def read(self, row: TableRow) -> ReadRow:
        found = ReadRow(row.number)
        if row.problem is not None:
            found.problems.append(
                {
                    "column": None,
                    "field": None,
                    "code": row.problem.code,
                    "message": row.problem.message,
                    "value": "",
                }
            )
            return found
        cells = row.cells
        if len(cells) > len(self._headers) and any(cell.strip() for cell in cells[len(self._headers) :]):
            message = (
                f"This row has {len(cells)} cells, but there are {len(self._headers)} columns. "
                "A text that has the separator in it must stand in quotation marks."
            )
            self._say(found, None, message, "too_many_cells")
            return found
        width = len(cells)
        for place, target, take in self._columns:
            text = cells[place].strip() if place < width else ""
            if not text:
                if target in _ERASABLE:
                    found.emptied.append(_ERASABLE[target])
                continue
            try:
                if not (text.isascii() and text.isprintable()) or text[0] in "#'":
                    text = _cleaned(text, multiline=target == "notes")
                if text:
                    take(found, text)
            except Unreadable as wrong:
                self._say(found, target, str(wrong), wrong.code, text)
        if self._tags:
            found.values["tags"] = normal_tags([*found.values.get("tags", ()), *self._tags])
        # Many files name the country of people whose address they do not have.
        if found.address and not found.address.keys() - {"country", "state"}:
            found.address = {}
        return found

    def keys_of(self, row: TableRow) -> ReadRow:
        """A row with nothing read but what tells customers apart."""
        found = ReadRow(row.number)
        if row.problem is None:
            for place, target, take in self._columns:
                if target in ("email", "phone", "customerNumber", "externalId") and place < len(row.cells):
                    text = row.cells[place].strip()
                    try:
                        if text:
                            take(found, _cleaned(text))
                    except Unreadable:
                        continue
        return found

    def say(self, row: ReadRow, path: str | None, message: str, code: str) -> None:
        """A problem that a service has with a value: `path` as the API names it."""
        target = path if path in self._place else None
        value = ""
        self._say(row, target, message, code, value)
        if target is None and path is not None and path in TARGETS:
            # A field that no column is: "Street: this field is required".
            row.problems[-1]["message"] = f"{title_of(path)}: {message}"

    def _say(self, row: ReadRow, target: str | None, message: str, code: str, value: str = "") -> None:
        row.problems.append(
            {
                "column": self._headers[self._place[target]] if target is not None else None,
                "field": target,
                "code": code,
                "message": message,
                "value": value[:VALUE_CHARS_MAX].replace("\x00", "\ufffd"),
            }
        )

    # --- One function per target --------------------------------------------------------------------------------

    def _reader(self, target: str) -> Callable[[ReadRow, str], None]:
        if target in _PROFILE:
            return self._text(target, _PROFILE[target])
        if target.startswith(METADATA):
            return self._metadata(target.removeprefix(METADATA))
        if target.startswith(CONSENT):
            return self._consent(target.removeprefix(CONSENT))
        if target == f"{ADDRESS}country":
            return self._country
        if target.startswith(ADDRESS):
            return self._address(target)
        take: Callable[[ReadRow, str], None] = {
            "email": self._email,
            "phone": self._phone,
            "customerNumber": self._number,
            "externalId": self._external_id,
            "name": self._name,
            "type": self._word("type", read.read_type),
            "status": self._word("status", read.read_status),
            "gender": self._word("gender", read.read_gender),
            "language": self._word("language", read.read_language),
            "dateOfBirth": self._day,
            "notes": self._notes,
            "tags": self._tag,
            "homeStore": self._store,
        }[target]
        return take

    @staticmethod
    def _text(target: str, column: str) -> Callable[[ReadRow, str], None]:
        longest = _LENGTHS[target]

        def take(row: ReadRow, text: str) -> None:
            row.values[column] = _bounded(text, longest)

        return take

    @staticmethod
    def _address(target: str) -> Callable[[ReadRow, str], None]:
        longest, name = _LENGTHS[target], target.removeprefix(ADDRESS)
        column = "postal_code" if name == "postalCode" else name

        def take(row: ReadRow, text: str) -> None:
            row.address[column] = _bounded(text, longest)

        return take

    @staticmethod
    def _metadata(key: str) -> Callable[[ReadRow, str], None]:
        def take(row: ReadRow, text: str) -> None:
            row.metadata[key] = _bounded(text, METADATA_VALUE_CHARS_MAX)

        return take

    @staticmethod
    def _consent(channel: str) -> Callable[[ReadRow, str], None]:
        def take(row: ReadRow, text: str) -> None:
            row.consents[channel] = read.read_yes_or_no(text)

        return take

    @staticmethod
    def _word(column: str, reading: Callable[[str], str]) -> Callable[[ReadRow, str], None]:
        def take(row: ReadRow, text: str) -> None:
            row.values[column] = reading(text)

        return take

    @staticmethod
    def _country(row: ReadRow, text: str) -> None:
        row.address["country"] = read.read_country(text)

    @staticmethod
    def _email(row: ReadRow, text: str) -> None:
        try:
            row.values["email"], row.email_key = normal_email(text)
        except NotAnEmail as wrong:
            raise Unreadable(str(wrong), "invalid_email") from None

    def _phone(self, row: ReadRow, text: str) -> None:
        if _SHORTENED.fullmatch(text):
            raise _shortened()
        try:
            row.phone = normal_phone(text[:40], country=self._settings.phone_country)
        except NotAPhone as wrong:
            raise Unreadable(str(wrong), "invalid_phone") from None
        row.values["phone"] = row.phone

    @staticmethod
    def _number(row: ReadRow, text: str) -> None:
        if _SHORTENED.fullmatch(text):
            raise _shortened()
        number = text.replace(" ", "")
        if not is_customer_number(number):
            raise Unreadable("This is not a customer number: one has ten digits.", "invalid_number")
        row.customer_number = number

    @staticmethod
    def _external_id(row: ReadRow, text: str) -> None:
        if _SHORTENED.fullmatch(text):
            raise _shortened()
        row.external_id = _bounded(text, EXTERNAL_ID_CHARS_MAX)

    @staticmethod
    def _name(row: ReadRow, text: str) -> None:
        first, last = read.split_name(text)
        row.values["first_name"] = _bounded(first, _LENGTHS["firstName"])
        row.values["last_name"] = _bounded(last, _LENGTHS["lastName"])

    def _day(self, row: ReadRow, text: str) -> None:
        row.values["date_of_birth"] = read.read_day(text, self._settings.day_order)

    @staticmethod
    def _notes(row: ReadRow, text: str) -> None:
        row.values["notes"] = _bounded(text, NOTES_CHARS_MAX)

    @staticmethod
    def _tag(row: ReadRow, text: str) -> None:
        tags = normal_tags(_BETWEEN_TAGS.split(text))
        if any(len(tag) > TAG_CHARS_MAX for tag in tags):
            raise Unreadable(f"A tag has at most {TAG_CHARS_MAX} characters.", "max_length")
        row.values["tags"] = tags

    def _store(self, row: ReadRow, text: str) -> None:
        found = self._stores.get(text.casefold())
        if found is None:
            raise Unreadable("There is no such store. Write its code or its name.", "store_not_found")
        row.values["home_store_id"] = found


def _cleaned(text: str, *, multiline: bool = False) -> str:
    if "\x00" in text or REPLACEMENT in text:
        raise Unreadable(
            "This holds characters that cannot be read: is the encoding of the file right?", "unreadable_text"
        )
    if text in _FAILED_FORMULAS:
        raise Unreadable("A formula of the spreadsheet failed here.", "spreadsheet_error")
    if _INERT.match(text):
        text = text[1:]
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unreadable("This holds characters that cannot be stored.", "unreadable_text") from None
    return clean_text(text) if multiline else clean_line(text)


def _bounded(text: str, longest: int) -> str:
    if len(text) > longest:
        raise Unreadable(f"This has {len(text):,} characters, {longest:,} are possible.", "max_length")
    return text


def _shortened() -> Unreadable:
    return Unreadable(
        "The spreadsheet has shortened this number. Format the column as text there, and save the file again.",
        "shortened_number",
    )
