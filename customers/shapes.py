"""What customers and their parts look like outside, declared once. Rows go from the database to JSON without models.

What is not known is null, never "". Addresses and preferences arrive as JSON text of sub-selects, so that a customer,
or a page of them, is one query.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import time
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

import orjson
from django.db import connection
from django.db.models import F, Func, Model, TextField
from django.db.models.expressions import Expression, RawSQL

from cloudpos.api.encoding import embedded, encode
from cloudpos.api.rendering import Column, RowShape, Schema
from cloudpos.api.schema import Many
from customers.models import Address, Channel, Consent, Customer, Preferences, Purpose
from customers.services.consents import DEFAULTS

TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
MONEY: Schema = {"type": "string", "pattern": r"^-?\d+\.\d{2}$", "examples": ["12.50"]}


class NullIfBlank(Func):
    template = "NULLIF(%(expressions)s, '')"
    output_field = TextField()


class AsText(Func):
    """Decimals as they stand in the database: "12.50"."""

    template = "(%(expressions)s)::text"
    output_field = TextField()


def optional(path: str, *, enum: Sequence[str] = ()) -> Column:
    """A text column that is null outside when it is empty."""
    schema = {**TEXT_OR_NULL, "enum": [*enum, None]} if enum else TEXT_OR_NULL
    return Column(path, expression=NullIfBlank(F(path)), schema=schema)


def money(path: str) -> Column:
    return Column(path, expression=AsText(F(path)), schema=MONEY)


def _degrees(path: str) -> Column:
    schema: Schema = {"type": ["number", "null"]}
    sql = f"{Address._meta.db_table}.{path}::float8"
    return Column(path, expression=RawSQL(sql, []), schema=schema)  # noqa: S611


ADDRESS = RowShape(
    "Address",
    [
        "id",
        optional("label"),
        "type",
        "street1",
        optional("street2"),
        "city",
        optional("state"),
        optional("postal_code"),
        "country",
        _degrees("latitude"),
        _degrees("longitude"),
        "is_default",
        optional("instructions"),
    ],
    model=Address,
)

_PURPOSES: Schema = {
    "type": "object",
    "properties": {purpose: {"type": "boolean"} for purpose in Purpose.values},
    "required": list(Purpose.values),
}
PREFERENCES_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(Channel.values, _PURPOSES),
        "language": TEXT_OR_NULL,
        "quietHours": {
            "type": ["object", "null"],
            "properties": {"start": {"type": "string"}, "end": {"type": "string"}},
            "required": ["start", "end"],
        },
        "maxMessagesPerWeek": {"type": ["integer", "null"]},
    },
    "required": [*Channel.values, "language", "quietHours", "maxMessagesPerWeek"],
}

CONSENT = RowShape(
    "Consent",
    [
        "id",
        "channel",
        "purpose",
        "state",
        "source",
        optional("wording_version"),
        "actor_id",
        Column("ip", schema=TEXT_OR_NULL),
        "occurred_at",
        "recorded_at",
    ],
    model=Consent,
    description="One statement of a customer. Never changed; a later one takes its place.",
)


def _sub_select(sql: str) -> Expression:
    return RawSQL(sql, [], output_field=TextField())  # noqa: S611


def _addresses_sql() -> str:
    """The customer's addresses as a JSON array, in ADDRESS's own words; the default first.

    A row becomes an object by the names of its columns: json_build_object would look up each value's type each time.
    """
    table = Address._meta.db_table
    compiled, params = ADDRESS.values(Address.objects.order_by()).query.sql_with_params()
    assert not params
    columns = compiled.removeprefix("SELECT ").rpartition(" FROM ")[0]
    columns = columns.replace(f'"{table}".', "a.").replace(f"{table}.", "a.")
    names = ", ".join(f'"{name}"' for name in ADDRESS.names)
    inner = (
        f"SELECT {columns} FROM {table} a "  # noqa: S608
        "WHERE a.merchant_id = customers.merchant_id AND a.customer_id = customers.id "
        "ORDER BY a.is_default DESC, a.created_at, a.id"
    )
    return f"(SELECT json_agg(_a)::text FROM ({inner}) AS _a ({names}))"  # noqa: S608


_PREFERENCES_SQL = (
    "(SELECT json_build_object('said', p.consents, 'language', NULLIF(p.language, ''), "
    "'start', to_char(p.quiet_hours_start, 'HH24:MI'), 'end', to_char(p.quiet_hours_end, 'HH24:MI'), "
    "'weekly', p.max_messages_per_week)::text FROM customer_preferences p "
    "WHERE p.merchant_id = customers.merchant_id AND p.customer_id = customers.id)"
)


def preferences_json(row: dict[str, Any]) -> dict[str, Any]:
    """The preferences of a row of _PREFERENCES_SQL: what was said, over the defaults."""
    said = row.get("said") or {}
    quiet = {"start": row["start"], "end": row["end"]} if row.get("start") else None
    return {
        **{channel: {**DEFAULTS, **said.get(channel, {})} for channel in Channel.values},
        "language": row.get("language"),
        "quietHours": quiet,
        "maxMessagesPerWeek": row.get("weekly"),
    }


_NO_ADDRESSES = embedded("[]")
_DEFAULT_PREFERENCES = embedded(encode(preferences_json({})))


def _addresses(text: str) -> Any:
    return embedded(text) if text else _NO_ADDRESSES


@lru_cache(maxsize=1_024)
def _preferences(text: str) -> Any:
    # Few combinations exist, and they name nobody.
    return embedded(encode(preferences_json(orjson.loads(text)))) if text else _DEFAULT_PREFERENCES


def _or_empty(sql: str) -> Expression:
    # A shape converts what is not null: absent parts come as "".
    return _sub_select(f"COALESCE({sql}, '')")


CUSTOMER = RowShape(
    "Customer",
    [
        "id",
        "customer_number",
        "type",
        "status",
        optional("first_name"),
        optional("last_name"),
        optional("company_name"),
        optional("tax_id"),
        optional("email"),
        optional("phone"),
        "date_of_birth",
        optional("gender", enum=[value for value in Customer.Gender.values if value]),
        optional("language"),
        optional("notes"),
        "tags",
        Column.json("metadata"),
        "segment",
        optional("tier"),
        "points",
        money("total_spent"),
        "visit_count",
        Column(
            "average_order_value",
            expression=RawSQL(
                "CASE WHEN customers.visit_count > 0 "
                "THEN round(customers.total_spent / customers.visit_count, 2) ELSE 0.00 END::text",
                [],
            ),
            schema={**MONEY, "description": "Net spend per purchase; 0.00 before the first."},
        ),
        "first_visit_at",
        "last_visit_at",
        "home_store_id",
        Column(
            "addresses", expression=_or_empty(_addresses_sql()), convert=_addresses, schema={"type": "array"}
        ),
        Column(
            "preferences",
            expression=_or_empty(_PREFERENCES_SQL),
            convert=_preferences,
            schema=PREFERENCES_SCHEMA,
        ),
        "version",
        "created_at",
        "updated_at",
    ],
    model=Customer,
    extra={"addresses": Many(ADDRESS)},
)


@cache
def _select(sort_sql: str = "") -> str:
    """SELECT ... FROM customers, compiled once: the ORM would take longer than PostgreSQL. `sort_sql` comes last.

    Kept short: psycopg takes a text of more than 4,096 characters apart anew each time.
    """
    sql, params = CUSTOMER.values(Customer.objects.order_by()).query.sql_with_params()
    assert not params
    columns, _, rest = sql.partition(' FROM "customers"')
    assert not rest
    columns = columns.replace('"customers".', "") + (f", {sort_sql}" if sort_sql else "")
    return f'{columns} FROM "customers"'


def customer_json(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> dict[str, Any] | None:
    """A visible customer as the API shows it, None when there is none. One query."""
    return _one('"customers"."id" = %s', merchant_id, customer_id)


def customer_json_by(*, column: str, merchant_id: uuid.UUID, value: str) -> dict[str, Any] | None:
    """The visible customer with this `customer_number`, `email_key` or `phone`. One query."""
    if not value:
        return None
    blank = "" if column == "customer_number" else f' AND "customers"."{column}" <> \'\''
    return _one(f'"customers"."{column}" = %s{blank}', merchant_id, value)


def customer_json_by_external_id(*, merchant_id: uuid.UUID, external_id: str) -> dict[str, Any] | None:
    """The visible customer whom another system calls so. One query: the unique index of the ids, then the customer's row."""
    named = "(SELECT customer_id FROM customer_external_ids WHERE merchant_id = %s AND external_id = %s)"
    return _one(f'"customers"."id" = {named}', merchant_id, merchant_id, external_id)


