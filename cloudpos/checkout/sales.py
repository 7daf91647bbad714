"""Selling: one transaction that the till waits for, and the same arithmetic without a trace as a quote.

    lock the customer -> accrue points -> record the purchase -> write the ledger, tier and standing -> emit events

A till may send a purchase any number of times, late, and in any order: (merchant, store, transactionId) is unique
forever, and the state afterwards does not depend on the order (see loyalty.services.sales).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import Error, connection, transaction
from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import ApiError, BadRequest, Problem, Unavailable, describe
from cloudpos.api.transactions import in_request_transaction, use_case
from cloudpos.checkout import receipts
from cloudpos.ids import new_id
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.statements import Statement
from customers import purchases
from customers.events import add_events, event
from customers.models import Customer, Purchase
from customers.purchases import Item, NewPurchase, TransactionConflict
from customers.services import (
    CustomerNotFound,
    add_standing,
    find_customer,
    lock_customer,
    lock_everybody,
)
from loyalty.ledger import Account
from loyalty.rules import Sale, to_cents
from loyalty.services import accrue, open_account
from loyalty.services.accounts import read_member
from loyalty.services.awarding import needs_lines
from loyalty.services.postings import Posting, as_line

CLOCK_SKEW = timedelta(minutes=5)
BATCH_PURCHASES_MAX = 500
CHANNEL_DEFAULT = "store"

ZERO = Decimal("0.00")
CENT = Decimal("0.01")
MILLI = Decimal("0.001")
PRICE = Decimal("0.0001")


class CurrencyMismatch(BadRequest):
    code = "currency_mismatch"


class InTheFuture(BadRequest):
    code = "in_the_future"
    message = "This is more than five minutes in the future: check the till's clock"


@dataclass(frozen=True, slots=True)
class Taken:
    """A receipt; `is_new` is False when the till repeated itself."""

    receipt: dict[str, Any]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """A purchase worked out in full, and not written."""

    purchase: NewPurchase
    account: Account | None
    posting: Posting | None
    outcome: dict[str, Any]


@use_case
def take_purchase(*, access: Access, sale: Mapping[str, Any], at: datetime | None = None) -> Taken:
    """Record a purchase of a known customer and give the receipt; the same purchase again, the same receipt.

    `sale` has the fields of POST /purchases by their Python names. Raises TransactionConflict when this transactionId
    was something else, CustomerNotFound, CurrencyMismatch, InTheFuture.
    """
    return record_sale(access=access, sale=sale, at=at or now())


def quote_purchase(
    *, access: Access, sale: Mapping[str, Any], at: datetime | None = None, explain_all: bool = False
) -> dict[str, Any]:
    """The receipt that `take_purchase` would give now, with nothing written or locked.

    With `explain_all` it says of each promotion of the purchase's time what it gives or why not, as `promotions`.
    """
    at = at or now()
    customer, account = _look(access, sale)
    planned = _plan(access, customer, _new_purchase(access, sale, at), account)
    purchase = planned.purchase
    quote = receipts.purchase_receipt(purchase, planned.outcome, receipts.items_json(purchase.items))
    if explain_all:
        quote["promotions"] = receipts.promotions_tried(planned.posting, currency=purchase.currency)
    return quote


def _look(access: Access, sale: Mapping[str, Any]) -> tuple[Customer, Account | None]:
    """Who a quote is for, and their account to read; in one query for a member who is named by id. Raises CustomerNotFound."""
    customer_id = sale.get("customer_id")
    if customer_id is not None:
        found = read_member(merchant_id=access.merchant_id, customer_id=customer_id, with_lots=False)
        if found is not None:
            return found
    customer = find_customer(merchant_id=access.merchant_id, **_identity(sale), country=access.country)
    return customer, open_account(customer=customer, lock=False)


def take_purchases(
    *, access: Access, sales: Sequence[Mapping[str, Any] | ApiError | Problem], at: datetime | None = None
) -> list[Taken | Problem]:
    """`take_purchase` for many: each in a transaction of its own, so that one that fails fails alone.

    An item that is a problem already stays it. Results are in the order of `sales`.

    Raises the database's own error when it is away; in a request's transaction also when it was only busy: the stored
    answer would say "try again" for as long as the key is kept.
    """
    # Asked here: the innermost block below is the item's own.
    answer_is_stored = in_request_transaction()
    if answer_is_stored:
        # Every lock is held to the end: were customers locked one by one, whoever sells to the second and waits for a
        # promotion of the first, or has the same two the other way round, would wait for us, and we for them.
        lock_everybody(
            merchant_id=access.merchant_id,
            named=[_identity(sale, lock=True) for sale in sales if isinstance(sale, Mapping)],
            country=access.country,
        )
    results: list[Taken | Problem] = []
    for sale in sales:
        if isinstance(sale, Problem):
            results.append(sale)
            continue
        try:
            if isinstance(sale, ApiError):
                raise sale
            with transaction.atomic():
                results.append(record_sale(access=access, sale=sale, at=at or now()))
        except (ApiError, Error) as exc:
            if isinstance(exc, Error) and not connection.is_usable():
                raise
            problem = describe(exc)
            if problem.status == Unavailable.status and answer_is_stored:
                raise
            results.append(problem)
    return results


def record_sale(*, access: Access, sale: Mapping[str, Any], at: datetime) -> Taken:
    """`take_purchase` inside the caller's transaction."""
    purchase = _new_purchase(access, sale, at)
    try:
        customer = lock_customer(
            merchant_id=access.merchant_id, **_identity(sale, lock=True), country=access.country
        )
    except CustomerNotFound:
        # The receipt outlives the customer.
        if (repeated := _repeated(access, purchase, sale)) is not None:
            return repeated
        raise
    planned = _plan(access, customer, purchase, open_account(customer=customer))
    if not _write(access, customer, planned):
        # Nothing was written: this transactionId is on record, or was while we waited for another request to commit.
        repeated = _repeated(access, purchase, sale)
        assert repeated is not None
        return repeated
    items = receipts.items_json(purchase.items)
    return Taken(receipts.purchase_receipt(purchase, planned.outcome, items), is_new=True)


