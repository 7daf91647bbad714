"""Comparisons of one value with what a rule asks for, as SQL. `sql` is always text of ours."""

from decimal import Decimal
from typing import Any

from marketing.segments.fields import Field, Kind
from marketing.segments.sql import Sql

_COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def is_set(field: Field) -> str:
    if field.kind in (Kind.TEXT, Kind.CHOICE):
        return f"{field.sql} <> ''"
    if field.kind is Kind.TAGS:
        return f"cardinality({field.sql}) > 0"
    return f"{field.sql} IS NOT NULL"


def text(sql: str, op: str, value: Any) -> Sql:
    """Without regard to case, as the database folds it: both sides go through it."""
    folded, asked = f"lower({sql})", "lower(%s::text)"
    if op == "in":
        return Sql(f"{folded} IN (SELECT lower(v) FROM unnest(%s::text[]) v)", (list(value),))
    if op == "is":
        return Sql(f"{folded} = {asked}", (value,))
    if op == "contains":
        return Sql(f"position({asked} IN {folded}) > 0", (value,))
    if op == "starts_with":
        return Sql(f"starts_with({folded}, {asked})", (value,))
    return Sql(f"right({folded}, length({asked})) = {asked}", (value, value))


def number(sql: str | Sql, op: str, value: Any, kind: Kind) -> Sql:
    compared = sql if isinstance(sql, Sql) else Sql(sql)
    cast = {Kind.SHARE: "float8", Kind.CENTS: "numeric", Kind.MONEY: "numeric"}.get(kind, "bigint")

    def plain(number: Any) -> Any:
        return number * 100 if kind is Kind.CENTS else number

    if op == "between":
        return compared + Sql(f" BETWEEN %s::{cast} AND %s::{cast}", (plain(value[0]), plain(value[1])))
    return compared + Sql(f" {_COMPARISONS[op]} %s::{cast}", (plain(value),))


def least(op: str, value: Any) -> Any:
    """The least number above 0 that can fulfil a comparison; None where there is none above 0, or 0 does as well."""
    low = value[0] if op == "between" else value if op in ("eq", "gt", "gte") else 0
    return low if low > 0 else None


def is_about_any(op: str, value: Any) -> bool:
    """Whether all whole numbers above 0 are alike to a comparison, so that 1 stands for each of them."""
    return (op, value) in {("eq", 0), ("ne", 0), ("gt", 0), ("gte", 1), ("lt", 1), ("lte", 0)}


def is_fulfilled(op: str, number: Decimal, value: Any) -> bool:
    if op == "between":
        return bool(value[0] <= number <= value[1])
    return bool(
        {
            "eq": number == value,
            "gt": number > value,
            "gte": number >= value,
            "lt": number < value,
            "lte": number <= value,
        }[op]
    )
