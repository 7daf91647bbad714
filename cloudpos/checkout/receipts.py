"""What a till gets back: the purchase or return, what it did to the customer's points, and why.

The part that depends on the moment (points, balance, tier) is stored with the row and given again when the till repeats
itself; the rest is read from the row, which never changes. Nothing in it is personal data.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from customers.models import Purchase, PurchaseReturn
from customers.purchases import Item, NewPurchase, NewReturn
from loyalty.ledger import Account
from loyalty.rules import KEEP, Sale, SalePoints, explain, from_cents, plain
from loyalty.rules.promotions import said, why_not
from loyalty.services.postings import Posting

CENT = Decimal("0.01")


def content_hash(content: Mapping[str, Any]) -> bytes:
    """SHA-256 of what a till said about a sale or return, in canonical JSON: who repeats it says the same."""
    return hashlib.sha256(orjson.dumps(content, default=_exact, option=orjson.OPT_SORT_KEYS)).digest()


def _exact(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no canonical form")


# --- Standing ---------------------------------------------------------------------------------------------------


def standing(account: Account | None) -> dict[str, Any]:
    """Balance, what of it cannot be spent yet, tier and what is missing to the next one."""
    if account is None:
        return {"balance": 0, "pending": 0, "tier": None, "nextTier": None}
    return {
        "balance": account.balance,
        "pending": account.pending,
        "tier": account.tier or None,
        "nextTier": next_tier(account),
    }


def next_tier(account: Account) -> dict[str, Any] | None:
    """The next step of the ladder, and what is missing to it; None at the top."""
    following = account.next_tier()
    if following is None:
        return None
    tier = following.tier
    found: dict[str, Any] = {
        # As the stored receipt has its keys (jsonb: the shorter first), so that a repetition reads like the first.
        "name": tier.name,
        "tier": tier.code,
        "threshold": str(from_cents(tier.threshold_cents)),
        "spendToReach": None if following.spend_cents is None else str(from_cents(following.spend_cents)),
    }
    if following.points is not None:
        found["pointsToReach"] = following.points
    return found


NO_PROGRAM = {"code": "no_program", "points": 0, "message": "This merchant has no active loyalty program"}


def purchase_outcome(
    *, customer_id: uuid.UUID, sale: Sale, currency: str, account: Account | None, posting: Posting | None
) -> dict[str, Any]:
    """The stored part of a purchase's receipt."""
    if account is None or posting is None or posting.sale is None:
        return {
            "customerId": str(customer_id),
            "pointsEarned": 0,
            **standing(None),
            "explanation": [NO_PROGRAM],
        }
    lines = explain(account.book.at(sale.at), sale, posting.sale, currency=currency, awards=posting.awards)
    lines += _waiting(account, posting.sale) + _corrections(posting)
    return {
        "customerId": str(customer_id),
        "pointsEarned": posting.sale.gross,
        **standing(account),
        "explanation": lines,
    }


def return_outcome(
    *,
    customer_id: uuid.UUID,
    sold: Decimal,
    returned: Decimal,
    account: Account | None,
    posting: Posting | None,
) -> dict[str, Any]:
    """The stored part of a return's receipt. `returned` is the sum of the sale's returns with this one."""
    if account is None or posting is None:
        return {
            "customerId": str(customer_id),
            "pointsTaken": 0,
            "pointsShortfall": 0,
            **standing(None),
            "explanation": [NO_PROGRAM],
        }
    taken = posting.taken - posting.taken_short
    lines = [{"code": "proportion", "points": -posting.taken, "message": _share(posting, sold, returned)}]
    if account.balance < 0:
        message = f"{-account.balance} owed: later points fill that first"
        lines.append({"code": "owed", "points": 0, "message": message})
    if posting.taken_short:
        lines.append(
            {
                "code": "shortfall",
                "points": posting.taken_short,
                "message": "Points already spent: the balance does not go below zero",
            }
        )
    return {
        "customerId": str(customer_id),
        "pointsTaken": taken,
        "pointsShortfall": posting.taken_short,
        **standing(account),
        "explanation": lines + _corrections(posting),
    }


def promotions_tried(posting: Posting | None, *, currency: str) -> list[dict[str, Any]]:
    """What each promotion whose time the purchase is in gives, and why the others give nothing."""
    return [
        {
            "promotionId": given.promotion.id,
            "name": given.promotion.name,
            "points": given.points,
            "reason": given.reason or None,
            "message": said(given, currency=currency) if given.applies else why_not(given),
        }
        for given in (posting.awards if posting is not None else ())
    ]


def _share(posting: Posting, sold: Decimal, returned: Decimal) -> str:
    rules = posting.origin.rules if posting.origin is not None else None
    if rules is not None and rules.returns == KEEP:
        return f"{returned} of {sold} returned: the customer keeps the points"
    if rules is not None and rules.basis.by_line:
        return f"{returned} of {sold} returned: what these goods had earned"
    return f"{returned} of {sold} returned: its share of the purchase's points"


