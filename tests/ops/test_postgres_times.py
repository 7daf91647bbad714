"""cloudpos.postgres: times come back as Django would have read them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DataError, connection
from psycopg.types.datetime import TimestamptzLoader


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 22, 16, 30, 37, 248043, tzinfo=UTC),
        datetime(2026, 11, 22, 16, 30, 37, 200_000, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_a_time_survives_the_way_there_and_back(db: None, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz, ARRAY[%s::timestamptz], NULL::timestamptz", [at, at])
        found, listed, nothing = cursor.fetchone()
    assert (found, listed, nothing) == (at, [at], None)
    assert found.tzinfo is UTC and found.utcoffset() == timedelta(0)


def test_what_no_datetime_can_hold_is_refused_as_before(db: None) -> None:
    with connection.cursor() as cursor, pytest.raises(DataError):
        cursor.execute("SELECT 'infinity'::timestamptz")
        cursor.fetchone()


def test_it_is_in_use(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        loader = cursor.connection.adapters.get_loader(1184, 0)
    # Written in C, where psycopg has that.
    assert loader.__module__.startswith("psycopg") and loader.__name__ == TimestamptzLoader.__name__
