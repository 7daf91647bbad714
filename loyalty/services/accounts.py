"""Opening a customer's account for writing."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection
from django.utils.timezone import now

from cloudpos.tenancy.rows import Rows
from customers.models import Customer
from loyalty.ledger import Account, Budgets
from loyalty.ledger.lots import FIFO, LOT_COLUMNS
from loyalty.ledger.tier_state import TierState
from loyalty.models import Enrollment, Program
from loyalty.rules import RuleBook, TierOverride, to_cents
from loyalty.services.courses import bring_up, read_overrides
from loyalty.services.programs import rule_book

# What is asked of a customer when points are given or a sale is worked out.
_MEMBER_FIELDS = {"id", "merchant", "version", "visit_count", "total_spent", "segment", "date_of_birth"}

# The enrollment is locked after its customer; the program is only read. One statement, because a till waits for it.
# The lots' index begins with what expires first.
# What is held is summed here and kept nowhere: a hold is over at its instant, whether or not it was swept.
_OPEN = """
WITH e AS MATERIALIZED (
    SELECT id, program_id, balance, version, net_spend, last_activity_at, inactive_at,
        tier, qualifying_amount, amount_until, tier_until, tier_at, tier_revision
    FROM loyalty_enrollments WHERE merchant_id = %s AND customer_id = %s {lock}
)
SELECT p.id, p.revision, p.promotions_revision, p.redeem_points_min, p.redeem_value,
    e.id, e.balance, e.version, e.net_spend, e.last_activity_at, e.inactive_at,
    e.tier, e.qualifying_amount, e.amount_until, e.tier_until, e.tier_at, e.tier_revision,
    EXISTS (SELECT FROM loyalty_tier_overrides o WHERE o.merchant_id = %s AND o.customer_id = %s),
    (SELECT coalesce(sum(h.points), 0)::bigint FROM loyalty_holds h
     WHERE h.merchant_id = %s AND h.customer_id = %s AND h.state = 'held' AND h.expires_at > %s),
    (SELECT l.expires_at FROM loyalty_lots l
     WHERE l.merchant_id = %s AND l.enrollment_id = e.id AND l.remaining > 0 ORDER BY l.expires_at LIMIT 1){more}
FROM loyalty_programs p {customer} LEFT JOIN e ON e.program_id = p.id {lots}
WHERE p.merchant_id = %s AND p.is_active
"""
_OPEN_LOCKED = _OPEN.format(lock="FOR NO KEY UPDATE", more="", customer="", lots="")
_OPEN_UNLOCKED = _OPEN.format(lock="", more="", customer="", lots="")

# The customer with what decides whether the account has seen all of their purchases, and the version it is all of.
_MEMBERS = Rows(Customer, but={field.name for field in Customer._meta.concrete_fields} - _MEMBER_FIELDS)
_CUSTOMER = "JOIN customers ON customers.merchant_id = p.merchant_id AND customers.id = %s AND customers.deleted_at IS NULL"
# As many as a redemption rarely needs more of.
_FIRST_LOTS = 4
_LOTS = (
    f"LEFT JOIN LATERAL (SELECT {LOT_COLUMNS} FROM loyalty_lots"  # noqa: S608
    f" WHERE merchant_id = %s AND enrollment_id = e.id AND {FIFO} LIMIT {_FIRST_LOTS}) lot ON true"
)
_OPEN_MEMBER = _OPEN.format(lock="", more=f", {_MEMBERS.columns}", customer=_CUSTOMER, lots="")
_OPEN_MEMBER_WITH_LOTS = _OPEN.format(
    lock="", more=f", {_MEMBERS.columns}, lot.*", customer=_CUSTOMER, lots=_LOTS
)


def open_account(*, customer: Customer, lock: bool = True) -> Account | None:
    """The customer's account in the active program, locked; None when the merchant has no program.

    A customer without one gets it when the account is written: enrollment happens on first need. Runs inside the
    transaction that holds the customer's lock; with `lock=False`, for a quote, it may only be read.
    """
    return read_account(merchant_id=customer.merchant_id, customer_id=customer.pk, lock=lock)


def read_account(
    *, merchant_id: uuid.UUID, customer_id: uuid.UUID, lock: bool = False, as_stored: bool = False
) -> Account | None:
    """`open_account` by ids. What is over by now is posted first, written when the account is: points as
    expired, and a tier that was to be reviewed. With `as_stored` the tier is left as it is on record.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _OPEN_LOCKED if lock else _OPEN_UNLOCKED,
            [*_open_parameters(merchant_id, customer_id), merchant_id],
        )
        row = cursor.fetchone()
    return None if row is None else _account(merchant_id, customer_id, row, lock=lock, as_stored=as_stored)


def _open_parameters(merchant_id: uuid.UUID, customer_id: uuid.UUID) -> list[Any]:
    """Of _OPEN, but its last: the account's, what was given by hand, what is held, and the lots'."""
    one = [merchant_id, customer_id]
    return [*one, *one, *one, now(), merchant_id]


def read_member(
    *, merchant_id: uuid.UUID, customer_id: uuid.UUID, with_lots: bool
) -> tuple[Customer, Account] | None:
    """A visible customer with their account as they are now, in one query; None without a customer or a program.

    Nothing is locked. All but the customer's `version`, what is counted of their purchases and what promotions ask for is
    deferred. With `with_lots` the first lots that a debit takes come along.
    """
    parameters = [*_open_parameters(merchant_id, customer_id), customer_id]
    with connection.cursor() as cursor:
        if with_lots:
            cursor.execute(_OPEN_MEMBER_WITH_LOTS, [*parameters, merchant_id, merchant_id])
        else:
            cursor.execute(_OPEN_MEMBER, [*parameters, merchant_id])
        rows = cursor.fetchall()
    if not rows:
        return None
    columns = len(rows[0])
    end = columns - LOT_COLUMNS.count(",") - 1 if with_lots else columns
    begin = end - _MEMBERS.width
    first_lots = [row[end:] for row in rows if row[end] is not None] if with_lots else None
    account = _account(merchant_id, customer_id, rows[0][:begin], lock=False, first_lots=first_lots)
    return _MEMBERS.instance(rows[0][begin:end]), account


