"""Points end at their instant, whether or not the sweep has been."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import IntegrityError, transaction

from cloudpos.checkout.sales import quote_purchase, take_purchase
from customers.models import Customer, Event
from loyalty.ledger import balance
from loyalty.models import Allocation, Enrollment, LedgerEntry, Lot, Program, ProgramVersion, Shortfall
from loyalty.reading import standing
from loyalty.rules import Expiry, Rules
from loyalty.services import (
    Expired,
    InsufficientPoints,
    create_program,
    expire_lots,
    merchants_with_due_lots,
    read_accounts,
    update_program,
)
from loyalty.services import expiry as expiry_service
from loyalty.tasks import expire_points
from tests.fixtures import Shop, make_shop
from tests.tills import books, bring_back, findings, move, register, sell

pytestmark = pytest.mark.django_db

JANUARY = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
# Three months, to the end of the day: London is an hour ahead by then.
OVER = datetime(2026, 4, 15, 23, 0, tzinfo=UTC)
BEFORE, AFTER = OVER - timedelta(minutes=1), OVER + timedelta(minutes=1)


@pytest.fixture
def expiring(shop: Shop) -> Program:
    return create_program(
        merchant_id=shop.merchant.pk, expiry="after_earning", expiry_months=3, begins_at=JANUARY
    )


def entries(customer: Customer) -> list[tuple[str, int, int]]:
    return list(
        LedgerEntry.objects.filter(enrollment__customer_id=customer.pk)
        .order_by("version")
        .values_list("type", "points", "balance_after")
    )


class TestWhen:
    @pytest.mark.parametrize(
        ("expiry", "earned", "ends"),
        [
            (Expiry(3, False, "Europe/London"), "2026-01-15T12:00+00:00", "2026-04-15T23:00+00:00"),
            (Expiry(3, True, "Europe/London"), "2026-01-15T12:00+00:00", "2026-04-30T23:00+00:00"),
            # It is the 1st of February already in Kolkata, half past five in the morning.
            (Expiry(1, True, "Asia/Kolkata"), "2026-02-01T00:00+00:00", "2026-03-31T18:30+00:00"),
            (Expiry(1, False, "UTC"), "2026-01-31T23:59+00:00", "2026-03-01T00:00+00:00"),
            (Expiry(1, False, "UTC"), "2028-01-31T23:59+00:00", "2028-03-01T00:00+00:00"),
            (Expiry(12, False, "UTC"), "2028-02-29T00:00+00:00", "2029-03-01T00:00+00:00"),
            (Expiry(11, False, "UTC"), "2026-01-31T00:00+00:00", "2027-01-01T00:00+00:00"),
            # Cairo's clocks leave out the midnight at which 24 April 2026 begins.
            (Expiry(1, False, "Africa/Cairo"), "2026-03-23T12:00+00:00", "2026-04-23T22:00+00:00"),
        ],
    )
    def test_points_end_at_a_midnight_of_the_merchants(self, expiry: Expiry, earned: str, ends: str) -> None:
        assert expiry.ends_at(datetime.fromisoformat(earned)) == datetime.fromisoformat(ends)

    def test_rules_stored_before_there_was_an_expiry_have_none(self) -> None:
        rules = Rules.from_json({"pointsPerUnit": "1", "rounding": "down", "tiers": []})
        assert (rules.expiry, rules.grace_days, rules.expires_at(JANUARY)) == (None, 0, None)
        assert Rules.from_json(rules.as_json()) == rules

    def test_rules_are_stored_with_their_zone(self) -> None:
        rules = Rules(Decimal(1), "down", (), Expiry(6, True, "Asia/Tokyo"), 14)
        assert Rules.from_json(rules.as_json()) == rules

    def test_a_sale_earns_points_that_last_by_the_rules_of_its_moment(
        self, shop: Shop, expiring: Program, alice: Customer
    ) -> None:
        with time_machine.travel(JANUARY + timedelta(days=10), tick=False):
            sell(shop.access, alice, "T-1", "100", JANUARY)
            update_program(merchant_id=shop.merchant.pk, expiry="none")
            sell(shop.access, alice, "T-2", "20", JANUARY + timedelta(days=1))
            sell(shop.access, alice, "T-3", "10", JANUARY + timedelta(days=10))
        found = dict(Lot.objects.values_list("points", "expires_at"))
        # What exists keeps its time, and what is late has that of its own moment.
        assert found == {100: OVER, 20: OVER + timedelta(days=1), 10: None}

    def test_what_a_person_gives_lasts_as_long(self, shop: Shop, expiring: Program, alice: Customer) -> None:
        with time_machine.travel(JANUARY, tick=False):
            move(shop.access, alice, "earned", 5)
            move(shop.access, alice, "adjusted", 6)
        assert set(Lot.objects.values_list("expires_at", flat=True)) == {OVER}


class TestBeforeTheSweep:
    """The sweep has not been: nobody may notice."""

    @pytest.fixture(autouse=True)
    def points(self, shop: Shop, expiring: Program, alice: Customer) -> None:
        with time_machine.travel(JANUARY, tick=False):
            sell(shop.access, alice, "T-1", "100", JANUARY)
        with time_machine.travel(JANUARY + timedelta(days=2), tick=False):
            sell(shop.access, alice, "T-2", "30")

    def test_the_standing_leaves_out_what_is_over(self, shop: Shop, alice: Customer) -> None:
        for at, expected in (
            (BEFORE, (130, [100, 30])),
            (AFTER, (30, [30])),
            (AFTER + timedelta(days=2), (0, [])),
        ):
            with time_machine.travel(at, tick=False):
                data = standing(access=shop.access, customer_id=alice.pk)
            assert (data["balance"], [line["points"] for line in data["expiring"]]) == expected
        assert len(entries(alice)) == 2

    def test_a_quote_says_what_the_sale_will(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(AFTER, tick=False):
            sent = {"customer_id": alice.pk, "amount": Decimal(5), "transaction_id": "T-3"}
            quote = quote_purchase(access=shop.access, sale=sent)
            assert (quote["balance"], len(entries(alice))) == (35, 2)
            assert take_purchase(access=shop.access, sale=sent).receipt["balance"] == 35
        assert entries(alice)[2:] == [("expired", -100, 30), ("earned", 5, 35)]
        alice.refresh_from_db(fields=["points"])
        assert alice.points == 35
        assert findings(shop) == []

    def test_it_cannot_be_spent(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(AFTER, tick=False):
            with pytest.raises(InsufficientPoints) as refused:
                move(shop.access, alice, "redeemed", 31, "X-1")
            assert (refused.value.extra["balance"], refused.value.extra["missing"]) == (30, 1)
            assert len(entries(alice)) == 2
            move(shop.access, alice, "redeemed", 30, "X-2")
        assert entries(alice)[2:] == [("expired", -100, 30), ("redeemed", -30, 0)]
        assert findings(shop) == []

    def test_the_instant_may_pass_while_accounts_are_opened(
        self, shop: Shop, alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with time_machine.travel(JANUARY, tick=False):
            sell(shop.access, bob, "T-3", "20", JANUARY)
        moments = iter([BEFORE, AFTER])
        monkeypatch.setattr(balance, "now", lambda: next(moments))
        accounts = read_accounts(merchant_id=shop.merchant.pk, customer_ids=[alice.pk, bob.pk])
        assert [accounts[each.pk].balance for each in (alice, bob)] == [130, 0]

    def test_a_repeated_sale_writes_nothing(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(AFTER, tick=False):
            assert not sell(shop.access, alice, "T-1", "100", JANUARY).is_new
        assert len(entries(alice)) == 2
        assert findings(shop) == []


class TestReturns:
    """Taking back what has expired takes nothing else: before the expiry or after it, the balance ends the same."""

    SALES = (("T-1", "100", JANUARY), ("T-2", "30", JANUARY + timedelta(days=2)))
    BACK = ("T-1", "R-1", "40", JANUARY + timedelta(days=3))

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("late", [False, True], ids=["on time", "after the expiry"])
    def test_in_any_order(
        self, shop: Shop, expiring: Program, alice: Customer, order: tuple[int, ...], late: bool
    ) -> None:
        if order.index(2) < order.index(0):
            return  # A return needs its purchase.
        for place, step in enumerate(order):
            at = AFTER + timedelta(minutes=place) if late else JANUARY + timedelta(days=4, minutes=place)
            with time_machine.travel(at, tick=False):
                if step < 2:
                    sell(shop.access, alice, *self.SALES[step])
                else:
                    bring_back(shop.access, *self.BACK)
        with time_machine.travel(AFTER + timedelta(hours=1), tick=False):
            expire_lots(merchant_id=shop.merchant.pk)
        found = books(alice)
        assert (found["balance"], found["shown"]) == (30, 30)
        assert found["points"]["T-1"] - found["shortfall"] == 60
        assert findings(shop) == []

    def test_part_by_part_it_never_asks_twice(self, shop: Shop, expiring: Program, alice: Customer) -> None:
        with time_machine.travel(JANUARY, tick=False):
            sell(shop.access, alice, "T-1", "100", JANUARY)
            move(shop.access, alice, "redeemed", 60)
        with time_machine.travel(AFTER, tick=False):
            move(shop.access, alice, "earned", 50)
            # 40 of its points have expired, 60 were spent: those are taken from what there is.
            bring_back(shop.access, "T-1", "R-1", "30")
            assert books(alice)["balance"] == 50
            bring_back(shop.access, "T-1", "R-2", "30")
            assert books(alice)["balance"] == 30
            bring_back(shop.access, "T-1", "R-3", "40")
        assert books(alice)["balance"] == 0
        assert list(Shortfall.objects.order_by("recorded_at", "id").values_list("points", "expired")) == [
            (30, True),
            (10, True),
            (10, False),
        ]
        assert findings(shop) == []

    def test_a_sale_from_long_ago_opens_and_expires_at_once(
        self, shop: Shop, expiring: Program, alice: Customer
    ) -> None:
        with time_machine.travel(AFTER, tick=False):
            receipt = sell(shop.access, alice, "T-1", "100", JANUARY).receipt
        assert (receipt["pointsEarned"], receipt["balance"]) == (100, 0)
        assert entries(alice) == [("earned", 100, 100), ("expired", -100, 0)]
        (over,) = LedgerEntry.objects.filter(type="expired")
        assert (over.occurred_at, over.recorded_at) == (OVER, AFTER)
        assert findings(shop) == []


class TestCancelledRedemptions:
    def prepare(self, shop: Shop, alice: Customer) -> None:
        with time_machine.travel(JANUARY, tick=False):
            move(shop.access, alice, "earned", 60)
            move(shop.access, alice, "redeemed", 40, "X-1")

    def test_in_time_points_go_back_into_their_lot(
        self, shop: Shop, expiring: Program, alice: Customer
    ) -> None:
        self.prepare(shop, alice)
        with time_machine.travel(BEFORE, tick=False):
            move(shop.access, alice, "reversed", 40, "X-1")
        assert list(Lot.objects.values_list("points", "remaining")) == [(60, 60)]

    def test_too_late_they_expire_at_once(self, shop: Shop, expiring: Program, alice: Customer) -> None:
        self.prepare(shop, alice)
        with time_machine.travel(AFTER, tick=False):
            move(shop.access, alice, "reversed", 25, "V-1", reverses_transaction_id="X-1")
            move(shop.access, alice, "reversed", 15, "V-2", reverses_transaction_id="X-1")
        assert entries(alice)[2:] == [
            ("expired", -20, 0),
            ("reversed", 25, 25),
            ("expired", -25, 0),
            ("reversed", 15, 15),
            ("expired", -15, 0),
        ]
        assert findings(shop) == []

    def test_days_of_grace(self, shop: Shop, expiring: Program, alice: Customer) -> None:
        self.prepare(shop, alice)
        update_program(merchant_id=shop.merchant.pk, grace_days=7)
        with time_machine.travel(AFTER, tick=False):
            move(shop.access, alice, "reversed", 40, "X-1")
            assert books(alice)["balance"] == 40
        assert Lot.objects.get(remaining__gt=0).expires_at == AFTER + timedelta(days=7)
        assert findings(shop) == []

    def test_parts_go_back_in_turn(self, shop: Shop, program: Program, alice: Customer) -> None:
        for points in (10, 20, 30):
            move(shop.access, alice, "earned", points)
        move(shop.access, alice, "redeemed", 60, "X-1")
        for number, points in enumerate((25, 10, 25)):
            move(shop.access, alice, "reversed", points, f"V-{number}", reverses_transaction_id="X-1")
        assert dict(Lot.objects.values_list("points", "remaining")) == {10: 10, 20: 20, 30: 30}
        assert findings(shop) == []


class TestTheSweep:
    def fill(self, shop: Shop, names: list[str]) -> list[Customer]:
        members = []
        for name in names:
            member = register(shop, name)
            for day in range(3):
                with time_machine.travel(JANUARY + timedelta(days=day), tick=False):
                    sell(shop.access, member, f"{name}-{day}", str(10 + day))
                    move(shop.access, member, "earned", 5)
            members.append(member)
        return members

    def test_one_entry_for_each_midnight(self, shop: Shop, expiring: Program) -> None:
        alice, bob = self.fill(shop, ["Alice", "Bob"])
        with time_machine.travel(AFTER + timedelta(days=1), tick=False):
            assert merchants_with_due_lots(at=AFTER) == [shop.merchant.pk]
            assert expire_lots(merchant_id=shop.merchant.pk) == Expired(points=62, lots=8, accounts=2)
            assert expire_lots(merchant_id=shop.merchant.pk) == Expired()
        for member in (alice, bob):
            assert entries(member)[6:] == [("expired", -15, 33), ("expired", -16, 17)]
            told = Event.objects.filter(customer_id=member.pk, type="points.expired").order_by("occurred_at")
            assert [(event.data["points"], event.data["balance"]) for event in told] == [(-15, 33), (-16, 17)]
            assert {event.occurred_at for event in told} == {OVER, OVER + timedelta(days=1)}
            assert told[0].dispatched_at is None
            entry = LedgerEntry.objects.get(enrollment__customer_id=member.pk, balance_after=33)
            assert (told[0].data["entryId"], entry.id.version) == (str(entry.pk), 7)
            assert (entry.occurred_at, entry.description) == (OVER, "Their time was over")
            assert books(member)["shown"] == 17
        assert findings(shop) == []

    def test_it_writes_what_a_posting_writes(self, shop: Shop, expiring: Program) -> None:
        """Account.expire_due and the sweep's SQL are two ways to the same rows."""
        alice, bob = self.fill(shop, ["Alice", "Bob"])
        with time_machine.travel(AFTER + timedelta(days=1), tick=False):
            move(shop.access, bob, "earned", 1)
            expire_lots(merchant_id=shop.merchant.pk)

        def rows(member: Customer) -> Any:
            over = LedgerEntry.objects.filter(enrollment__customer_id=member.pk, type="expired")
            fields = [field.attname for field in LedgerEntry._meta.concrete_fields]
            own = {"id", "enrollment_id"}
            return [
                [getattr(entry, name) for name in fields if name not in own]
                + sorted(entry.allocations.values_list("points", "expired"))
                for entry in over.order_by("version")
            ]

        assert rows(alice) == rows(bob) != []

    def test_many_chunks(self, shop: Shop, expiring: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        members = self.fill(shop, ["Alice", "Bob", "Carol"])
        monkeypatch.setattr(expiry_service, "CHUNK_LOTS", 2)
        monkeypatch.setattr(expiry_service, "CHUNKS_DEALT", 3)
        chunks: list[int] = []
        with time_machine.travel(AFTER + timedelta(days=9), tick=False):
            found = expire_lots(merchant_id=shop.merchant.pk, progress=chunks.append)
        assert found == Expired(points=144, lots=18, accounts=3)
        assert sum(chunks) == 18
        assert len(chunks) > 2
        assert [books(member)["shown"] for member in members] == [0, 0, 0]
        assert findings(shop) == []

    def test_accounts_that_lie_side_by_side_are_in_different_chunks(
        self, shop: Shop, expiring: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        members = self.fill(shop, [f"Member {number}" for number in range(6)])
        monkeypatch.setattr(expiry_service, "CHUNK_LOTS", 4)
        monkeypatch.setattr(expiry_service, "CHUNKS_DEALT", 2)
        accounts = dict(Enrollment.objects.values_list("customer_id", "id"))
        a, b, c, d, e, f = (accounts[member.pk] for member in members)
        # Two lots of each are over.
        assert list(expiry_service._walk(shop.merchant.pk, AFTER)) == [[a, c], [b, d], [e, f]]

    def test_more_points_than_an_entry_may_have(self, shop: Shop, expiring: Program, alice: Customer) -> None:
        with time_machine.travel(JANUARY, tick=False):
            for _ in range(3):
                move(shop.access, alice, "earned", 600_000_000)
        with time_machine.travel(AFTER, tick=False):
            assert expire_lots(merchant_id=shop.merchant.pk) == Expired(1_800_000_000, 3, 1)
        assert [points for type, points, _ in entries(alice) if type == "expired"] == [-600_000_000] * 3
        assert books(alice)["shown"] == 0
        assert findings(shop) == []

    def test_each_merchant_at_its_own_midnight(self) -> None:
        shops = {zone: make_shop(f"Shop {zone}") for zone in ("Asia/Tokyo", "America/New_York")}
        for zone, shop in shops.items():
            type(shop.merchant).objects.filter(pk=shop.merchant.pk).update(timezone=zone)
            create_program(merchant_id=shop.merchant.pk, expiry="after_earning", expiry_months=3)
            with time_machine.travel(JANUARY, tick=False):
                move(shop.access, register(shop, "Alice"), "earned", 5)
        expired = []
        for hour in range(30):
            with time_machine.travel(datetime(2026, 4, 15, tzinfo=UTC) + timedelta(hours=hour), tick=False):
                if expire_points():
                    expired.append(hour)
        # 15:00 and, with summer time, 28:00 in UTC are the midnights after 15 April.
        assert expired == [15, 28]

    def test_the_command(self, shop: Shop, expiring: Program) -> None:
        self.fill(shop, ["Alice"])
        with time_machine.travel(AFTER, tick=False):
            out = StringIO()
            call_command("expire_points", "--dry-run", stdout=out)
            assert "15 points in 2 lots of 1 accounts are over." in out.getvalue()
            assert not LedgerEntry.objects.filter(type="expired").exists()
            out = StringIO()
            call_command("expire_points", "--merchant", shop.merchant.slug, stdout=out)
            assert "15 points in 2 lots of 1 accounts expired." in out.getvalue()
        assert LedgerEntry.objects.filter(type="expired").count() == 1


def test_a_lot_expires_once(shop: Shop, expiring: Program, alice: Customer) -> None:
    with time_machine.travel(JANUARY, tick=False):
        move(shop.access, alice, "earned", 5)
    with time_machine.travel(AFTER, tick=False):
        expire_lots(merchant_id=shop.merchant.pk)
    (first,) = Allocation.objects.all()
    assert first.expired
    again = Allocation(
        merchant_id=first.merchant_id,
        entry=LedgerEntry.objects.get(type="earned"),
        lot=first.lot,
        points=1,
        expired=True,
    )
    with pytest.raises(IntegrityError, match="loyalty_allocations_expires_once"), transaction.atomic():
        again.save(force_insert=True)


class TestTheProgram:
    def test_it_is_said_and_kept(self, shop: Shop, program: Program) -> None:
        sent = {
            "name": "Club",
            "pointsPerUnit": "1",
            "tiers": [],
            "expiry": "after_earning",
            "expiryMonths": 12,
            "expiryMonthEnd": True,
            "graceDays": 14,
            "redeemValue": "0.01",
            "redeemPointsMin": 100,
        }
        data = shop.manager.put("/loyalty/program", sent, content_type="application/json").json()["data"]
        policies = ("expiry", "expiryMonths", "expiryMonthEnd", "graceDays", "redeemValue", "redeemPointsMin")
        assert {name: data[name] for name in policies} == {name: sent[name] for name in policies}
        stored = ProgramVersion.objects.get(number=2).rules
        assert stored["expiry"] == {
            "months": 12,
            "monthEnd": True,
            "timezone": shop.merchant.timezone,
            "after": "earning",
        }
        assert stored["graceDays"] == 14
        # What points are worth is no rule of earning: no new version.
        sent["redeemValue"] = None
        shop.manager.put("/loyalty/program", sent, content_type="application/json")
        assert ProgramVersion.objects.count() == 2
        # "Never" says all there is to say.
        sent["expiry"] = "none"
        del sent["expiryMonths"]
        data = shop.manager.put("/loyalty/program", sent, content_type="application/json").json()["data"]
        assert (data["expiry"], data["expiryMonths"], data["revision"]) == ("none", None, 3)

    @pytest.mark.parametrize(
        ("wrong", "field", "code"),
        [
            ({"expiry": "after_earning"}, "expiryMonths", "invalid_expiry"),
            ({"expiry": "none", "expiryMonths": 3}, "expiryMonths", "invalid_expiry"),
            ({"expiry": "after_earning", "expiryMonths": 0}, "expiryMonths", "min_value"),
            ({"expiry": "after_earning", "expiryMonths": 121}, "expiryMonths", "max_value"),
            ({"graceDays": 366}, "graceDays", "max_value"),
            ({"redeemValue": "0"}, "redeemValue", "min_value"),
            ({"redeemPointsMin": 0}, "redeemPointsMin", "min_value"),
        ],
    )
    def test_nonsense(
        self, shop: Shop, program: Program, wrong: dict[str, Any], field: str, code: str
    ) -> None:
        sent = {"name": "Club", "pointsPerUnit": "1", "tiers": [], **wrong}
        response = shop.manager.put("/loyalty/program", sent, content_type="application/json")
        assert response.status_code == 400
        assert [(error["field"], error["code"]) for error in response.json()["errors"]] == [(field, code)]
        assert ProgramVersion.objects.count() == 1
