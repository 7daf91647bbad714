"""Taking goods back: whole, a part of the amount, or some of the items; never more than was sold."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from django.db.models import Sum
from django.utils.timezone import now

from cloudpos.api.errors import BadRequest, Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.checkout import receipts
from cloudpos.checkout.sales import CENT, CLOCK_SKEW, MILLI, ZERO, InTheFuture, Taken, send
from cloudpos.ids import new_id
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Store
from cloudpos.tenancy.statements import Statement
from customers import purchases
from customers.models import Customer, Purchase, PurchaseItem, PurchaseReturn, PurchaseReturnItem
from customers.purchases import NewReturn, TransactionConflict
from customers.services import lock_customers
from loyalty.rules import Line, Sale, TakeBack, plain, to_cents
from loyalty.services import open_account, take_back
from loyalty.services.postings import as_goods


class PurchaseNotFound(NotFound):
    code = "purchase_not_found"
    message = "There is no purchase with this transactionId"


class AmbiguousPurchase(Conflict):
    code = "ambiguous_purchase"
    message = "Several stores have a purchase with this transactionId: say which in purchaseStoreId"


class AlreadyReturned(Conflict):
    code = "already_returned"
    message = "Everything of this purchase has been returned"


class ReturnExceedsPurchase(Conflict):
    code = "return_exceeds_purchase"
    message = "More cannot be returned than was sold"


class UnknownLine(BadRequest):
    code = "unknown_line"
    message = "The purchase has no such line"


@use_case
def return_purchase(
    *, access: Access, purchase_transaction_id: str, back: Mapping[str, Any], at: datetime | None = None
) -> Taken:
    """Take back a purchase, wholly (neither amount nor items given) or in part, and give the receipt.

    `back` has the fields of POST /purchases/{transactionId}/returns by their Python names; its own transaction_id is
    unique per store, and the same return again gets the same receipt. The sale is looked for at this store, then at the
    merchant's others (or at `purchase_store_id`). Raises TransactionConflict, PurchaseNotFound, AmbiguousPurchase,
    AlreadyReturned, ReturnExceedsPurchase, UnknownLine, InTheFuture.
    """
    return record_return(
        access=access, purchase_transaction_id=purchase_transaction_id, back=back, at=at or now()
    )


def record_return(
    *, access: Access, purchase_transaction_id: str, back: Mapping[str, Any], at: datetime
) -> Taken:
    """`return_purchase` inside the caller's transaction."""
    occurred_at: datetime | None = back.get("occurred_at")
    if occurred_at is not None and occurred_at > at + CLOCK_SKEW:
        raise InTheFuture(field="occurredAt")
    digest = return_hash(
        purchase_transaction_id=purchase_transaction_id,
        amount=_amount(back),
        reason=back.get("reason") or "",
        occurred_at=occurred_at,
        items=back.get("items") or (),
    )
    repeated = _repeated(access, back["transaction_id"], digest)
    if repeated is not None:
        return repeated
    purchase = _find_purchase(access, purchase_transaction_id, back.get("purchase_store_id"))
    customer = _lock_owner(purchase)
    try:
        amount, lines, returned = _what_comes_back(purchase, back)
    except (AlreadyReturned, ReturnExceedsPurchase):
        # Sent twice at once: the first of the two may have taken it back while this one waited for the lock.
        repeated = _repeated(access, back["transaction_id"], digest)
        if repeated is not None:
            return repeated
        raise
    new = NewReturn(
        id=new_id(),
        merchant_id=access.merchant_id,
        store_id=access.store_id,
        purchase_id=purchase.pk,
        transaction_id=back["transaction_id"],
        amount=amount,
        reason=back.get("reason") or "",
        occurred_at=occurred_at or at,
        recorded_at=at,
        content_hash=digest,
        lines=lines,
    )
    outcome = _write(access, customer, purchase, new, returned)
    if outcome is None:
        repeated = _repeated(access, new.transaction_id, digest)
        assert repeated is not None
        return repeated
    receipt = receipts.return_receipt(
        new, outcome, purchase_transaction_id=purchase.transaction_id, lines=lines
    )
    return Taken(receipt, is_new=True)