def _account(
    merchant_id: uuid.UUID,
    customer_id: uuid.UUID,
    row: Sequence[Any],
    *,
    lock: bool,
    first_lots: Sequence[Sequence[Any]] | None = None,
    as_stored: bool = False,
) -> Account:
    program_id, revision, promotions_revision, redeem_points_min, redeem_value, enrollment_id, *rest = row
    balance, version, spend, last_activity_at, inactive_at, *tier_columns, has_overrides, held, expires_at = (
        rest
    )
    book = rule_book(merchant_id=merchant_id, program_id=program_id, revision=revision)
    overrides: Sequence[TierOverride] = ()
    if has_overrides:
        overrides = read_overrides(
            merchant_id=merchant_id, program_id=program_id, customer_ids=[customer_id]
        ).get(customer_id, ())
    if enrollment_id is None:
        return Account(
            merchant_id=merchant_id,
            customer_id=customer_id,
            program_id=program_id,
            book=book,
            tiers=TierState(book, overrides=overrides),
            redeem_points_min=redeem_points_min,
            redeem_value=redeem_value,
            promotions_revision=promotions_revision,
            lock=lock,
        )
    account = Account(
        merchant_id=merchant_id,
        customer_id=customer_id,
        program_id=program_id,
        book=book,
        id=enrollment_id,
        balance=balance,
        version=version,
        tiers=_tier_state(book, tier_columns, overrides),
        spend_cents=to_cents(spend),
        last_activity_at=last_activity_at,
        inactive_at=inactive_at,
        held=held,
        redeem_points_min=redeem_points_min,
        redeem_value=redeem_value,
        promotions_revision=promotions_revision,
        lock=lock,
    )
    if first_lots is not None:
        account.lots.begin_with(first_lots, limit=_FIRST_LOTS)
    if account.has_due(expires_at):
        account.expire_due()
    if not as_stored:
        bring_up(account)
    return account


def _tier_state(book: RuleBook, columns: Sequence[Any], overrides: Sequence[TierOverride]) -> TierState:
    code, amount, amount_until, until, at, revision = columns
    return TierState(
        book,
        code=code,
        amount=to_cents(amount),
        amount_until=amount_until,
        until=until,
        at=at,
        revision=revision,
        overrides=overrides,
    )


def read_accounts(
    *, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], lock: bool = False
) -> dict[uuid.UUID, Account]:
    """`read_account` for many customers, new ones included; empty when the merchant has no program."""
    program = (
        Program.objects.for_merchant(merchant_id)
        .filter(is_active=True)
        .values_list("pk", "revision", "promotions_revision")
        .first()
    )
    if program is None:
        return {}
    program_id, revision, promotions_revision = program
    # One for all: what one customer is given is not left for the next.
    budgets = Budgets(merchant_id=merchant_id, lock=lock)
    book = rule_book(merchant_id=merchant_id, program_id=program_id, revision=revision)
    accounts: dict[uuid.UUID, Account] = {}
    given = read_overrides(merchant_id=merchant_id, program_id=program_id, customer_ids=customer_ids)
    rows = (
        Enrollment.objects.for_merchant(merchant_id)
        .filter(program_id=program_id, customer_id__in=customer_ids)
        .order_by("customer_id")
    )
    for row in rows.select_for_update(no_key=True) if lock else rows:
        accounts[row.customer_id] = Account(
            merchant_id=merchant_id,
            customer_id=row.customer_id,
            program_id=program_id,
            book=book,
            id=row.pk,
            balance=row.balance,
            version=row.version,
            tiers=_tier_state(
                book,
                (
                    row.tier,
                    row.qualifying_amount,
                    row.amount_until,
                    row.tier_until,
                    row.tier_at,
                    row.tier_revision,
                ),
                given.get(row.customer_id, ()),
            ),
            spend_cents=to_cents(row.net_spend),
            last_activity_at=row.last_activity_at,
            inactive_at=row.inactive_at,
            promotions_revision=promotions_revision,
            budgets=budgets,
            lock=lock,
        )
    _expire_due(merchant_id, accounts.values())
    for account in accounts.values():
        bring_up(account)
    for customer_id in customer_ids:
        if customer_id not in accounts:
            accounts[customer_id] = Account(
                merchant_id=merchant_id,
                customer_id=customer_id,
                program_id=program_id,
                book=book,
                tiers=TierState(book, overrides=given.get(customer_id, ())),
                promotions_revision=promotions_revision,
                budgets=budgets,
            )
    return accounts


def _expire_due(merchant_id: uuid.UUID, accounts: Collection[Account]) -> None:
    if not accounts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT enrollment_id FROM loyalty_lots"
            " WHERE merchant_id = %s AND enrollment_id = ANY(%s) AND remaining > 0 AND expires_at <= %s",
            [merchant_id, [account.id for account in accounts], max(account.at for account in accounts)],
        )
        due = {enrollment_id for (enrollment_id,) in cursor.fetchall()}
    for account in accounts:
        if account.id in due or account.has_due(None):
            account.expire_due()
