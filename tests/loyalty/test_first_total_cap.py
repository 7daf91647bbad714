"""A promotion gets its first total cap while sales that give of it are under way: what they give is counted."""

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from cloudpos.checkout import sales
from cloudpos.checkout.bulk import chunk, load_history
from customers.models import Purchase
from loyalty.ledger import PromotionCapped
from loyalty.models import Promotion
from loyalty.services import create_program
from loyalty.services.promotions import update_promotion
from tests.fixtures import Shop, make_shop
from tests.loyalty.promoting import promote
from tests.loyalty.test_concurrency import wait_for_a_lock
from tests.tills import findings, minutes, register, sell

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def busy_shop(transactional_db: None) -> Shop:
    shop = make_shop("Busy Shop")
    create_program(merchant_id=shop.merchant.pk)
    return shop


def capping(promotion: Promotion) -> threading.Thread:
    """A manager's change, in a session of its own."""

    def cap() -> None:
        try:
            update_promotion(
                merchant_id=promotion.merchant_id, promotion_id=promotion.pk, changes={"total_times": 5}
            )
        finally:
            connection.close()

    return threading.Thread(target=cap)


def capped_once(promotion: Promotion, work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, before whose first call the promotion gets its cap."""
    manager = capping(promotion)

    def run(*args: Any, **kwargs: Any) -> Any:
        if manager.ident is None:
            manager.start()
            manager.join(timeout=30)
        return work(*args, **kwargs)

    return run


def test_a_sale_that_has_written_is_waited_for(busy_shop: Shop) -> None:
    promotion = promote(busy_shop)
    alice = register(busy_shop, "Alice")
    manager = capping(promotion)
    with transaction.atomic():
        said = {
            "customer_id": alice.pk,
            "transaction_id": "T-1",
            "amount": Decimal(10),
            "occurred_at": minutes(0),
        }
        sales.record_sale(access=busy_shop.access, sale=said, at=now())
        manager.start()
        wait_for_a_lock()
    manager.join(timeout=30)
    promotion.refresh_from_db()
    assert (promotion.total_times, promotion.used_times) == (5, 1)
    assert findings(busy_shop) == []


def test_a_sale_that_has_not_written_is_done_again(busy_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    promotion = promote(busy_shop)
    alice = register(busy_shop, "Alice")
    monkeypatch.setattr(sales, "send", capped_once(promotion, sales.send))
    with pytest.raises(PromotionCapped):
        sell(busy_shop.access, alice, "T-1", "10.00", minutes(0))
    assert Purchase.objects.count() == 0
    assert sell(busy_shop.access, alice, "T-1", "10.00", minutes(0)).receipt["pointsEarned"] == 110
    promotion.refresh_from_db()
    assert (promotion.total_times, promotion.used_times) == (5, 1)
    assert findings(busy_shop) == []


def test_a_history_that_is_being_loaded_is_loaded_again(
    busy_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    promotion = promote(busy_shop)
    monkeypatch.setattr(chunk, "copy_rows", capped_once(promotion, chunk.copy_rows))
    rows = [
        {
            "customer_id": register(busy_shop, f"Person {number}").pk,
            "store_id": busy_shop.store.pk,
            "transaction_id": f"T-{number}",
            "amount": Decimal("10.00"),
            "occurred_at": minutes(number),
            "returns": [],
        }
        for number in range(8)
    ]
    report = load_history(access=busy_shop.access, sales=rows)
    assert report.purchases == 8
    promotion.refresh_from_db()
    assert (promotion.total_times, promotion.used_times) == (5, 5)
    assert findings(busy_shop) == []
