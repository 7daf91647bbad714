"""What every effect on one account has in common: it happens once, under the customer's lock or as if under it.

A till that waits for the lock waits with its database connection, and everybody behind it as well. So what can be worked out
beforehand is: `try_unlocked` reads without a lock, and writes in one statement that does nothing unless the customer's and the
account's rows are still the versions that were read. Whoever writes to an account, or makes a hold, makes a new version of its
customer. Where that fails, `once` does the same again under the lock.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import Conflict
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.statements import Statement
from customers.events import add_events
from customers.models import Customer, Event
from customers.services import CustomerNotFound, add_standing, lock_customer
from loyalty.ledger import WRITTEN, Account
from loyalty.services.accounts import read_member
from loyalty.services.sales import in_step, open_settled_account

R = TypeVar("R")
Work = Callable[[Customer, Account], R]

# As long as the database lets a statement wait for a lock.
TURN_SECONDS_MAX = 2.0

# Both versions, and both rows locked: whoever had to wait for a lock looks again at what the row says by then.
_UNCHANGED = """
SELECT c.id FROM customers c
JOIN loyalty_enrollments e ON e.merchant_id = c.merchant_id AND e.customer_id = c.id
WHERE c.merchant_id = %s AND c.id = %s AND c.version = %s AND c.deleted_at IS NULL AND e.id = %s AND e.version = %s
FOR NO KEY UPDATE OF c, e
"""


class NoProgram(Conflict):
    code = "no_program"
    message = "This merchant has no active loyalty program"


class PointsConflict(Conflict):
    code = "transaction_conflict"
    message = "This transactionId was already used at this store with other content"


def hash_content(content: Mapping[str, Any]) -> bytes:
    """What tells the same request from another one under the same transaction id."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


def once(*, access: Access, customer_id: uuid.UUID, repeated: Callable[[], R | None], work: Work[R]) -> R:
    """What `work` does to a customer's account under their lock; done before, the answer that `repeated` finds.

    Runs inside the caller's transaction. Raises CustomerNotFound, NoProgram, and what either raises.
    """
    try:
        customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    except CustomerNotFound:
        # The answer to a repeated request outlives its customer.
        if (answer := repeated()) is not None:
            return answer
        raise
    # Under the lock: a till that sends twice at once waited for its first request.
    if (answer := repeated()) is not None:
        return answer
    return work(customer, open_for(customer, access))


def open_for(customer: Customer, access: Access) -> Account:
    """A locked customer's account after all of their purchases on record. Raises NoProgram."""
    account = open_settled_account(customer=customer, actor_id=access.user_id)
    if account is None:
        raise NoProgram()
    return account


def try_unlocked(
    *, access: Access, customer_id: uuid.UUID, debits: bool, work: Callable[[Customer, Account, Statement], R]
) -> R | None:
    """What `work` does to an account that nobody else is at; None, and nothing written, when it takes the lock to do it.

    `work` adds the account to the statement that it is given, sends it by `write`, and returns None when that wrote nothing.
    """
    found = read_member(merchant_id=access.merchant_id, customer_id=customer_id, with_lots=debits)
    if found is None:
        return None
    customer, account = found
    if account.is_new or account.tiers.is_changed or not in_step(account, customer):
        return None
    statement = Statement()
    statement.add(
        "unchanged",
        _UNCHANGED,
        [customer.merchant_id, customer.pk, customer.version, account.id, account.version],
    )
    statement.only_if = "unchanged"
    return work(customer, account, statement)


def write(
    statement: Statement,
    *,
    access: Access,
    customer: Customer,
    account: Account,
    store_id: uuid.UUID | None = None,
    events: Sequence[Event] = (),
) -> bool:
    """Send a statement that an account was added to, with its standing and its events.

    False, and nothing was written, when another request has the transaction id of an entry by now, or when the statement
    depends on something that is not so. `store_id` is where it happened, the caller's store unless said otherwise.
    """
    add_standing(statement, customer, points=account.balance, tier=account.tier)
    told = account.events(
        store_id=store_id or access.store_id, actor_id=access.user_id, request_id=current_request_id()
    )
    add_events(statement, [*told, *events])
    (written,) = statement.execute(f"SELECT {WRITTEN}")
    return bool(written)


class _Turns:
    """Requests of this process for the same customer, one after the other.

    They would wait for each other in the database, each with a lock to be woken for and a look to be taken again. Here they
    wait before they look. Between processes the versions and the lock decide, here nothing does: whoever waits too long goes on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[uuid.UUID, tuple[threading.Lock, list[None]]] = {}

    @contextmanager
    def taken(self, customer_id: uuid.UUID) -> Iterator[None]:
        with self._lock:
            turn, there = self._turns.setdefault(customer_id, (threading.Lock(), []))
            there.append(None)
        is_mine = turn.acquire(timeout=TURN_SECONDS_MAX)
        try:
            yield
        finally:
            if is_mine:
                turn.release()
            with self._lock:
                there.pop()
                if not there:
                    del self._turns[customer_id]


turns = _Turns()