def _write(
    access: Access, customer: Customer, purchase: Purchase, new: NewReturn, returned: Decimal
) -> dict[str, Any] | None:
    """Record the return and what follows from it; None when its transactionId is on record."""
    account = open_account(customer=customer)
    posting = None
    if account is not None:
        # Its lines are read with the history.
        sale = Sale(
            purchase.pk,
            to_cents(purchase.amount),
            purchase.occurred_at,
            (purchase.transaction_id, purchase.store_id),
        )
        step = TakeBack(
            new.id,
            purchase.pk,
            to_cents(new.amount),
            max(new.occurred_at, purchase.occurred_at),
            (new.transaction_id, new.store_id),
            _goods(new) if account.book.needs_lines else (),
        )
        posting = take_back(account=account, customer=customer, sale=sale, back=step, actor_id=access.user_id)
    outcome = receipts.return_outcome(
        customer_id=customer.pk,
        sold=purchase.amount,
        returned=returned + new.amount,
        account=account,
        posting=posting,
    )
    statement = Statement()
    purchases.add_return(statement, customer=customer, purchase_return=new, receipt=outcome)
    changed = purchases.standing_after_return(customer=customer, amount=new.amount)
    is_new = send(statement, access, customer, account, changed, receipts.returned_event(new, purchase))
    return outcome if is_new else None


def _goods(new: NewReturn) -> tuple[tuple[Line, Fraction], ...]:
    """The lines that come back, for rules that tell lines apart."""
    if not new.lines:
        return ()
    items = {
        item.line: item
        for item in PurchaseItem.objects.for_merchant(new.merchant_id).filter(purchase_id=new.purchase_id)
    }
    return as_goods([(items[line], quantity) for line, quantity in new.lines])


# --- What was sent ----------------------------------------------------------------------------------------------


def return_hash(
    *,
    purchase_transaction_id: str,
    amount: Decimal | None,
    reason: str,
    occurred_at: datetime | None,
    items: Sequence[Mapping[str, Any]],
) -> bytes:
    """What makes two requests under one transactionId the same return."""
    return receipts.content_hash(
        {
            "purchase": purchase_transaction_id,
            "amount": amount,
            "reason": reason,
            "occurredAt": occurred_at.timestamp() if occurred_at is not None else None,
            "items": [
                [item.get("line"), item.get("sku") or "", item["quantity"].quantize(MILLI)] for item in items
            ],
        }
    )


def _amount(back: Mapping[str, Any]) -> Decimal | None:
    amount: Decimal | None = back.get("amount")
    return None if amount is None else amount.quantize(CENT)


def _repeated(access: Access, transaction_id: str, digest: bytes) -> Taken | None:
    found = purchases.find_return(
        merchant_id=access.merchant_id, store_id=access.store_id, transaction_id=transaction_id
    )
    if found is None:
        return None
    if bytes(found.content_hash) != digest:
        raise TransactionConflict(field="transactionId")
    lines = (
        PurchaseReturnItem.objects.for_merchant(access.merchant_id)
        .filter(purchase_return_id=found.pk)
        .order_by("line")
        .values_list("line", "quantity")
    )
    receipt = receipts.return_receipt(
        found, found.receipt, purchase_transaction_id=found.purchase.transaction_id, lines=lines
    )
    return Taken(receipt, is_new=False)


def _find_purchase(access: Access, transaction_id: str, store_id: uuid.UUID | None) -> Purchase:
    """The sale: at the named store, else at this one, else at the only other one that has it."""
    found = purchases.find_purchase(
        merchant_id=access.merchant_id, store_id=store_id or access.store_id, transaction_id=transaction_id
    )
    if found is not None:
        return found
    if store_id is not None:
        raise PurchaseNotFound()
    # Store by store, because the unique index begins with it.
    stores = Store.objects.for_merchant(access.merchant_id).values_list("pk", flat=True)
    others = list(
        Purchase.objects.for_merchant(access.merchant_id).filter(
            store_id__in=list(stores), transaction_id=transaction_id
        )[:2]
    )
    if not others:
        raise PurchaseNotFound()
    if len(others) > 1:
        raise AmbiguousPurchase(field="purchaseStoreId")
    other: Purchase = others[0]
    return other