# What a new customer is known to have, besides what its row says.
_NEW = {
    "total_spent": "0.00",
    "average_order_value": "0.00",
    "addresses": _NO_ADDRESSES,
    "preferences": _DEFAULT_PREFERENCES,
}


def new_customer_json(
    customer: Customer, addresses: Sequence[Address], preferences: Preferences | None
) -> dict[str, Any]:
    """What `customer_json` says of a customer who was inserted with these parts just now, without a query."""
    row = _as_inserted(CUSTOMER, customer, _NEW)
    if addresses:
        row["addresses"] = [
            _as_inserted(
                ADDRESS,
                address,
                {"latitude": _float(address.latitude), "longitude": _float(address.longitude)},
            )
            for address in sorted(addresses, key=lambda each: (not each.is_default, each.created_at, each.pk))
        ]
    if preferences is not None:
        row["preferences"] = preferences_json(
            {
                "said": preferences.consents,
                "language": preferences.language or None,
                "start": _clock(preferences.quiet_hours_start),
                "end": _clock(preferences.quiet_hours_end),
                "weekly": preferences.max_messages_per_week,
            }
        )
    return row


def _as_inserted(shape: RowShape, instance: Model, known: Mapping[str, Any]) -> dict[str, Any]:
    """The shape's object from an instance's own columns; `known` has what is computed otherwise, by path."""
    values = instance.__dict__
    return {
        name: known[path] if path in known else values[path] or None if blank else values[path]
        for name, path, blank in _paths(shape)
    }