def _plan(access: Access, customer: Customer, purchase: NewPurchase, account: Account | None) -> Planned:
    """What the purchase does, for the receipt and for the books. The same for a quote."""
    sale = as_loyalty_sale(purchase, account)
    posting = None
    if account is not None:
        posting = accrue(
            account=account, customer=customer, sale=sale, zone=access.tz, actor_id=access.user_id
        )
    outcome = receipts.purchase_outcome(
        customer_id=customer.pk, sale=sale, currency=purchase.currency, account=account, posting=posting
    )
    return Planned(purchase, account, posting, outcome)


def as_loyalty_sale(purchase: NewPurchase, account: Account | None) -> Sale:
    """A new purchase as the rules see it: with its lines only when they, or promotions, tell lines apart."""
    return Sale(
        purchase.id,
        to_cents(purchase.amount),
        purchase.occurred_at,
        (purchase.transaction_id, purchase.store_id),
        to_cents(purchase.tax),
        to_cents(purchase.discount),
        tuple(as_line(item) for item in purchase.items)
        if account is not None and needs_lines(account)
        else (),
    )


def _write(access: Access, customer: Customer, planned: Planned) -> bool:
    """Everything in one statement; False, and nothing written, when the transaction is on record."""
    purchase, account = planned.purchase, planned.account
    statement = Statement()
    purchases.add_purchase(statement, customer=customer, purchase=purchase, receipt=planned.outcome)
    changed = purchases.standing_after_purchase(
        customer=customer, amount=purchase.amount, at=purchase.occurred_at
    )
    return send(statement, access, customer, account, changed, receipts.sold_event(purchase))


def send(
    statement: Statement,
    access: Access,
    customer: Customer,
    account: Account | None,
    changed: Mapping[str, Any],
    happened: tuple[str, dict[str, Any], datetime],
) -> bool:
    """Add what follows from a sale or return to the statement that records it, and send it. False: it was on record."""
    type, data, occurred_at = happened
    request_id = current_request_id()
    events = [
        event(
            merchant_id=access.merchant_id,
            customer_id=customer.pk,
            store_id=access.store_id,
            actor_id=access.user_id,
            request_id=request_id,
            type=type,
            data=data,
            occurred_at=occurred_at,
        )
    ]
    recorded = f"SELECT count(*) FROM {statement.only_if}"  # noqa: S608
    if account is None:
        add_standing(statement, customer, **changed)
        add_events(statement, events)
        return bool(statement.execute(recorded)[0])
    account.add_to(statement)
    add_standing(statement, customer, **changed, points=account.balance, tier=account.tier)
    events += account.events(store_id=access.store_id, actor_id=access.user_id, request_id=request_id)
    add_events(statement, events)
    is_new, written = statement.execute(f"SELECT ({recorded}), {account.written}")
    if is_new:
        account.check(written)
    return bool(is_new)


