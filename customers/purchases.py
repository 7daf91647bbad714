"""Recording what a customer bought and brought back, and reading it again.

Rows of `purchases` and `purchase_returns` are immutable; only a merge moves them to another customer. The functions that
write run inside the use case's transaction, under the customer's lock.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Max, Min, Sum, prefetch_related_objects
from django.utils.timezone import now

from cloudpos.api.errors import Conflict
from cloudpos.ids import new_id
from cloudpos.tenancy.rows import Rows
from cloudpos.tenancy.statements import Statement, Table
from customers.models import Customer, Purchase, PurchaseItem, PurchaseReturn, PurchaseReturnItem

_PURCHASES = Rows(Purchase)
_PURCHASE_TABLE = Table(Purchase, but=["returned"])
_ITEM_TABLE = Table(PurchaseItem, but=["returned"])
_RETURN_TABLE = Table(PurchaseReturn)
_RETURN_ITEM_TABLE = Table(PurchaseReturnItem)


class TransactionConflict(Conflict):
    code = "transaction_conflict"
    message = "This transactionId was already used at this store for something else"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a receipt. `quantity` has three decimal places, `unit_price` four."""

    sku: str
    name: str
    category: str
    quantity: Decimal
    unit_price: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class NewPurchase:
    """A sale as it is about to be recorded. Amounts are in the merchant's currency, tax included."""

    id: uuid.UUID
    merchant_id: uuid.UUID
    store_id: uuid.UUID
    transaction_id: str
    amount: Decimal
    tax: Decimal
    discount: Decimal
    currency: str
    payment_method: str
    channel: str
    occurred_at: datetime
    recorded_at: datetime
    content_hash: bytes
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class NewReturn:
    """Goods or money brought back. `lines` are (line of the purchase, quantity)."""

    id: uuid.UUID
    merchant_id: uuid.UUID
    store_id: uuid.UUID
    purchase_id: uuid.UUID
    transaction_id: str
    amount: Decimal
    reason: str
    occurred_at: datetime
    recorded_at: datetime
    content_hash: bytes
    lines: Sequence[tuple[int, Decimal]]


_NEW = "ON CONFLICT (merchant_id, store_id, transaction_id) DO NOTHING RETURNING id"


def add_purchase(
    statement: Statement, *, customer: Customer, purchase: NewPurchase, receipt: dict[str, Any]
) -> None:
    """Insert a sale with its items as the parts `sale` and `items`; the parts after them depend on it.

    `sale` returns nothing when the transaction is on record. A till that sends the same sale twice at once waits in it for
    its first request to end.
    """
    statement.insert(
        _PURCHASE_TABLE,
        [
            {
                "id": purchase.id,
                "merchant_id": purchase.merchant_id,
                "customer_id": customer.pk,
                "store_id": purchase.store_id,
                "transaction_id": purchase.transaction_id,
                "amount": purchase.amount,
                "tax": purchase.tax,
                "discount": purchase.discount,
                "currency": purchase.currency,
                "payment_method": purchase.payment_method,
                "channel": purchase.channel,
                "occurred_at": purchase.occurred_at,
                "recorded_at": purchase.recorded_at,
                "content_hash": purchase.content_hash,
                "receipt": receipt,
            }
        ],
        name="sale",
        ending=_NEW,
    )
    statement.only_if = "sale"
    statement.insert(
        _ITEM_TABLE,
        [
            {
                "id": new_id(),
                "merchant_id": purchase.merchant_id,
                "purchase_id": purchase.id,
                "line": line,
                "sku": item.sku,
                "name": item.name,
                "category": item.category,
                "quantity": item.quantity,
                "unit_price": item.unit_price,
                "tax": item.tax,
            }
            for line, item in enumerate(purchase.items, start=1)
        ],
        name="items",
    )


