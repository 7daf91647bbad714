"""Selling and taking back in tests, through the services, and what a customer's books say afterwards."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from cloudpos.checkout.returns import return_purchase
from cloudpos.checkout.sales import Taken, take_purchase
from cloudpos.tenancy.access import Access
from customers.models import Customer, Purchase
from customers.services import create_customer
from loyalty.models import Enrollment, LedgerEntry, Shortfall
from loyalty.services import post_points
from loyalty.services.points import Answer
from loyalty.verification import verify, verify_replay
from tests.fixtures import Shop

MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def minutes(number: int) -> datetime:
    """Some minutes after the morning on which these tests play."""
    return MORNING + timedelta(minutes=number)


def register(shop: Shop, name: str, **fields: Any) -> Customer:
    return create_customer(access=shop.access, data={"first_name": name, **fields})


def sell(
    access: Access,
    customer: Customer,
    transaction_id: str,
    amount: str,
    at: datetime | None = None,
    **fields: Any,
) -> Taken:
    sale = {
        "customer_id": customer.pk,
        "transaction_id": transaction_id,
        "amount": Decimal(amount),
        "occurred_at": at,
        **fields,
    }
    return take_purchase(access=access, sale=sale)


def bring_back(
    access: Access,
    purchase: str,
    transaction_id: str,
    amount: str | None = None,
    at: datetime | None = None,
    **fields: Any,
) -> Taken:
    back = {
        "transaction_id": transaction_id,
        "amount": None if amount is None else Decimal(amount),
        "occurred_at": at,
        **fields,
    }
    return return_purchase(access=access, purchase_transaction_id=purchase, back=back)


def move(
    access: Access, customer: Customer, type: str, points: int, transaction_id: str = "", **fields: Any
) -> Answer:
    return post_points(
        access=access,
        customer_id=customer.pk,
        type=type,
        points=points,
        transaction_id=transaction_id,
        **fields,
    )


def books(customer: Customer) -> dict[str, Any]:
    """Everything that must not depend on the order in which tills sent a history."""
    customer = Customer.objects.defer("search").get(pk=customer.pk)
    account = Enrollment.objects.filter(customer_id=customer.pk).first()
    points = dict.fromkeys(
        Purchase.objects.filter(customer_id=customer.pk).values_list("transaction_id", flat=True), 0
    )
    for transaction_id, entry_points in LedgerEntry.objects.filter(
        purchase__customer_id=customer.pk
    ).values_list("purchase__transaction_id", "points"):
        points[transaction_id] += entry_points
    return {
        "balance": account.balance if account else 0,
        "shown": customer.points,
        "tier": (account.tier if account else "", customer.tier),
        "spend": (account.net_spend if account else None, customer.total_spent),
        "visits": (customer.visit_count, customer.first_visit_at, customer.last_visit_at),
        "last_activity": account.last_activity_at if account else None,
        "points": points,
        "shortfall": sum(
            Shortfall.objects.filter(purchase__customer_id=customer.pk).values_list("points", flat=True)
        ),
    }


def findings(shop: Shop) -> list[str]:
    """What `verify_ledger --full` would complain of."""
    found = [
        finding for _, finding in verify(merchant_id=shop.merchant.pk, exact=True) if finding is not None
    ]
    screened = [finding for _, finding in verify(merchant_id=shop.merchant.pk) if finding is not None]
    assert screened == found, "a screen overlooks something, or sees what is not there"
    replayed = verify_replay(merchant_id=shop.merchant.pk)
    if replayed is not None:
        found.append(replayed)
    return [f"{finding.number}: {finding.says}: {finding.offenders}" for finding in found]
