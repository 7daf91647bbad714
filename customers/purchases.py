"""Recording what a customer bought and brought back, and reading it again.

Rows of `purchases` and `purchase_returns` are immutable; only a merge moves them to another customer. The functions that
write run inside the use case's transaction, under the customer's lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection
from django.db.models import Max, Min, Sum, prefetch_related_objects
from django.utils.timezone import now

from cloudpos.api.errors import Conflict
from cloudpos.ids import new_id
from cloudpos.tenancy.rows import Rows
from customers.models import Customer, Purchase, PurchaseReturn

_PURCHASES = Rows(Purchase)


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


_PURCHASE = """
INSERT INTO purchases (id, merchant_id, customer_id, store_id, transaction_id, amount, tax, discount, currency,
    payment_method, channel, occurred_at, recorded_at, content_hash, receipt)
VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s::jsonb)
ON CONFLICT (merchant_id, store_id, transaction_id) DO NOTHING RETURNING id
"""

_RETURN = """
INSERT INTO purchase_returns (id, merchant_id, customer_id, store_id, purchase_id, transaction_id, amount, reason,
    occurred_at, recorded_at, content_hash, receipt)
VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s::jsonb)
ON CONFLICT (merchant_id, store_id, transaction_id) DO NOTHING RETURNING id
"""


def record_purchase(*, customer: Customer, purchase: NewPurchase, receipt: dict[str, Any]) -> bool:
    """Insert a sale with its items in one statement. False, and nothing written, when the transaction is on record.

    A till that sends the same sale twice at once waits here for its first request to end.
    """
    sale = [
        purchase.id, purchase.merchant_id, customer.pk, purchase.store_id, purchase.transaction_id, purchase.amount,
        purchase.tax, purchase.discount, purchase.currency, purchase.payment_method, purchase.channel,
        purchase.occurred_at, purchase.recorded_at, purchase.content_hash, orjson.dumps(receipt).decode(),
    ]  # fmt: skip
    if not purchase.items:
        return _inserted(_PURCHASE, sale)
    rows = ",".join(["(%s::uuid,%s::int,%s,%s,%s,%s::numeric,%s::numeric,%s::numeric)"] * len(purchase.items))
    for line, item in enumerate(purchase.items, start=1):
        sale += [new_id(), line, item.sku, item.name, item.category, item.quantity, item.unit_price, item.tax]
    return _inserted(
        f"WITH sale AS ({_PURCHASE}) "  # noqa: S608
        "INSERT INTO purchase_items"
        " (id, merchant_id, purchase_id, line, sku, name, category, quantity, unit_price, tax)"
        f" SELECT v.id, %s, sale.id, v.line, v.sku, v.name, v.category, v.quantity, v.unit_price, v.tax FROM sale,"
        f" (VALUES {rows}) v (id, line, sku, name, category, quantity, unit_price, tax) RETURNING id",
        [*sale[:15], purchase.merchant_id, *sale[15:]],
    )


def record_return(*, customer: Customer, purchase_return: NewReturn, receipt: dict[str, Any]) -> bool:
    """Insert a return with its lines. False, and nothing written, when the return's transaction is on record."""
    back = [
        purchase_return.id, purchase_return.merchant_id, customer.pk, purchase_return.store_id,
        purchase_return.purchase_id, purchase_return.transaction_id, purchase_return.amount, purchase_return.reason,
        purchase_return.occurred_at, purchase_return.recorded_at, purchase_return.content_hash,
        orjson.dumps(receipt).decode(),
    ]  # fmt: skip
    if not purchase_return.lines:
        return _inserted(_RETURN, back)
    rows = ",".join(["(%s::uuid,%s::int,%s::numeric)"] * len(purchase_return.lines))
    lines: list[Any] = []
    for line, quantity in purchase_return.lines:
        lines += [new_id(), line, quantity]
    return _inserted(
        f"WITH back AS ({_RETURN}) "  # noqa: S608
        "INSERT INTO purchase_return_items (id, merchant_id, purchase_return_id, line, quantity)"
        f" SELECT v.id, %s, back.id, v.line, v.quantity FROM back, (VALUES {rows}) v (id, line, quantity) RETURNING id",
        [*back, purchase_return.merchant_id, *lines],
    )


def _inserted(statement: str, parameters: list[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone() is not None


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
class PastSale:
    """What a purchase on record means to the loyalty rules."""

    id: uuid.UUID
    amount: Decimal
    at: datetime
    transaction_id: str
    store_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class PastReturn:
    """A return on record. `at` is never before its purchase's."""

    id: uuid.UUID
    purchase_id: uuid.UUID
    amount: Decimal
    at: datetime
    transaction_id: str
    store_id: uuid.UUID


def history(
    *, merchant_id: uuid.UUID, customer_id: uuid.UUID, since: datetime | None = None
) -> tuple[list[PastSale], list[PastReturn]]:
    """A customer's purchases and returns, of `since` and later if given, in no particular order."""
    from_then = "" if since is None else "AND occurred_at >= %s"
    # A return counts at its purchase's time when a till's clock puts it before that.
    back_from_then = "" if since is None else "AND greatest(r.occurred_at, p.occurred_at) >= %s"
    parameters: list[Any] = [merchant_id, customer_id] if since is None else [merchant_id, customer_id, since]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, amount, occurred_at, transaction_id, store_id FROM purchases"  # noqa: S608
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
    return sales, returns


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
    "find_purchase",
    "find_return",
    "history",
    "now",
    "record_purchase",
    "record_return",
    "standing_after_purchase",
    "standing_after_return",
    "standing_on_record",
]
