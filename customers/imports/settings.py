"""What becomes of a file's columns: guessed from their names and values, shown, and changed by a person."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.fields import clean_line
from customers.identity import NotAnEmail, NotAPhone, normal_email, normal_phone, normal_tags
from customers.imports.fields import CONSENT, guess, is_target
from customers.imports.tables import COLUMNS_MAX, ENCODINGS, Layout, TooManyColumns, read_rows
from customers.imports.values import DAY_ORDERS, order_of_days
from customers.models import Import
from customers.models.customer import TAG_CHARS_MAX, TAGS_MAX

SAMPLE_ROWS = 200
SAMPLES_SHOWN = 3
SAMPLE_CHARS_MAX = 80
HEADER_CHARS_MAX = 200
SOURCE_CHARS_MAX = 40
WORDING_CHARS_MAX = 50

_LIKE_AN_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

MODES = {
    "both": "Add new customers and change known ones",
    "create": "Add new customers only",
    "update": "Change known customers only",
}
KEYS = {
    "email": "E-mail",
    "phone": "Phone",
    "customerNumber": "Customer number",
    "externalId": "ID in another system",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """`targets` has for each column the name of a target, or None. The rest: see `defaults`."""

    targets: tuple[str | None, ...]
    mode: str = "both"
    match_by: tuple[str, ...] = tuple(KEYS)
    empty_cells: str = "keep"
    day_order: str = "ymd"
    phone_country: str = ""
    has_header: bool = True
    add_tags: tuple[str, ...] = ()
    consent_source: str = ""
    consent_wording: str = ""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The first rows of a file: the columns' names, and some values of each."""

    headers: tuple[str, ...]
    samples: tuple[tuple[str, ...], ...]
    has_header: bool


def sample(source: Import, layout: Layout, *, has_header: bool | None = None) -> Sampled:
    """The names and first values of a file's columns. Raises what `read_rows` raises, and TooManyColumns."""
    first: list[str] | None = None
    rows: list[list[str]] = []
    for row in islice(read_rows(source, layout), SAMPLE_ROWS):
        if row.is_empty or row.problem is not None:
            continue
        if first is None:
            first = row.cells
        else:
            rows.append(row.cells)
    if first is None:
        raise BadRequest("This file is empty.", code="empty_file")
    if has_header is None:
        has_header = not any(_is_of_a_person(cell) for cell in first)
    if not has_header:
        rows.insert(0, first)
    width = max(len(first), max(map(len, rows), default=0)) if not has_header else len(first)
    if width > COLUMNS_MAX:
        raise TooManyColumns()
    names = [clean_line(cell)[:HEADER_CHARS_MAX] for cell in first] if has_header else []
    headers = [
        name or f"Column {_letters(place)}"
        for place, name in enumerate([*names, *[""] * (width - len(names))])
    ]
    columns = [[clean_line(row[place]) for row in rows if place < len(row)] for place in range(width)]
    return Sampled(tuple(headers), tuple(tuple(filter(None, column)) for column in columns), has_header)


def _is_of_a_person(cell: str) -> bool:
    """Whether this is an e-mail address or a number to call: no name of a column is."""
    try:
        if "@" in cell and normal_email(cell)[0]:
            return True
    except NotAnEmail:
        return False
    try:
        return cell.strip().startswith("+") and bool(normal_phone(cell, country=""))
    except NotAPhone:
        return False


def _letters(place: int) -> str:
    """A, B, ..., Z, AA, as spreadsheets count columns."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def guess_settings(sampled: Sampled, *, country: str) -> tuple[Settings, str]:
    """(what the columns most likely are, a note on days that can be read in two ways)"""
    targets: list[str | None] = []
    for header in sampled.headers:
        found = guess(header) if sampled.has_header else None
        # Of two columns with one meaning the first has it: the other may be chosen by hand.
        targets.append(found if found not in targets else None)
    for place, column in enumerate(sampled.samples):
        if targets[place] is None and "email" not in targets:
            targets[place] = _guess_by_values(column)
    if "name" in targets and ("firstName" in targets or "lastName" in targets):
        targets[targets.index("name")] = None
    order, note = _order(sampled, targets, country)
    settings = Settings(
        tuple(targets),
        match_by=tuple(key for key in KEYS if key in targets),
        day_order=order,
        phone_country=country,
        has_header=sampled.has_header,
    )
    return settings, note


def _guess_by_values(column: Sequence[str]) -> str | None:
    if len(column) >= 2 and sum(map(bool, map(_LIKE_AN_EMAIL.fullmatch, column))) > len(column) * 0.8:
        return "email"
    return None


def _order(sampled: Sampled, targets: Sequence[str | None], country: str) -> tuple[str, str]:
    if "dateOfBirth" not in targets:
        return "ymd", ""
    return order_of_days(list(sampled.samples[targets.index("dateOfBirth")]), country=country)


def day_note(sampled: Sampled, settings: Settings, *, country: str) -> str:
    """What to look at in the days of the column that is the date of birth."""
    return _order(sampled, settings.targets, country)[1]


def stored_columns(sampled: Sampled) -> list[dict[str, Any]]:
    """The columns for a page: their names and a few values."""
    return [
        {"header": header, "samples": [value[:SAMPLE_CHARS_MAX] for value in column[:SAMPLES_SHOWN]]}
        for header, column in zip(sampled.headers, sampled.samples, strict=True)
    ]


def as_stored(settings: Settings) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in ((name, getattr(settings, name)) for name in Settings.__slots__)
    }


def settings_of(stored: Mapping[str, Any]) -> Settings:
    """What `as_stored` made."""
    named: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
        if name in Settings.__slots__
    }
    return Settings(**named)


def check_settings(settings: Settings, headers: Sequence[str]) -> None:
    """Raises BadRequest with everything that is wrong with what a person chose."""
    errors: list[FieldError] = []
    seen: dict[str, int] = {}
    if len(settings.targets) != len(headers):
        errors.append(FieldError("columns", f"The file has {len(headers)} columns.", "column_count"))
    for place, target in enumerate(settings.targets):
        path = f"columns.{place}.field"
        if target is None:
            continue
        if not is_target(target):
            errors.append(FieldError(path, "There is no such field.", "invalid_choice"))
        elif target in seen:
            other = headers[seen[target]] if seen[target] < len(headers) else ""
            errors.append(FieldError(path, f"“{other}” is this field already.", "field_twice"))
        else:
            seen[target] = place
    if "name" in seen and ({"firstName", "lastName"} & seen.keys()):
        message = "Choose either the whole name, or first and last name."
        errors.append(FieldError(f"columns.{seen['name']}.field", message, "field_twice"))
    if not seen:
        errors.append(FieldError("columns", "Say of at least one column what it is.", "required"))
    if not settings.match_by:
        errors.append(FieldError("matchBy", "Say by what customers are recognised.", "required"))
    elif not any(key in seen for key in settings.match_by):
        named = " or ".join(KEYS[key] for key in settings.match_by)
        message = f"No column is {named}, by which customers are to be recognised."
        errors.append(FieldError("matchBy", message, "key_not_mapped"))
    if errors:
        raise BadRequest(errors=errors)


def has_consents(settings: Settings) -> bool:
    return any(target and target.startswith(CONSENT) for target in settings.targets)


__all__ = [
    "DAY_ORDERS",
    "ENCODINGS",
    "KEYS",
    "MODES",
    "TAGS_MAX",
    "TAG_CHARS_MAX",
    "Settings",
    "as_stored",
    "check_settings",
    "guess_settings",
    "normal_tags",
    "sample",
    "settings_of",
    "stored_columns",
]