def add_return(
    statement: Statement, *, customer: Customer, purchase_return: NewReturn, receipt: dict[str, Any]
) -> None:
    """Insert a return with its lines as the parts `back` and `lines`; as `add_purchase` for its own transaction."""
    back = purchase_return
    statement.insert(
        _RETURN_TABLE,
        [
            {
                "id": back.id,
                "merchant_id": back.merchant_id,
                "customer_id": customer.pk,
                "store_id": back.store_id,
                "purchase_id": back.purchase_id,
                "transaction_id": back.transaction_id,
                "amount": back.amount,
                "reason": back.reason,
                "occurred_at": back.occurred_at,
                "recorded_at": back.recorded_at,
                "content_hash": back.content_hash,
                "receipt": receipt,
            }
        ],
        name="back",
        ending=_NEW,
    )
    statement.only_if = "back"
    statement.insert(
        _RETURN_ITEM_TABLE,
        [
            {
                "id": new_id(),
                "merchant_id": back.merchant_id,
                "purchase_return_id": back.id,
                "line": line,
                "quantity": quantity,
            }
            for line, quantity in back.lines
        ],
        name="lines",
    )


# --- Standing -----------------------------------------------------------------------------------------------


def standing_after_purchase(*, customer: Customer, amount: Decimal, at: datetime) -> dict[str, Any]:
    """The standing columns that one more sale changes; the same whatever the order of arrival."""
    return {
        "total_spent": customer.total_spent + amount,
        "visit_count": customer.visit_count + 1,
        "first_visit_at": at if customer.first_visit_at is None else min(customer.first_visit_at, at),
        "last_visit_at": at if customer.last_visit_at is None else max(customer.last_visit_at, at),
    }


def standing_after_return(*, customer: Customer, amount: Decimal) -> dict[str, Any]:
    """The standing columns that a return changes: a visit stays a visit."""
    return {"total_spent": customer.total_spent - amount}


def standing_on_record(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> dict[str, Any]:
    """The same columns computed from the rows, for when rows have moved to another customer."""
    bought = (
        Purchase.objects.for_merchant(merchant_id)
        .filter(customer_id=customer_id)
        .aggregate(spent=Sum("amount"), first=Min("occurred_at"), last=Max("occurred_at"))
    )
    back = (
        PurchaseReturn.objects.for_merchant(merchant_id)
        .filter(customer_id=customer_id)
        .aggregate(amount=Sum("amount"))["amount"]
    )
    return {
        "total_spent": (bought["spent"] or Decimal("0.00")) - (back or Decimal("0.00")),
        "visit_count": Purchase.objects.for_merchant(merchant_id).filter(customer_id=customer_id).count(),
        "first_visit_at": bought["first"],
        "last_visit_at": bought["last"],
    }


# --- Reading ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PastItem:
    """What a line of a purchase means to the loyalty rules."""

    sku: str
    category: str
    quantity: Decimal
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class PastSale:
    """What a purchase on record means to the loyalty rules. `items` only when they were asked for."""

    id: uuid.UUID
    amount: Decimal
    at: datetime
    transaction_id: str
    store_id: uuid.UUID
    tax: Decimal
    discount: Decimal
    items: tuple[PastItem, ...] = ()


@dataclass(frozen=True, slots=True)
class PastReturn:
    """A return on record. `at` is never before its purchase's; `goods` are (line of the purchase, quantity)."""

    id: uuid.UUID
    purchase_id: uuid.UUID
    amount: Decimal
    at: datetime
    transaction_id: str
    store_id: uuid.UUID
    goods: tuple[tuple[PastItem, Decimal], ...] = ()


def history(
    *,
    merchant_id: uuid.UUID,
    customer_id: uuid.UUID,
    since: datetime | None = None,
    with_items: bool = False,
) -> tuple[list[PastSale], list[PastReturn]]:
    """A customer's purchases and returns, of `since` and later if given, in no particular order.

    With their lines if asked for, which takes a query more for the purchases and one for the returns.
    """
    from_then = "" if since is None else "AND occurred_at >= %s"
    # A return counts at its purchase's time when a till's clock puts it before that.
    back_from_then = "" if since is None else "AND greatest(r.occurred_at, p.occurred_at) >= %s"
    parameters: list[Any] = [merchant_id, customer_id] if since is None else [merchant_id, customer_id, since]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, amount, occurred_at, transaction_id, store_id, tax, discount FROM purchases"  # noqa: S608
            f" WHERE merchant_id = %s AND customer_id = %s {from_then}",
            parameters,
        )
        sales = [PastSale(*row) for row in cursor.fetchall()]
        cursor.execute(
            "SELECT r.id, r.purchase_id, r.amount, greatest(r.occurred_at, p.occurred_at), r.transaction_id,"  # noqa: S608
            " r.store_id FROM purchase_returns r"
            " JOIN purchases p ON p.merchant_id = r.merchant_id AND p.id = r.purchase_id"
            f" WHERE r.merchant_id = %s AND r.customer_id = %s {back_from_then}",
            parameters,
        )
        returns = [PastReturn(*row) for row in cursor.fetchall()]
    return (
        (_with_items(merchant_id, sales), _with_goods(merchant_id, returns))
        if with_items
        else (sales, returns)
    )