def _waiting(account: Account, earned: SalePoints) -> list[dict[str, Any]]:
    """From when on the points of a purchase can be spent, if that is later."""
    ready_at = account.book.available_at(earned.sale.at)
    rules = earned.rules
    if not earned.gross or ready_at is None or ready_at <= account.at or rules is None or not rules.pending:
        return []
    day = ready_at.astimezone(ZoneInfo(rules.pending.timezone)).date()
    message = f"These points can be spent from {day.isoformat()} on"
    return [{"code": "pending", "points": 0, "message": message}]


def _corrections(posting: Posting) -> list[dict[str, Any]]:
    if not posting.corrected_sales:
        return []
    purchases = (
        "1 other purchase" if posting.corrected_sales == 1 else f"{posting.corrected_sales} other purchases"
    )
    return [
        {
            "code": "corrected",
            "points": posting.corrected,
            "message": f"Arrived late: {purchases} corrected, beside the points above",
        }
    ]


# --- Purchases and returns as JSON --------------------------------------------------------------------------------


def price(amount: Decimal) -> str:
    """Two decimal places, more where there are more."""
    rounded = amount.quantize(CENT)
    return str(rounded) if rounded == amount else plain(amount)


def item_json(line: int, item: Any) -> dict[str, Any]:
    return {
        "line": line,
        "sku": item.sku,
        "name": item.name,
        "category": item.category,
        "quantity": plain(item.quantity),
        "unitPrice": price(item.unit_price),
        "tax": str(item.tax),
    }


def purchase_json(
    purchase: NewPurchase | Purchase, *, customer_id: Any, items: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "id": purchase.id,
        "customerId": customer_id,
        "storeId": purchase.store_id,
        "transactionId": purchase.transaction_id,
        "amount": str(purchase.amount),
        "tax": str(purchase.tax),
        "discount": str(purchase.discount),
        "currency": purchase.currency,
        "paymentMethod": purchase.payment_method,
        "channel": purchase.channel,
        "items": items,
        "occurredAt": purchase.occurred_at,
        "recordedAt": purchase.recorded_at,
    }


def items_json(items: Iterable[Item]) -> list[dict[str, Any]]:
    """New items, numbered from 1 as sent."""
    return [item_json(line, item) for line, item in enumerate(items, start=1)]


def purchase_receipt(
    purchase: NewPurchase | Purchase, outcome: Mapping[str, Any], items: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The whole answer to POST /purchases."""
    return {
        "purchase": purchase_json(purchase, customer_id=outcome["customerId"], items=items),
        "pointsEarned": outcome["pointsEarned"],
        "balance": outcome["balance"],
        # Receipts of before there were any say nothing.
        "pending": outcome.get("pending", 0),
        "tier": outcome["tier"],
        "nextTier": outcome["nextTier"],
        "explanation": outcome["explanation"],
    }


def return_json(
    back: NewReturn | PurchaseReturn,
    *,
    customer_id: Any,
    purchase_transaction_id: str,
    lines: Iterable[tuple[int, Decimal]],
) -> dict[str, Any]:
    return {
        "id": back.id,
        "purchaseId": back.purchase_id,
        "purchaseTransactionId": purchase_transaction_id,
        "customerId": customer_id,
        "storeId": back.store_id,
        "transactionId": back.transaction_id,
        "amount": str(back.amount),
        "reason": back.reason,
        "items": [{"line": line, "quantity": plain(quantity)} for line, quantity in lines],
        "occurredAt": back.occurred_at,
        "recordedAt": back.recorded_at,
    }


def return_receipt(
    back: NewReturn | PurchaseReturn,
    outcome: Mapping[str, Any],
    *,
    purchase_transaction_id: str,
    lines: Iterable[tuple[int, Decimal]],
) -> dict[str, Any]:
    """The whole answer to POST /purchases/{transactionId}/returns."""
    return {
        "return": return_json(
            back,
            customer_id=outcome["customerId"],
            purchase_transaction_id=purchase_transaction_id,
            lines=lines,
        ),
        "pointsTaken": outcome["pointsTaken"],
        "pointsShortfall": outcome["pointsShortfall"],
        "balance": outcome["balance"],
        "pending": outcome.get("pending", 0),
        "tier": outcome["tier"],
        "nextTier": outcome["nextTier"],
        "explanation": outcome["explanation"],
    }


# --- Events -----------------------------------------------------------------------------------------------------


def sold_event(purchase: NewPurchase) -> tuple[str, dict[str, Any], datetime]:
    """Type, data and time of the event that a sale emits."""
    data = {
        "purchaseId": str(purchase.id),
        "storeId": str(purchase.store_id),
        "amount": str(purchase.amount),
        "currency": purchase.currency,
        "transactionId": purchase.transaction_id,
    }
    return "purchase.recorded", data, purchase.occurred_at


def returned_event(back: NewReturn, purchase: NewPurchase | Purchase) -> tuple[str, dict[str, Any], datetime]:
    """Type, data and time of the event that a return emits."""
    data = {
        "returnId": str(back.id),
        "purchaseId": str(purchase.id),
        "storeId": str(back.store_id),
        "amount": str(back.amount),
        "currency": purchase.currency,
        "transactionId": back.transaction_id,
        "purchaseTransactionId": purchase.transaction_id,
    }
    return "purchase.returned", data, back.occurred_at
