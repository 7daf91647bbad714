"""What of a purchase earns, and what a return takes of it."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from cloudpos.checkout.sales import quote_purchase
from customers.models import Customer
from loyalty.models import Program
from loyalty.rules import Basis, Line, RuleBook, Rules, Sale, TakeBack, replay
from loyalty.services import create_program, update_program
from tests.fixtures import Shop
from tests.loyalty.promoting import promote
from tests.tills import books, bring_back, findings, minutes, sell

STORE = uuid.UUID(int=1)
MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
GIFT, TEA, PIPE = Line("G-1", "Gift cards", 12_00), Line("T-1", "Tea", 20_00), Line("P-1", "Tobacco", 10_00)


def cents(basis: Basis, *lines: Line, amount: int, tax: int = 0, discount: int = 0) -> int:
    return basis.eligible_cents(cents=amount, tax_cents=tax, discount_cents=discount, lines=lines)


class TestTheRule:
    def test_tax_and_discount(self) -> None:
        assert cents(Basis(), amount=42_00, tax=7_00, discount=5_00) == 42_00
        assert cents(Basis(with_tax=False), amount=42_00, tax=7_00, discount=5_00) == 35_00
        assert cents(Basis(with_discount=True), amount=42_00, tax=7_00, discount=5_00) == 47_00
        assert (
            cents(Basis(with_tax=False, with_discount=True), amount=42_00, tax=7_00, discount=5_00) == 40_00
        )
        # Paid wholly by a voucher: no return gives money back, so none could take points.
        assert cents(Basis(with_discount=True), amount=0, discount=20_00) == 0
        assert cents(Basis(with_discount=True), amount=1, discount=19_99) == 20_00
        # A till that says more tax than amount.
        assert cents(Basis(with_tax=False), amount=1_00, tax=7_00) == 0

    def test_categories_and_articles_whatever_their_case(self) -> None:
        lines = (GIFT, TEA, PIPE)
        assert cents(Basis(categories_out=frozenset({"gift cards"})), *lines, amount=42_00) == 30_00
        assert cents(Basis(skus_out=frozenset({"p-1", "g-1"})), *lines, amount=42_00) == 20_00
        assert cents(Basis(categories_in=frozenset({"tea"})), *lines, amount=42_00) == 20_00
        both = Basis(categories_in=frozenset({"tea"}), skus_in=frozenset({"p-1"}))
        assert cents(both, *lines, amount=42_00) == 30_00
        # What is left out stays out.
        out = Basis(categories_in=frozenset({"tea"}), skus_out=frozenset({"t-1"}))
        assert cents(out, *lines, amount=42_00) == 0
        # No lines: nothing can be left out.
        assert cents(Basis(categories_in=frozenset({"tea"})), amount=42_00) == 42_00

    def test_a_discount_on_the_whole_is_shared_by_its_lines(self) -> None:
        out = Basis(categories_out=frozenset({"gift cards"}))
        assert cents(out, GIFT, TEA, PIPE, amount=21_00) == 15_00


def bought(*lines: Line) -> Sale:
    return Sale(uuid.UUID(int=1), sum(line.cents for line in lines), MORNING, ("T-1", STORE), lines=lines)


NO_GIFTS = RuleBook(
    ((None, Rules(Decimal(1), "down", basis=Basis(categories_out=frozenset({"gift cards"})))),)
)


def back(number: int, amount: int, *goods: tuple[Line, Fraction]) -> TakeBack:
    at = MORNING + timedelta(minutes=number)
    return TakeBack(uuid.UUID(int=100 + number), uuid.UUID(int=1), amount, at, (f"R-{number}", STORE), goods)


class TestReturnsByTheRule:
    def test_what_earned_nothing_takes_nothing(self) -> None:
        outcome = replay([bought(GIFT, TEA, PIPE)], [back(1, 12_00, (GIFT, Fraction(1)))], NO_GIFTS)
        assert outcome.balance == 30
        outcome = replay([bought(GIFT, TEA, PIPE)], [back(1, 20_00, (TEA, Fraction(1)))], NO_GIFTS)
        assert outcome.balance == 10
        # All that earned is back, though the gift card is not.
        all_of_it = [back(1, 10_00, (PIPE, Fraction(1))), back(2, 20_00, (TEA, Fraction(1)))]
        assert replay([bought(GIFT, TEA, PIPE)], all_of_it, NO_GIFTS).balance == 0

    def test_money_without_goods_takes_in_proportion(self) -> None:
        outcome = replay([bought(GIFT, TEA, PIPE)], [back(1, 21_00)], NO_GIFTS)
        assert outcome.balance == 15

    @given(data=st.data())
    def test_many_returns_take_what_one_takes_and_the_whole_takes_all(self, data: st.DataObject) -> None:
        """Of any sale, in any order, by goods, by money and by both: never more than earned, and all for all."""
        lines = tuple(
            Line(f"S-{number}", data.draw(st.sampled_from(["Tea", "Gift cards"])), price)
            for number, price in enumerate(
                data.draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=5))
            )
        )
        sale = bought(*lines)
        pieces: list[tuple[int, tuple[tuple[Line, Fraction], ...]]] = []
        for line in lines:
            parts = data.draw(st.integers(1, 4))
            for part in range(parts):
                money = line.cents * (part + 1) // parts - line.cents * part // parts
                by_goods = data.draw(st.booleans())
                pieces.append((money, ((line, Fraction(1, parts)),) if by_goods else ()))
        pieces = data.draw(st.permutations(pieces))
        kept = data.draw(st.integers(0, len(pieces)))
        backs = [back(number, *piece[:1], *piece[1]) for number, piece in enumerate(pieces, start=1)]
        earned = replay([sale], [], NO_GIFTS).balance
        outcome = replay([sale], backs, NO_GIFTS)
        taken = outcome.points[sale.id].taken
        assert all(points >= 0 for points in taken.values())
        assert outcome.balance == 0 and sum(taken.values()) == earned
        # A part of them, in another order: the same.
        some = backs[:kept]
        first = replay([sale], some, NO_GIFTS).balance
        again = [back(number, one.cents, *one.goods) for number, one in enumerate(reversed(some), start=1)]
        assert replay([sale], again, NO_GIFTS).balance == first
        # As one return of all of these goods.
        if some and all(one.goods for one in some):
            parts_of: dict[Line, Fraction] = {}
            for one in some:
                for line, part in one.goods:
                    parts_of[line] = parts_of.get(line, Fraction(0)) + part
            at_once = back(1, sum(one.cents for one in some), *parts_of.items())
            assert replay([sale], [at_once], NO_GIFTS).balance == first

    def test_a_program_may_let_customers_keep_their_points(self) -> None:
        book = RuleBook(((None, Rules(Decimal(1), "down", returns="keep")),))
        outcome = replay([bought(TEA)], [back(1, 20_00)], book)
        assert (outcome.balance, outcome.spend_cents) == (20, 0)


def test_what_is_paid_wholly_by_voucher_earns_nothing(shop: Shop, alice: Customer) -> None:
    create_program(merchant_id=shop.merchant.pk, earns_on_discount=True)
    promote(shop, points=5)
    voucher: dict[str, Any] = {"discount": Decimal("20.00")}
    receipt = sell(shop.access, alice, "T-1", "0.00", minutes(0), **voucher).receipt
    assert (receipt["pointsEarned"], receipt["explanation"][0]["points"]) == (0, 0)
    # A penny of money, and all of it earns, and goes back with the penny.
    assert sell(shop.access, alice, "T-2", "0.01", minutes(1), **voucher).receipt["pointsEarned"] == 25
    bring_back(shop.access, "T-2", "R-1")
    assert books(alice)["balance"] == 0
    assert findings(shop) == []


@pytest.fixture
def no_gifts(shop: Shop) -> Program:
    return create_program(merchant_id=shop.merchant.pk, categories_out=["Gift cards"], earns_on_tax=False)


ITEMS = [
    {"sku": "G-1", "category": "gift cards", "quantity": Decimal(1), "unit_price": Decimal("12.00")},
    {"sku": "T-1", "category": "Tea", "quantity": Decimal(4), "unit_price": Decimal("5.00")},
    {"sku": "P-1", "category": "", "quantity": Decimal("0.5"), "unit_price": Decimal("20.00")},
]


def buy(shop: Shop, alice: Customer, number: str = "T-1", minute: int = 0, **fields: Any) -> dict[str, Any]:
    said = {"items": ITEMS, "tax": Decimal("7.00"), **fields}
    return sell(shop.access, alice, number, "42.00", minutes(minute), **said).receipt


@pytest.mark.django_db
class TestAtTheTill:
    def test_the_receipt_says_what_earns(self, shop: Shop, no_gifts: Program, alice: Customer) -> None:
        receipt = buy(shop, alice)
        # 35.00 without the tax, of which 30 of 42.
        assert receipt["pointsEarned"] == 25
        assert receipt["explanation"] == [
            {
                "code": "base",
                "points": 25,
                "message": "25.00 GBP of 42.00 GBP earn: no points on the tax (7.00 GBP); no points on gift cards;"
                " at 1 point per GBP",
            }
        ]
        assert findings(shop) == []

    def test_the_quote_says_the_same(self, shop: Shop, no_gifts: Program, alice: Customer) -> None:
        said = {"customer_id": alice.pk, "amount": Decimal("42.00"), "tax": Decimal("7.00"), "items": ITEMS}
        quoted = quote_purchase(access=shop.access, sale=said)
        bought = buy(shop, alice)
        assert quoted["explanation"] == bought["explanation"]
        assert quoted["pointsEarned"] == bought["pointsEarned"]

    def test_returned_goods_take_what_they_earned(
        self, shop: Shop, no_gifts: Program, alice: Customer
    ) -> None:
        buy(shop, alice)

        def returned(number: str, sku: str, quantity: str, minute: int) -> tuple[int, int]:
            receipt = bring_back(
                shop.access, "T-1", number, at=minutes(minute),
                items=[{"sku": sku, "quantity": Decimal(quantity)}],
            ).receipt  # fmt: skip
            return receipt["pointsTaken"], receipt["balance"]

        assert returned("R-1", "G-1", "1", 1) == (0, 25)
        # 5 of 30: 4.16 of 25, cumulatively.
        assert returned("R-2", "T-1", "1", 2) == (4, 21)
        assert returned("R-3", "T-1", "3", 3) == (12, 9)
        receipt = bring_back(shop.access, "T-1", "R-4", at=minutes(4)).receipt
        assert (receipt["pointsTaken"], receipt["balance"]) == (9, 0)
        assert receipt["explanation"][0]["message"] == "42.00 of 42.00 returned: what these goods had earned"
        assert findings(shop) == []

    def test_late_sales_are_folded_with_their_lines(
        self, shop: Shop, no_gifts: Program, alice: Customer
    ) -> None:
        buy(shop, alice, "T-2", minute=10)
        buy(shop, alice, "T-1", minute=0)
        bring_back(shop.access, "T-2", "R-1", at=minutes(20), items=[{"line": 2, "quantity": Decimal(2)}])
        assert books(alice)["points"] == {"T-1": 25, "T-2": 17}
        assert findings(shop) == []

    def test_purchases_keep_the_basis_of_their_time(
        self, shop: Shop, no_gifts: Program, alice: Customer
    ) -> None:
        buy(shop, alice)
        update_program(merchant_id=shop.merchant.pk, categories_out=[], earns_on_tax=True)
        bring_back(shop.access, "T-1", "R-1", at=minutes(1), items=[{"line": 1, "quantity": Decimal(1)}])
        assert books(alice)["points"] == {"T-1": 25}
        assert findings(shop) == []

    def test_lines_are_read_only_when_they_matter(
        self, shop: Shop, program: Program, alice: Customer
    ) -> None:
        buy(shop, alice)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            buy(shop, alice, "T-0", minute=-5)
        assert not [query for query in queries if "FROM purchase_items" in query["sql"]]


def put(shop: Shop, **fields: Any) -> Any:
    sent = {"name": "Club", "pointsPerUnit": "1", "tiers": [], **fields}
    return shop.manager.put("/loyalty/program", sent)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"earnsOnTax": "yes"}, "earnsOnTax", "invalid"),
        ({"earnsOnDiscount": 1}, "earnsOnDiscount", "invalid"),
        ({"categoriesIn": "Tea"}, "categoriesIn", "not_a_list"),
        ({"categoriesIn": [""]}, "categoriesIn.0", "blank"),
        ({"categoriesOut": ["x" * 101]}, "categoriesOut.0", "max_length"),
        ({"skusOut": [f"S-{number}" for number in range(501)]}, "skusOut", "max_length"),
        ({"skusIn": [7]}, "skusIn.0", "invalid"),
        ({"categoriesIn": ["Tea"], "categoriesOut": [" TEA "]}, "categoriesOut", "invalid_policy"),
        ({"skusIn": ["a"], "skusOut": ["A"]}, "skusOut", "invalid_policy"),
        ({"storeIds": ["a"]}, "storeIds.0", "invalid"),
        ({"storeIds": [str(uuid.UUID(int=7))]}, "storeIds", "invalid_policy"),
        ({"pendingDays": -1}, "pendingDays", "min_value"),
        ({"pendingDays": 366}, "pendingDays", "max_value"),
        ({"pendingDays": 1.5}, "pendingDays", "invalid"),
        ({"pendingDays": True}, "pendingDays", "invalid"),
        ({"pendingDays": 2**31}, "pendingDays", "max_value"),
        ({"pendingDays": 28, "expiry": "after_earning", "expiryMonths": 1}, "pendingDays", "invalid_policy"),
        ({"returns": "never"}, "returns", "invalid_choice"),
        ({"shortfall": None}, "shortfall", "null"),
        ({"expiry": "after_inactivity"}, "expiryMonths", "invalid_expiry"),
        ({"expiry": "after_inactivity", "expiryMonths": 121}, "expiryMonths", "max_value"),
    ],
)
def test_what_is_wrong_is_named(shop: Shop, changed: dict[str, Any], field: str, code: str) -> None:
    response = put(shop, **changed)
    assert response.status_code == 400
    assert (field, code) in [(error["field"], error["code"]) for error in response.json()["errors"]]
    assert Program.objects.count() == 0


@pytest.mark.django_db
def test_foreign_stores_are_not_ours(shop: Shop, foreign_shop: Shop) -> None:
    response = put(shop, storeIds=[str(foreign_shop.store.pk)])
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "invalid_policy")
