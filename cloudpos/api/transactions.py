"""Who opens a transaction: the use case, or the request when an Idempotency-Key makes its answer part of it.

See docs/adr/0002-use-case-transactions.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.transaction import Atomic

P = ParamSpec("P")
R = TypeVar("R")


class RequestTransaction(Atomic):
    """The transaction of an idempotent request: claim, work and stored answer commit together."""

    def __init__(self) -> None:
        super().__init__(using=DEFAULT_DB_ALIAS, savepoint=True, durable=False)


def _enclosing_block() -> Atomic | None:
    """The innermost open transaction that is not a test case's own."""
    blocks = transaction.get_connection().atomic_blocks
    if not blocks or blocks[-1]._from_testcase:
        return None
    return blocks[-1]


def in_request_transaction() -> bool:
    """Whether everything up to here commits or rolls back with the request, stored answer included."""
    return isinstance(_enclosing_block(), RequestTransaction)


def use_case(function: Callable[P, R]) -> Callable[P, R]:
    """The outermost service function: all of its writes commit, or none.

    Inside a RequestTransaction it joins without a savepoint. Inside any other transaction it raises: a use case
    that another one calls would not have committed when it returns, which its caller may rely on.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if _joins(function):
            with transaction.atomic(savepoint=False):
                return function(*args, **kwargs)
        with transaction.atomic():
            return function(*args, **kwargs)

    return run


def one_statement_use_case(function: Callable[P, R]) -> Callable[P, R]:
    """A use case whose writes are one statement, which is a transaction by itself: nobody waits for BEGIN and COMMIT.

    Otherwise as `use_case`.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if _joins(function):
            with transaction.atomic(savepoint=False):
                return function(*args, **kwargs)
        return function(*args, **kwargs)

    return run


def _joins(function: Callable[..., Any]) -> bool:
    """Whether a use case that is called now joins its request's transaction. Raises RuntimeError inside any other."""
    block = _enclosing_block()
    if block is None:
        return False
    if isinstance(block, RequestTransaction):
        return True
    raise RuntimeError(
        f"{function.__qualname__} is a use case and owns its transaction: it cannot run inside another one"
    )