# --- What was sent ----------------------------------------------------------------------------------------------


def _new_purchase(access: Access, sale: Mapping[str, Any], at: datetime) -> NewPurchase:
    """The request with its defaults. Raises CurrencyMismatch and InTheFuture."""
    currency = sale.get("currency") or access.currency
    if currency != access.currency:
        raise CurrencyMismatch(f"This merchant sells in {access.currency}", field="currency")
    occurred_at: datetime | None = sale.get("occurred_at")
    if occurred_at is not None and occurred_at > at + CLOCK_SKEW:
        raise InTheFuture(field="occurredAt")
    items = [
        Item(
            sku=item.get("sku", ""),
            name=item.get("name", ""),
            category=item.get("category", ""),
            quantity=item["quantity"].quantize(MILLI),
            unit_price=item["unit_price"].quantize(PRICE),
            tax=(item.get("tax") or ZERO).quantize(CENT),
        )
        for item in sale.get("items") or ()
    ]
    # As the database keeps them: two requests are compared by what they would have stored.
    amount = sale["amount"].quantize(CENT)
    tax = (sale.get("tax") or ZERO).quantize(CENT)
    discount = (sale.get("discount") or ZERO).quantize(CENT)
    payment_method = sale.get("payment_method") or ""
    channel = sale.get("channel") or CHANNEL_DEFAULT
    return NewPurchase(
        id=new_id(),
        merchant_id=access.merchant_id,
        store_id=access.store_id,
        transaction_id=sale.get("transaction_id") or "",
        amount=amount,
        tax=tax,
        discount=discount,
        currency=currency,
        payment_method=payment_method,
        channel=channel,
        occurred_at=occurred_at or at,
        recorded_at=at,
        content_hash=purchase_hash(
            amount=amount,
            tax=tax,
            discount=discount,
            currency=currency,
            payment_method=payment_method,
            channel=channel,
            occurred_at=occurred_at,
            items=items,
        ),
        items=items,
    )


def purchase_hash(
    *,
    amount: Decimal,
    tax: Decimal,
    discount: Decimal,
    currency: str,
    payment_method: str,
    channel: str,
    occurred_at: datetime | None,
    items: Sequence[Item],
) -> bytes:
    """What makes two requests under one transactionId the same sale. The customer is compared by who they are."""
    return receipts.content_hash(
        {
            "amount": amount,
            "tax": tax,
            "discount": discount,
            "currency": currency,
            "paymentMethod": payment_method,
            "channel": channel,
            "occurredAt": occurred_at.timestamp() if occurred_at is not None else None,
            "items": [
                [item.sku, item.name, item.category, item.quantity, item.unit_price, item.tax]
                for item in items
            ],
        }
    )


def _identity(sale: Mapping[str, Any], *, lock: bool = False) -> dict[str, Any]:
    """Who the customer is, in the words of find_customer and lock_customer."""
    return {
        "customer_id" if lock else "id": sale.get("customer_id"),
        "number": sale.get("customer_number"),
        "phone": sale.get("phone"),
        "email": sale.get("email"),
    }


def _repeated(access: Access, purchase: NewPurchase, sale: Mapping[str, Any]) -> Taken | None:
    """The receipt given before for this transactionId, None at its first time. Raises TransactionConflict."""
    found = purchases.find_purchase(
        merchant_id=access.merchant_id,
        store_id=access.store_id,
        transaction_id=purchase.transaction_id,
        with_items=True,
    )
    if found is None:
        return None
    if bytes(found.content_hash) != purchase.content_hash or not _same_customer(access, found, sale):
        raise TransactionConflict(field="transactionId")
    return Taken(stored_receipt(found), is_new=False)


def stored_receipt(purchase: Purchase) -> dict[str, Any]:
    """The receipt as first given. `purchase` has its items prefetched."""
    items = sorted(purchase.items.all(), key=lambda item: item.line)
    return receipts.purchase_receipt(
        purchase, purchase.receipt, [receipts.item_json(item.line, item) for item in items]
    )


def _same_customer(access: Access, purchase: Purchase, sale: Mapping[str, Any]) -> bool:
    """Whether the request names whom the sale is on record for; whoever cannot be found any more is not another."""
    named: uuid.UUID | None = sale.get("customer_id")
    if named is not None and (named == purchase.customer_id or str(named) == purchase.receipt["customerId"]):
        return True
    try:
        customer = find_customer(merchant_id=access.merchant_id, **_identity(sale), country=access.country)
    except CustomerNotFound:
        return named is None
    return customer.pk == purchase.customer_id
