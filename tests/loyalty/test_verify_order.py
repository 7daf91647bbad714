"""The check of the order in which lots are used looks closely only where it has to, and still sees everything."""

from django.db import connection

from customers.models import Customer
from loyalty.models import Lot, Program
from tests.fixtures import Shop
from tests.tills import findings, minutes, move, sell


def take_from_instead(lot: Lot, other: Lot, points: int) -> None:
    """As if the redemption had taken from `lot` what it took from `other`."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE loyalty_allocations SET lot_id = %s WHERE lot_id = %s", [lot.pk, other.pk])
        cursor.execute("UPDATE loyalty_lots SET remaining = remaining - %s WHERE id = %s", [points, lot.pk])
        cursor.execute("UPDATE loyalty_lots SET remaining = remaining + %s WHERE id = %s", [points, other.pk])
        cursor.execute("SET session_replication_role = origin")


def test_a_later_lot_before_an_earlier_one(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "S-1", "100", minutes(0))
    sell(shop.access, alice, "S-2", "100", minutes(1))
    move(shop.access, alice, "redeemed", 60, "X-1")
    assert findings(shop) == []
    first, second = Lot.objects.for_merchant(shop.merchant).order_by("earned_at")
    take_from_instead(second, first, 60)
    (found,) = findings(shop)
    assert found.startswith("5: a redemption used up earlier lots before later ones")


def test_also_when_the_earlier_one_is_used_up_by_now(shop: Shop, program: Program, alice: Customer) -> None:
    sell(shop.access, alice, "S-1", "100", minutes(0))
    sell(shop.access, alice, "S-2", "100", minutes(1))
    move(shop.access, alice, "redeemed", 100, "X-1")
    first, second = Lot.objects.for_merchant(shop.merchant).order_by("earned_at")
    take_from_instead(second, first, 100)
    move(shop.access, alice, "redeemed", 100, "X-2")
    (found,) = findings(shop)
    assert "entry 3 took from lot" in found
    assert set(Lot.objects.for_merchant(shop.merchant).values_list("remaining", flat=True)) == {0}