def _lock_owner(purchase: Purchase) -> Customer:
    """Lock the customer whose purchase it is, deleted or not: the books outlive them."""
    while True:
        (customer,) = lock_customers(merchant_id=purchase.merchant_id, customer_ids=[purchase.customer_id])
        owner = (
            Purchase.objects.for_merchant(purchase.merchant_id)
            .filter(pk=purchase.pk)
            .values_list("customer_id", flat=True)
            .get()
        )
        if owner == customer.pk:
            return customer
        # Merged while we waited for the lock.
        purchase.customer_id = owner


def _what_comes_back(
    purchase: Purchase, back: Mapping[str, Any]
) -> tuple[Decimal, list[tuple[int, Decimal]], Decimal]:
    """(amount, [(line, quantity)], amount returned before), checked against the sale under its customer's lock."""
    returned = (
        (
            PurchaseReturn.objects.for_merchant(purchase.merchant_id)
            .filter(purchase_id=purchase.pk)
            .aggregate(amount=Sum("amount"))["amount"]
        )
        or ZERO
    )
    left = purchase.amount - returned
    if left <= 0:
        raise AlreadyReturned(extra={"returnable": "0.00"})
    amount = _amount(back)
    lines: list[tuple[int, Decimal]] = []
    if back.get("items"):
        lines, share = _lines(purchase, back["items"], left)
        if amount is None:
            amount = share
    if amount is None:
        amount = left
    if amount > left:
        raise ReturnExceedsPurchase(
            f"{left} {purchase.currency} of this purchase are left to return",
            field="amount",
            extra={"returnable": str(left)},
        )
    if amount <= 0:
        raise BadRequest("Say how much money goes back.", field="amount", code="required")
    return amount, lines, returned


def _lines(
    purchase: Purchase, items: Sequence[Mapping[str, Any]], left: Decimal
) -> tuple[list[tuple[int, Decimal]], Decimal]:
    """The lines that come back, and their share of what was paid (discounts and taxes included)."""
    sold = {
        item.line: item
        for item in PurchaseItem.objects.for_merchant(purchase.merchant_id).filter(purchase_id=purchase.pk)
    }
    gone: dict[int, Decimal] = {}
    for line, quantity in (
        PurchaseReturnItem.objects.for_merchant(purchase.merchant_id)
        .filter(purchase_return__purchase_id=purchase.pk)
        .values_list("line", "quantity")
    ):
        gone[line] = gone.get(line, Decimal(0)) + quantity
    wanted: dict[int, Decimal] = {}
    for index, item in enumerate(items):
        line = _line_of(item, sold, index)
        wanted[line] = wanted.get(line, Decimal(0)) + item["quantity"]
        available = sold[line].quantity - gone.get(line, Decimal(0))
        if wanted[line] > available:
            raise ReturnExceedsPurchase(
                f"Line {line}: {plain(available)} left to return",
                field=f"items.{index}.quantity",
            )
    everything = all(
        wanted.get(line, Decimal(0)) + gone.get(line, Decimal(0)) == item.quantity
        for line, item in sold.items()
    )
    if everything:
        return sorted(wanted.items()), left
    value = sum((quantity * sold[line].unit_price for line, quantity in wanted.items()), Decimal(0))
    total = sum((item.quantity * item.unit_price for item in sold.values()), Decimal(0))
    share = (purchase.amount * value / total).quantize(CENT, ROUND_HALF_UP) if total else ZERO
    return sorted(wanted.items()), min(share, left)


def _line_of(item: Mapping[str, Any], sold: Mapping[int, PurchaseItem], index: int) -> int:
    """The line that an item names by its number, or by an article number that only one line has."""
    line: int | None = item.get("line")
    if line is not None:
        if line not in sold or (item.get("sku") and item["sku"] != sold[line].sku):
            raise UnknownLine(field=f"items.{index}.line")
        return line
    sku = item.get("sku")
    lines = [number for number, sale_item in sold.items() if sale_item.sku == sku]
    if sku and not lines:
        raise UnknownLine("The purchase has no such item", field=f"items.{index}.sku")
    if not sku or len(lines) > 1:
        raise UnknownLine("Name the line by its number.", field=f"items.{index}.line")
    return lines[0]
