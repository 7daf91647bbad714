"""cloudpos.postgres: a restart of the database costs no request of the time after it."""

import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection
from psycopg_pool import ConnectionPool

from cloudpos.postgres import refuse_closed

SIZE = 4


@pytest.fixture
def pool(db: None) -> Iterator[ConnectionPool]:
    """As Django makes its own, with SIZE connections in it."""
    parameters = connection.get_connection_params() | {"autocommit": True, "application_name": "pool-test"}
    parameters.pop("cursor_factory", None)
    with ConnectionPool(
        kwargs=parameters,
        check=ConnectionPool.check_connection,
        min_size=SIZE,
        max_size=SIZE,
        timeout=2.5,
        reconnect_timeout=1.0,
    ) as made:
        made.wait()
        yield made


def end_connections() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 2000)) FROM pg_stat_activity WHERE application_name = 'pool-test'"
        )
        assert cursor.fetchone() == (SIZE,)


def test_connections_that_the_server_closed_are_replaced_before_they_fail_anything(
    pool: ConnectionPool,
) -> None:
    end_connections()
    for _ in range(SIZE * 2):
        with pool.connection() as pooled:
            assert pooled.execute("SELECT 1").fetchone() == (1,)


def test_one_that_is_well_is_used_again(pool: ConnectionPool) -> None:
    with pool.connection() as pooled, pool.connection() as other:
        refuse_closed(pooled)
        before = pooled.info.backend_pid
        # What the server says by itself, such as a notice, is no farewell.
        pooled.execute("LISTEN bell")
        other.execute("NOTIFY bell")
        time.sleep(0.05)
        refuse_closed(pooled)
        assert pooled.execute("SELECT pg_backend_pid()").fetchone() == (before,)


def test_the_services_own_pools_look() -> None:
    assert ConnectionPool.check_connection is refuse_closed
    assert settings.DATABASES["default"]["CONN_MAX_AGE"] == 0