@cache
def _paths(shape: RowShape) -> list[tuple[str, str, bool]]:
    """Of each column its name, its path, and whether blank text is null outside."""
    return [
        (name, column.path, isinstance(column.expression, NullIfBlank))
        for name, column in zip(shape.names, shape.columns, strict=True)
    ]


def _float(degrees: Decimal | None) -> float | None:
    return None if degrees is None else float(degrees)


def _clock(at: time | None) -> str | None:
    return None if at is None else f"{at:%H:%M}"


def customers_json(
    *, merchant_id: uuid.UUID, ids: Sequence[uuid.UUID], sort_sql: str
) -> list[tuple[dict[str, Any], Any]]:
    """(customer, its value of `sort_sql`) for each of `ids`, in their order. One query."""
    if not ids:
        return []
    sql = f'{_select(sort_sql)} WHERE "customers"."merchant_id" = %s AND "customers"."id" = ANY(%s)'
    place = {customer_id: index for index, customer_id in enumerate(ids)}
    with connection.cursor() as cursor:
        cursor.execute(sql, [merchant_id, list(ids)])
        rows = sorted(cursor.fetchall(), key=lambda row: place[row[0]])
    return with_sort_values(rows)


def with_sort_values(rows: Sequence[Sequence[Any]]) -> list[tuple[dict[str, Any], Any]]:
    """Tuples of `select_with_sort` as (customer, sort value)."""
    return list(zip(CUSTOMER.render(rows), [row[-1] for row in rows], strict=True))


def select_with_sort(sort_sql: str) -> str:
    """SELECT ... FROM customers with the sort value last, for SQL that goes on with WHERE."""
    return _select(sort_sql)


def _one(condition: str, merchant_id: uuid.UUID, *values: Any) -> dict[str, Any] | None:
    sql = f'{_select()} WHERE "customers"."merchant_id" = %s AND "customers"."deleted_at" IS NULL AND {condition}'
    with connection.cursor() as cursor:
        cursor.execute(sql, [merchant_id, *values])
        rows = cursor.fetchall()
    return CUSTOMER.render(rows)[0] if rows else None