def _with_items(merchant_id: uuid.UUID, sales: list[PastSale]) -> list[PastSale]:
    found: dict[uuid.UUID, list[PastItem]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT purchase_id, sku, category, quantity, unit_price FROM purchase_items"
            " WHERE merchant_id = %s AND purchase_id = ANY(%s) ORDER BY purchase_id, line",
            [merchant_id, [sale.id for sale in sales]],
        )
        for purchase_id, *item in cursor.fetchall():
            found[purchase_id].append(PastItem(*item))
    return [replace(sale, items=tuple(found[sale.id])) for sale in sales]


def _with_goods(merchant_id: uuid.UUID, returns: list[PastReturn]) -> list[PastReturn]:
    if not returns:
        return returns
    found: dict[uuid.UUID, list[tuple[PastItem, Decimal]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, b.quantity, i.sku, i.category, i.quantity, i.unit_price FROM purchase_returns r"
            " JOIN purchase_return_items b ON b.merchant_id = r.merchant_id AND b.purchase_return_id = r.id"
            " JOIN purchase_items i"
            " ON i.merchant_id = r.merchant_id AND i.purchase_id = r.purchase_id AND i.line = b.line"
            " WHERE r.merchant_id = %s AND r.id = ANY(%s) ORDER BY r.id, b.line",
            [merchant_id, [back.id for back in returns]],
        )
        for return_id, quantity, *item in cursor.fetchall():
            found[return_id].append((PastItem(*item), quantity))
    return [replace(back, goods=tuple(found[back.id])) for back in returns]


def find_purchase(
    *, merchant_id: uuid.UUID, store_id: uuid.UUID, transaction_id: str, with_items: bool = False
) -> Purchase | None:
    """The sale that a store recorded under this transaction id."""
    found = _PURCHASES.fetch(
        "merchant_id = %s AND store_id = %s AND transaction_id = %s", [merchant_id, store_id, transaction_id]
    )
    if found is not None and with_items:
        prefetch_related_objects([found], "items")
    return found


def find_return(*, merchant_id: uuid.UUID, store_id: uuid.UUID, transaction_id: str) -> PurchaseReturn | None:
    """The return that a store recorded under this transaction id."""
    found: PurchaseReturn | None = (
        PurchaseReturn.objects.for_merchant(merchant_id)
        .filter(store_id=store_id, transaction_id=transaction_id)
        .first()
    )
    return found


__all__ = [
    "Item",
    "NewPurchase",
    "NewReturn",
    "PastReturn",
    "PastSale",
    "TransactionConflict",
    "add_purchase",
    "add_return",
    "find_purchase",
    "find_return",
    "history",
    "now",
    "standing_after_purchase",
    "standing_after_return",
    "standing_on_record",
]
