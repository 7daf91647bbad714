"""`verify_ledger` finds a purchase, or a line of it, that says something else came back than its returns do."""

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from customers.models import Customer
from loyalty.models import Program
from loyalty.verification import Finding, verify
from tests.fixtures import Shop
from tests.tills import bring_back, findings, minutes, register, sell

pytestmark = pytest.mark.django_db

DAMAGE = {
    "a purchase of which more came back": "UPDATE purchases SET returned = returned + 1",
    "a purchase that forgot its returns": "UPDATE purchases SET returned = 0",
    "a purchase with another's returns": "UPDATE purchases SET returned = 30 - returned",
    "a lost return": "DELETE FROM purchase_returns WHERE transaction_id = 'R-1'",
    "a line of which more came back": "UPDATE purchase_items SET returned = returned + 0.001 WHERE unit_price = 40",
    "a line that forgot its returns": "UPDATE purchase_items SET returned = 0",
    "a line with another's returns": "UPDATE purchase_items SET returned = 2 - returned",
    "a return of no line": "UPDATE purchase_return_items SET line = 3",
}


@pytest.fixture
def sold(shop: Shop, program: Program, alice: Customer) -> None:
    """Two purchases: of one, 10.00 came back as money; of the other, both pieces of its first line, one by one."""
    items = [
        {"sku": sku, "quantity": Decimal(2), "unit_price": Decimal(price)}
        for sku, price in (("TEA", "10"), ("HAM", "40"))
    ]
    sell(shop.access, alice, "T-1", "100", minutes(0))
    sell(shop.access, alice, "T-2", "100", minutes(1), items=items)
    bring_back(shop.access, "T-1", "R-1", "10", minutes(2))
    for number in ("R-2", "R-3"):
        one = [{"line": 1, "quantity": Decimal(1)}]
        bring_back(shop.access, "T-2", number, None, minutes(3), items=one)


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def unguarded(*statements: str) -> None:
    """As triggers write, or as after a restore that went wrong."""
    execute("SET CONSTRAINTS ALL IMMEDIATE", "SET session_replication_role = replica", *statements)
    execute("SET session_replication_role = DEFAULT")


@pytest.mark.parametrize("name", DAMAGE)
def test_another_sum_is_found(shop: Shop, foreign_shop: Shop, sold: None, alice: Customer, name: str) -> None:
    assert findings(shop) == []
    unguarded(DAMAGE[name])
    sell(foreign_shop.access, register(foreign_shop, "Mallory"), "T-1", "100")
    found = {(finding.number, subject) for finding, subject in _offenders(shop) if finding.number == 23}
    assert found == {(23, alice.pk)}
    # Without the screens too, which overlook nothing.
    assert any(each.startswith("23: ") for each in findings(shop))
    assert _offenders(foreign_shop) == []


def _offenders(shop: Shop) -> list[tuple[Finding, object]]:
    return [
        (finding, subject)
        for _, finding in verify(merchant_id=shop.merchant.pk)
        if finding is not None
        for _, subject, _ in finding.offenders
    ]


def test_the_purchase_is_named(shop: Shop, sold: None, alice: Customer) -> None:
    unguarded(
        "UPDATE purchases SET returned = 99 WHERE transaction_id = 'T-1'",
        "UPDATE purchase_items SET returned = 1 WHERE line = 1",
    )
    out = StringIO()
    with pytest.raises(CommandError, match="2 of"):
        call_command("verify_ledger", stdout=out)
    for wrong in ("99.00 came back, by its returns 10.00", "line 1: 1.000 came back, by its returns 2.000"):
        assert wrong in out.getvalue()
    assert str(shop.merchant.pk) in out.getvalue()


def test_a_trigger_that_is_switched_off_is_found(shop: Shop, sold: None) -> None:
    execute(
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ALTER TABLE purchase_return_items DISABLE TRIGGER purchase_return_items_add_up",
    )
    (finding,) = [finding for _, finding in verify() if finding is not None]
    assert (finding.number, finding.offenders[0][1]) == (23, "purchase_return_items")
