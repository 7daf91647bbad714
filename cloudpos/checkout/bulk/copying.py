"""COPY: a thousand rows in the time of twenty INSERTs; and telling the planner of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.apps import apps
from django.db import connection, transaction
from psycopg.types.json import set_json_dumps

from loyalty.ledger import COLUMNS

ANALYZE_SECONDS_MAX = 120

COPIED: dict[str, tuple[str, ...]] = {
    "purchases": (
        "id", "merchant_id", "customer_id", "store_id", "transaction_id", "amount", "tax", "discount", "currency",
        "payment_method", "channel", "occurred_at", "recorded_at", "content_hash", "receipt",
    ),
    "purchase_items": (
        "id", "merchant_id", "purchase_id", "line", "sku", "name", "category", "quantity", "unit_price", "tax",
    ),
    "purchase_returns": (
        "id", "merchant_id", "customer_id", "store_id", "purchase_id", "transaction_id", "amount", "reason",
        "occurred_at", "recorded_at", "content_hash", "receipt",
    ),
    "purchase_return_items": ("id", "merchant_id", "purchase_return_id", "line", "quantity"),
    **COLUMNS,
    "customer_events": (
        "id", "merchant_id", "customer_id", "store_id", "type", "data", "external_id", "actor_id", "request_id",
        "occurred_at", "recorded_at", "dispatched_at",
    ),
}  # fmt: skip


def copy_rows(rows_by_table: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
    """Insert rows, table by table in the order given, values in the order of COPIED[table]; JSON as dictionaries.

    In the binary format: it takes a psycopg that knows the columns' types half the time of text, and PostgreSQL has
    nothing to parse.
    """
    types = _types([table for table, rows in rows_by_table.items() if rows])
    for table, rows in rows_by_table.items():
        if not rows:
            continue
        with connection.cursor() as cursor:
            set_json_dumps(orjson.dumps, cursor.cursor)
            with cursor.copy(f"COPY {table} ({', '.join(COPIED[table])}) FROM STDIN (FORMAT binary)") as copy:
                copy.set_types([types[table][column] for column in COPIED[table]])
                for row in rows:
                    copy.write_row(row)


def tell_planner() -> None:
    """Statistics of what was loaded, for whoever has loaded customers or sales: once, at the end of it all.

    Autovacuum takes them minutes later; until then the planner knows nothing of the rows, and a page that joins them runs
    into the statement timeout.
    """
    models = [*apps.get_app_config("customers").get_models(), *apps.get_app_config("loyalty").get_models()]
    for model in models:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {ANALYZE_SECONDS_MAX * 1000}")
            # A table that is being analyzed or altered this moment is not worth failing a load that is done.
            cursor.execute(f"ANALYZE (SKIP_LOCKED) {connection.ops.quote_name(model._meta.db_table)}")


def _types(tables: Sequence[str]) -> dict[str, dict[str, int]]:
    """Column types by table and name, from the catalogue: a binary value must have exactly its column's."""
    types: dict[str, dict[str, int]] = {table: {} for table in tables}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attrelid::regclass::text, attname, atttypid FROM pg_attribute"
            " WHERE attrelid = ANY(%s::text[]::regclass[]) AND attnum > 0 AND NOT attisdropped",
            [list(tables)],
        )
        for table, column, oid in cursor.fetchall():
            types[table][column] = oid
    return types
