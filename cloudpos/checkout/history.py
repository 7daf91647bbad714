"""What a customer bought, with items and returns: a page in five queries, whatever its length."""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Any

from cloudpos.checkout import receipts
from cloudpos.checkout.serializers import PAST_PURCHASE, PurchaseFilters
from cloudpos.tenancy.access import Access
from customers.models import Purchase, PurchaseItem, PurchaseReturn, PurchaseReturnItem
from customers.services import visible_customer_id


def past_purchases(
    *, access: Access, customer_id: uuid.UUID, filters: PurchaseFilters
) -> tuple[list[dict[str, Any]], int, str | None]:
    """One page of a customer's purchases: rows, how many there are in all, and the next page's cursor.

    Raises CustomerNotFound; a merged customer's id shows those of the other.
    """
    visible = visible_customer_id(merchant_id=access.merchant_id, customer_id=customer_id)
    rows = filters.filter_queryset(
        Purchase.objects.for_merchant(access.merchant_id).filter(customer_id=visible)
    )
    found, following = filters.fetch(PAST_PURCHASE, rows)
    alone = following is None and filters.cursor is None and filters.page == 1
    total = len(found) if alone else rows.count()
    _add_items(access.merchant_id, found)
    _add_returns(access.merchant_id, found)
    return found, total, following


def _add_items(merchant_id: uuid.UUID, found: list[dict[str, Any]]) -> None:
    items = defaultdict(list)
    for item in (
        PurchaseItem.objects.for_merchant(merchant_id)
        .filter(purchase_id__in=[row["id"] for row in found])
        .order_by("purchase_id", "line")
    ):
        items[item.purchase_id].append(receipts.item_json(item.line, item))
    for row in found:
        row["items"] = items[row["id"]]


def _add_returns(merchant_id: uuid.UUID, found: list[dict[str, Any]]) -> None:
    numbers = {row["id"]: row["transactionId"] for row in found}
    backs = list(
        PurchaseReturn.objects.for_merchant(merchant_id)
        .filter(purchase_id__in=list(numbers))
        .defer("receipt", "content_hash")
        .order_by("occurred_at", "id")
    )
    lines = defaultdict(list)
    if backs:
        for return_id, line, quantity in (
            PurchaseReturnItem.objects.for_merchant(merchant_id)
            .filter(purchase_return_id__in=[back.pk for back in backs])
            .order_by("line")
            .values_list("purchase_return_id", "line", "quantity")
        ):
            lines[return_id].append((line, quantity))
    returns = defaultdict(list)
    for back in backs:
        returns[back.purchase_id].append(
            receipts.return_json(
                back,
                customer_id=back.customer_id,
                purchase_transaction_id=numbers[back.purchase_id],
                lines=lines[back.pk],
            )
        )
    for row in found:
        row["returns"] = returns[row["id"]]
