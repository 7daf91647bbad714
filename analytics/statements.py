"""Statements that take longer than a till's request may."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

# Still bounded.
JOB_STATEMENT_SECONDS_MAX = 600
# A job works out millions of figures between two statements, on a machine where others are served first.
JOB_IDLE_SECONDS_MAX = 120
# Thousands of small probes look like one expensive statement, which is not worth compiling.
PROBING = {"jit": "off"}


@contextmanager
def long_statements(**more: str) -> Iterator[None]:
    """A transaction whose statements may take as long as a job's may; `more` are other settings of PostgreSQL for it."""
    settings = {
        "statement_timeout": f"{JOB_STATEMENT_SECONDS_MAX}s",
        "idle_in_transaction_session_timeout": f"{JOB_IDLE_SECONDS_MAX}s",
        **more,
    }
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT " + ", ".join(["set_config(%s, %s, true)"] * len(settings)),
                [word for setting in settings.items() for word in setting],
            )
        yield
