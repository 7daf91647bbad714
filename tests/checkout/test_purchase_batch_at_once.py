"""POST /purchases/batch beside other tills: threads with connections of their own."""

import threading
from typing import Any

import pytest
from django.db import connection

from cloudpos.checkout import sales
from loyalty.services import create_program
from tests.fixtures import make_shop
from tests.loyalty.promoting import promote
from tests.loyalty.test_concurrency import wait_for_a_lock
from tests.tills import findings, minutes, register, sell

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_batch_with_a_key_waits_for_nobody_who_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the promotion of its first sale to the end; whoever sells to its second customer wants that promotion."""
    shop = make_shop("Busy Shop")
    create_program(merchant_id=shop.merchant.pk)
    promotion = promote(shop, total_times=100)
    alice, bob = register(shop, "Alice"), register(shop, "Bob")
    sold_first = threading.Event()
    seen: list[Any] = []

    def other_till() -> None:
        try:
            sold_first.wait(timeout=10)
            seen.append(sell(shop.access, bob, "T-9", "10.00", minutes(9)).receipt["pointsEarned"])
        except Exception as exc:
            seen.append(exc)
        finally:
            connection.close()

    take = sales.record_sale

    def record(*, access: Any, sale: Any, at: Any) -> Any:
        taken = take(access=access, sale=sale, at=at)
        if sale["transaction_id"] == "T-1":
            sold_first.set()
            wait_for_a_lock()
        return taken

    monkeypatch.setattr(sales, "record_sale", record)
    till = threading.Thread(target=other_till)
    till.start()
    batch = [
        {"customerId": str(alice.pk), "transactionId": "T-1", "amount": "10.00"},
        {"customerNumber": bob.customer_number, "transactionId": "T-2", "amount": "10.00"},
        {"customerNumber": "0", "transactionId": "T-3", "amount": "10.00"},
    ]
    answer = shop.cashier.post("/purchases/batch", {"purchases": batch}, headers={"Idempotency-Key": "k"})
    till.join(timeout=30)
    assert answer.status_code == 200
    assert [result["status"] for result in answer.json()["data"]["results"]] == [201, 201, 404]
    assert seen == [110]
    promotion.refresh_from_db()
    assert promotion.used_times == 3
    assert findings(shop) == []
