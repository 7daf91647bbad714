"""Rows of a history as purchases and returns about to be recorded, and as a till would have sent them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from cloudpos.checkout.returns import return_hash
from cloudpos.checkout.sales import CENT, CHANNEL_DEFAULT, MILLI, PRICE, ZERO, purchase_hash
from cloudpos.ids import new_id
from cloudpos.tenancy.access import Access
from customers.purchases import Item, NewPurchase, NewReturn

Row = Mapping[str, Any]


@dataclass(slots=True)
class Step:
    """One purchase or return of a customer, in the order of the fold."""

    order: tuple[datetime, int, str, uuid.UUID]
    purchase: NewPurchase
    back: NewReturn | None = None
    row: Row = field(default_factory=dict)


def steps_of(sale: Row, *, access: Access, at: datetime) -> Iterator[Step]:
    """A purchase and its returns, worked out as far as they can be without the database."""
    purchase = new_purchase(sale, access=access, at=at)
    reference = (purchase.transaction_id, purchase.store_id)
    yield Step((purchase.occurred_at, 0, *reference), purchase, row=sale)
    for row in sale.get("returns") or ():
        back = new_return(row, purchase, access=access, at=at)
        counts_at = max(back.occurred_at, purchase.occurred_at)
        yield Step((counts_at, 1, back.transaction_id, back.store_id), purchase, back, row=row)


def new_purchase(sale: Row, *, access: Access, at: datetime) -> NewPurchase:
    items = [
        Item(
            sku=item.get("sku") or "",
            name=item.get("name") or "",
            category=item.get("category") or "",
            quantity=Decimal(item["quantity"]).quantize(MILLI),
            unit_price=Decimal(item["unit_price"]).quantize(PRICE),
            tax=Decimal(item.get("tax") or ZERO).quantize(CENT),
        )
        for item in sale.get("items") or ()
    ]
    content: dict[str, Any] = {
        "amount": Decimal(sale["amount"]).quantize(CENT),
        "tax": Decimal(sale.get("tax") or ZERO).quantize(CENT),
        "discount": Decimal(sale.get("discount") or ZERO).quantize(CENT),
        "currency": access.currency,
        "payment_method": sale.get("payment_method") or "",
        "channel": sale.get("channel") or CHANNEL_DEFAULT,
        "occurred_at": sale["occurred_at"],
        "items": items,
    }
    return NewPurchase(
        id=new_id(),
        merchant_id=access.merchant_id,
        store_id=sale["store_id"],
        transaction_id=sale["transaction_id"],
        recorded_at=at,
        content_hash=purchase_hash(**content),
        **content,
    )


def new_return(row: Row, purchase: NewPurchase, *, access: Access, at: datetime) -> NewReturn:
    items = [
        {"line": item["line"], "quantity": Decimal(item["quantity"]).quantize(MILLI)}
        for item in row.get("items") or ()
    ]
    amount = Decimal(row["amount"]).quantize(CENT)
    return NewReturn(
        id=new_id(),
        merchant_id=access.merchant_id,
        store_id=row["store_id"],
        purchase_id=purchase.id,
        transaction_id=row["transaction_id"],
        amount=amount,
        reason=row.get("reason") or "",
        occurred_at=row["occurred_at"],
        recorded_at=at,
        content_hash=return_hash(
            purchase_transaction_id=purchase.transaction_id,
            amount=amount,
            reason=row.get("reason") or "",
            occurred_at=row["occurred_at"],
            items=items,
        ),
        lines=[(item["line"], item["quantity"]) for item in items],
    )


def sale_as_sent(step: Step) -> dict[str, Any]:
    purchase = step.purchase
    return {
        "customer_id": step.row["customer_id"],
        "transaction_id": purchase.transaction_id,
        "amount": purchase.amount,
        "tax": purchase.tax,
        "discount": purchase.discount,
        "currency": purchase.currency,
        "payment_method": purchase.payment_method,
        "channel": purchase.channel,
        "occurred_at": purchase.occurred_at,
        "items": [
            {
                "sku": item.sku,
                "name": item.name,
                "category": item.category,
                "quantity": item.quantity,
                "unit_price": item.unit_price,
                "tax": item.tax,
            }
            for item in purchase.items
        ],
    }


def return_as_sent(step: Step) -> dict[str, Any]:
    assert step.back is not None
    return {
        "transaction_id": step.back.transaction_id,
        "purchase_store_id": step.purchase.store_id,
        "amount": step.back.amount,
        "reason": step.back.reason,
        "occurred_at": step.back.occurred_at,
        "items": [{"line": line, "quantity": quantity} for line, quantity in step.back.lines],
    }
