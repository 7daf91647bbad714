"""Tiers in windows of time: at sales, by the review, and read in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from cloudpos.checkout.bulk import load_history
from cloudpos.checkout.sales import quote_purchase
from customers.models import Customer, Event
from loyalty.models import Enrollment, LedgerEntry, Program
from loyalty.reading import standing
from loyalty.rules import TierRule
from loyalty.services import (
    create_program,
    merchants_with_due_tiers,
    programs_with_stale_tiers,
    refresh_tiers,
    review_tiers,
    update_program,
)
from loyalty.tasks import review_due_tiers
from tests.fixtures import Shop
from tests.tills import bring_back, findings, sell

pytestmark = pytest.mark.django_db

TIERS = [
    TierRule("bronze", "Bronze", 0, Decimal("1")),
    TierRule("silver", "Silver", 100_00, Decimal("1.5"), ("Free coffee",)),
    TierRule("gold", "Gold", 300_00, Decimal("2")),
]
JANUARY = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
# The end of 10 January 2027 in London.
OVER = datetime(2027, 1, 11, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@pytest.fixture
def rolling(shop: Shop) -> Program:
    """Twelve months, lost at once."""
    return create_program(merchant_id=shop.merchant.pk, tiers=TIERS, tier_window="rolling", tier_months=12)


def sell_at(shop: Shop, customer: Customer, number: str, amount: str, at: datetime) -> dict[str, Any]:
    with time_machine.travel(at, tick=False):
        return sell(shop.access, customer, number, amount, at).receipt


def account_of(customer: Customer) -> Enrollment:
    return Enrollment.objects.get(customer_id=customer.pk)


def tier_now(customer: Customer) -> tuple[str, str]:
    """On the account and in lists."""
    return account_of(customer).tier, Customer.objects.defer("search").get(pk=customer.pk).tier


def changes(customer: Customer) -> list[tuple[str, str, str, datetime]]:
    return [
        (event.data["from"], event.data["to"], event.data["reason"], event.occurred_at)
        for event in Event.objects.filter(customer_id=customer.pk, type="tier.changed").order_by(
            "occurred_at", "pk"
        )
    ]


def read(shop: Shop, customer: Customer, at: datetime) -> dict[str, Any]:
    with time_machine.travel(at, tick=False):
        return standing(access=shop.access, customer_id=customer.pk)


class TestSales:
    def test_a_purchase_leaves_the_window(self, shop: Shop, rolling: Program, alice: Customer) -> None:
        first = sell_at(shop, alice, "T-1", "300", JANUARY)
        assert (first["tier"], first["nextTier"]) == ("gold", None)
        assert sell_at(shop, alice, "T-2", "10", OVER - timedelta(seconds=1))["pointsEarned"] == 20
        # The 300 of January are over: the 10 of the last evening count.
        last = sell_at(shop, alice, "T-3", "10", OVER)
        assert (last["pointsEarned"], last["tier"]) == (10, "bronze")
        assert last["nextTier"] == {
            "name": "Silver",
            "tier": "silver",
            "threshold": "100.00",
            "spendToReach": "80.00",
        }
        assert changes(alice) == [
            ("", "gold", "reached", JANUARY),
            ("gold", "bronze", "no_longer_reached", OVER),
        ]
        account = account_of(alice)
        assert (account.net_spend, account.qualifying_amount) == (Decimal("320.00"), Decimal("20.00"))
        with time_machine.travel(OVER, tick=False):
            assert findings(shop) == []

    def test_what_is_kept_of_the_account_says_enough_for_most_sales(
        self, shop: Shop, rolling: Program, alice: Customer
    ) -> None:
        """As many statements as in a program where all purchases count; one read of the history when something is over."""
        sell_at(shop, alice, "T-1", "100", JANUARY)
        sell_at(shop, alice, "T-2", "100", JANUARY + timedelta(days=10))

        def statements(number: str, at: datetime) -> int:
            with time_machine.travel(at, tick=False), CaptureQueriesContext(connection) as queries:
                sell(shop.access, alice, number, "10", at)
            return sum("SAVEPOINT" not in query["sql"] for query in queries)

        assert statements("T-3", JANUARY + timedelta(days=20)) == 3
        assert statements("T-4", OVER - timedelta(seconds=1)) == 3
        # The 100 of 10 January have left: two more to read what is left.
        assert statements("T-5", OVER) == 5
        assert statements("T-6", OVER + timedelta(hours=1)) == 3
        account = account_of(alice)
        assert (account.qualifying_amount, account.tier) == (Decimal("140.00"), "silver")
        assert account.amount_until == OVER + timedelta(days=10)
        with time_machine.travel(OVER + timedelta(hours=1), tick=False):
            assert findings(shop) == []

    def test_a_quote_sees_the_tier_of_its_moment(self, shop: Shop, rolling: Program, alice: Customer) -> None:
        sell_at(shop, alice, "T-1", "300", JANUARY)
        sale = {"customer_id": alice.pk, "transaction_id": "T-2", "amount": Decimal(10)}
        for at, points, tier in ((OVER - TICK, 20, "gold"), (OVER, 10, "bronze")):
            with time_machine.travel(at, tick=False):
                quote = quote_purchase(access=shop.access, sale=sale, at=at)
            assert (quote["pointsEarned"], quote["tier"]) == (points, tier)
        # Nothing was written.
        assert tier_now(alice) == ("gold", "gold")

    def test_an_offline_till_sends_what_was_before_the_review(
        self, shop: Shop, rolling: Program, alice: Customer
    ) -> None:
        sell_at(shop, alice, "T-1", "300", JANUARY)
        with time_machine.travel(OVER, tick=False):
            assert review_tiers(merchant_id=shop.merchant.pk) == 1
        told = len(changes(alice))
        # Sold the evening before: it earned as Gold, and nobody is told of a Gold that is over.
        with time_machine.travel(OVER + timedelta(hours=9), tick=False):
            receipt = sell(shop.access, alice, "T-2", "10", OVER - timedelta(hours=4)).receipt
            assert findings(shop) == []
        assert (receipt["pointsEarned"], receipt["tier"]) == (20, "bronze")
        assert len(changes(alice)) == told

    def test_returns_take_the_tier_back(self, shop: Shop, rolling: Program, alice: Customer) -> None:
        sell_at(shop, alice, "T-1", "300", JANUARY)
        sell_at(shop, alice, "T-2", "50", JANUARY + timedelta(days=1))
        later = JANUARY + timedelta(days=2)
        with time_machine.travel(later, tick=False):
            bring_back(shop.access, "T-1", "R-1", "250", later)
            assert findings(shop) == []
        assert tier_now(alice) == ("silver", "silver")
        assert account_of(alice).qualifying_amount == Decimal("100.00")
        sell_at(shop, alice, "T-3", "10", later + timedelta(days=1))
        assert LedgerEntry.objects.get(purchase__transaction_id="T-3").points == 15

    def test_points_count_where_the_program_says_so(self, shop: Shop, alice: Customer) -> None:
        create_program(
            merchant_id=shop.merchant.pk,
            tiers=TIERS,
            points_per_unit=Decimal(2),
            tier_metric="points",
            tier_window="calendar_year",
        )
        receipt = sell_at(shop, alice, "T-1", "60", JANUARY)
        # 120 points of 100; 180 more are 60 pounds at 2 x 1.5.
        assert (receipt["pointsEarned"], receipt["tier"]) == (120, "silver")
        assert receipt["nextTier"] == {
            "name": "Gold",
            "tier": "gold",
            "threshold": "300.00",
            "spendToReach": "60.00",
            "pointsToReach": 180,
        }
        assert sell_at(shop, alice, "T-2", "60", JANUARY + timedelta(days=1))["tier"] == "gold"
        new_year = datetime(2027, 1, 1, tzinfo=UTC)
        assert sell_at(shop, alice, "T-3", "10", new_year)["pointsEarned"] == 20
        with time_machine.travel(new_year, tick=False):
            assert findings(shop) == []

    def test_a_late_purchase_is_folded_with_the_whole_history(
        self, shop: Shop, rolling: Program, alice: Customer, bob: Customer
    ) -> None:
        days = [("A", "90", 0), ("B", "40", 30), ("C", "200", 200), ("D", "50", 370), ("E", "10", 380)]
        for customer, order in ((alice, "ABCDE"), (bob, "DBEAC")):
            for name, amount, day in sorted(days, key=lambda row: order.index(row[0])):
                at = JANUARY + timedelta(days=day)
                with time_machine.travel(JANUARY + timedelta(days=380), tick=False):
                    sell(shop.access, customer, f"{customer.first_name}-{name}", amount, at)
        points = [
            dict(
                LedgerEntry.objects.filter(enrollment__customer_id=customer.pk)
                .values_list("purchase__occurred_at")
                .annotate(points=Sum("points"))
                .order_by("purchase__occurred_at")
            )
            for customer in (alice, bob)
        ]
        # 90; 40 more and Silver; 330 at C and Gold. D: A is over, 240 and Silver. E: 290.
        assert list(points[0].values()) == [90, 40, 300, 75, 15]
        assert points[0] == points[1]
        columns = ("balance", "tier", "net_spend", "qualifying_amount", "amount_until", "last_activity_at")
        states = Enrollment.objects.order_by("pk").values_list(*columns)
        assert states[0] == states[1]
        with time_machine.travel(JANUARY + timedelta(days=380), tick=False):
            assert findings(shop) == []


class TestReview:
    def test_it_writes_down_what_is_so_anyway(
        self, shop: Shop, rolling: Program, alice: Customer, bob: Customer
    ) -> None:
        sell_at(shop, alice, "T-1", "300", JANUARY)
        sell_at(shop, bob, "T-2", "300", JANUARY + timedelta(days=1))
        with time_machine.travel(OVER - TICK, tick=False):
            assert merchants_with_due_tiers(at=OVER - TICK) == []
            assert review_due_tiers() == 0
        assert read(shop, alice, OVER - TICK)["tier"] == "gold"
        assert read(shop, alice, OVER)["tier"] == "bronze"
        assert tier_now(alice) == ("gold", "gold")
        with time_machine.travel(OVER, tick=False):
            assert merchants_with_due_tiers(at=OVER) == [shop.merchant.pk]
            assert review_due_tiers() == 1
            assert review_due_tiers() == 0
            assert findings(shop) == []
        assert (tier_now(alice), tier_now(bob)) == (("bronze", "bronze"), ("gold", "gold"))
        event = Event.objects.filter(customer_id=alice.pk).latest("pk")
        assert event.occurred_at == OVER
        assert event.data == {"from": "gold", "to": "bronze", "reason": "no_longer_reached", "until": None}

    def test_days_that_nobody_was_there_are_told_one_by_one(
        self, shop: Shop, rolling: Program, alice: Customer
    ) -> None:
        sell_at(shop, alice, "T-1", "200", JANUARY)
        sell_at(shop, alice, "T-2", "100", JANUARY + timedelta(days=5))
        much_later = OVER + timedelta(days=100)
        with time_machine.travel(much_later, tick=False):
            out = StringIO()
            call_command("review_tiers", "--dry-run", stdout=out)
            assert out.getvalue() == "1 tiers are to be reviewed.\n"
            call_command("review_tiers", "--merchant", shop.merchant.slug, stdout=out)
            assert "1 tiers changed." in out.getvalue()
            assert findings(shop) == []
        assert changes(alice) == [
            ("", "silver", "reached", JANUARY),
            ("silver", "gold", "reached", JANUARY + timedelta(days=5)),
            ("gold", "silver", "no_longer_reached", OVER),
            ("silver", "bronze", "no_longer_reached", OVER + timedelta(days=5)),
        ]

    def test_period_end_keeps_a_tier_for_another_period(self, shop: Shop, alice: Customer) -> None:
        create_program(
            merchant_id=shop.merchant.pk,
            tiers=TIERS,
            tier_window="calendar_year",
            tier_downgrade="period_end",
            tier_grace_days=31,
        )
        sell_at(shop, alice, "T-1", "300", JANUARY)
        kept = read(shop, alice, datetime(2027, 6, 1, tzinfo=UTC))
        assert kept["tier"] == "gold"
        assert kept["why"] == {
            "code": "kept",
            "message": "Gold was reached on 2026-01-10 and is kept until 2028-01-31",
            "until": datetime(2028, 2, 1, tzinfo=UTC),
        }
        assert kept["qualifying"]["amount"] == "0.00"
        assert read(shop, alice, datetime(2028, 1, 31, 23, tzinfo=UTC))["tier"] == "gold"
        with time_machine.travel(datetime(2028, 2, 1, tzinfo=UTC), tick=False):
            assert review_due_tiers() == 1
        assert changes(alice)[-1] == ("gold", "bronze", "no_longer_reached", datetime(2028, 2, 1, tzinfo=UTC))

    def test_a_program_that_begins_to_count_otherwise(
        self, shop: Shop, program: Program, alice: Customer, bob: Customer
    ) -> None:
        """From all purchases to those of twelve months: members follow in the background, and at once when they are seen."""
        sell_at(shop, alice, "T-1", "2000", JANUARY)
        sell_at(shop, bob, "T-2", "2000", JANUARY + timedelta(days=300))
        changed = OVER + timedelta(days=10)
        with time_machine.travel(changed, tick=False):
            update_program(merchant_id=shop.merchant.pk, tier_window="rolling", tier_months=12)
            assert standing(access=shop.access, customer_id=alice.pk)["tier"] == "bronze"
            assert programs_with_stale_tiers() == [program.pk]
            assert refresh_tiers(program_id=program.pk) == 1
            assert programs_with_stale_tiers() == []
            assert refresh_tiers(program_id=program.pk) == 0
            assert findings(shop) == []
        assert (tier_now(alice), tier_now(bob)) == (("bronze", "bronze"), ("gold", "gold"))
        assert changes(alice)[-1][2:] == ("rules_changed", changed)
        # Another rate decides no tier otherwise.
        with time_machine.travel(changed, tick=False):
            update_program(merchant_id=shop.merchant.pk, points_per_unit=Decimal(3))
            assert programs_with_stale_tiers() == []
            update_program(merchant_id=shop.merchant.pk, tier_window="lifetime")
            assert standing(access=shop.access, customer_id=alice.pk)["tier"] == "gold"
            assert refresh_tiers(program_id=program.pk) == 1
            sell(shop.access, alice, "T-3", "10")
            assert findings(shop) == []


class TestBulk:
    def test_a_loaded_history_has_its_changes_on_their_days(
        self, shop: Shop, rolling: Program, alice: Customer
    ) -> None:
        def row(number: str, amount: int, day: int) -> dict[str, Any]:
            at = JANUARY + timedelta(days=day)
            return {
                "customer_id": alice.pk,
                "store_id": shop.store.pk,
                "transaction_id": number,
                "amount": Decimal(amount),
                "occurred_at": at,
            }

        with time_machine.travel(OVER + timedelta(days=900), tick=False):
            load_history(
                access=shop.access, sales=[row("T-1", 300, 0), row("T-2", 10, 400), row("T-3", 100, 401)]
            )
            assert findings(shop) == []
            load_history(access=shop.access, sales=[row("T-4", 10, 402)])
            assert findings(shop) == []
        sold = [JANUARY + timedelta(days=day) for day in (0, 400, 401)]
        assert changes(alice) == [
            ("", "gold", "reached", sold[0]),
            ("gold", "bronze", "no_longer_reached", OVER),
            ("bronze", "silver", "reached", sold[2]),
            ("silver", "bronze", "no_longer_reached", datetime(2028, 2, 16, tzinfo=UTC)),
        ]
        points = (
            LedgerEntry.objects.filter(type="earned").order_by("occurred_at").values_list("points", flat=True)
        )
        assert list(points) == [300, 10, 100, 15]
        assert tier_now(alice) == ("bronze", "bronze")


@pytest.mark.parametrize(
    "wrong",
    [
        {"tier_window": "rolling", "tier_months": None},
        {"tier_window": "rolling", "tier_months": 121},
        {"tier_window": "lifetime", "tier_months": 12},
        {"tier_window": "lifetime", "tier_grace_days": 1},
        {"tier_window": "lifetime", "tier_downgrade": "never"},
        {"tier_window": "calendar_year", "tier_downgrade": "never", "tier_grace_days": 1},
        {"tier_metric": "visits"},
    ],
)
def test_the_database_refuses_what_does_not_go_together(program: Program, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="loyalty_programs_tier_"), transaction.atomic():
        Program.objects.filter(pk=program.pk).update(**wrong)
