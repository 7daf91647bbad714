"""What merchants keep about customers in fields of their own, compared as SQL: JSON that nobody promised the shape of.

Each comparison looks at the kind of value first, so that what is of another kind fulfils nothing and is never cast.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from marketing.segments import comparing
from marketing.segments.fields import Kind
from marketing.segments.sql import Sql, joined

_VALUE, _TEXT = "(c.metadata -> %s::text)", "(c.metadata ->> %s::text)"


def is_set(key: str) -> Sql:
    return Sql(f"{_TEXT} NOT IN ('', '[]', '{{}}')", (key,))


def text(key: str, op: str, value: Any) -> Sql:
    """Without regard to case. Numbers are text as they are written."""
    is_plain = Sql(f"jsonb_typeof{_VALUE} IN ('string', 'number')", (key,))
    compared = comparing.text("said.v", op, value)
    value = Sql(f" FROM (SELECT {_TEXT} AS v) said)", (key,))
    return is_plain + compared.wrapped(" AND (SELECT ", "") + value


def number(key: str, op: str, value: Decimal | tuple[Decimal, Decimal]) -> Sql:
    # CASE decides before it casts; AND need not.
    cast = Sql(f"CASE WHEN jsonb_typeof{_VALUE} = 'number' THEN {_TEXT}::numeric END", (key, key))
    compared = comparing.number("", op, value, Kind.MONEY)
    return cast.wrapped("(") + compared


def boolean(key: str, value: bool) -> Sql:
    return Sql(f"{_VALUE} = %s::jsonb", (key, "true" if value else "false"))


def listed(key: str, op: str, value: Sequence[str]) -> Sql:
    """A list of texts, or one text; with regard to case."""
    is_list = Sql(f"jsonb_typeof{_VALUE} IN ('array', 'string')", (key,))
    # Of an object these would look at the keys.
    return is_list + Sql(f" AND {_VALUE} {'?&' if op == 'all_of' else '?|'} %s::text[]", (key, list(value)))


def days(key: str, first: date | None, following: date | None) -> Sql:
    """Of a day or moment in ISO 8601: days as they are written sort as text does, and no calendar is asked."""
    day = f'left({_TEXT}, 10) COLLATE "C"'
    is_day = Sql(f"{_TEXT} ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}'", (key,))
    bounds = [
        Sql(f"{day} {comparison} %s::text", (key, bound.isoformat()))
        for comparison, bound in ((">=", first), ("<", following))
        if bound is not None
    ]
    return joined(" AND ", [is_day, *bounds])
