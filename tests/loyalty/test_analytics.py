"""GET /loyalty/analytics: everything again, naively from rows, and compared exactly."""

import random
import uuid
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from cloudpos.lifecycle.merging import merge_customers
from cloudpos.tenancy.access import access_for, forget_access
from cloudpos.tenancy.models import Merchant, Store
from customers.models import Event
from loyalty import analytics_rollups as rollups
from loyalty.analytics_breakage import Cohort, cohorts_of
from loyalty.models import Allocation, Enrollment, LedgerEntry, Lot, Program
from loyalty.models_rollups import RollupDay, RollupLots
from loyalty.services import create_program
from tests.fixtures import Shop, make_shop
from tests.tills import bring_back, move, register, sell

pytestmark = pytest.mark.django_db

PATH = "/loyalty/analytics"


def store_in(shop: Shop, name: str, timezone: str) -> Store:
    found: Store = Store.objects.create(
        merchant=shop.merchant, name=name, code=name[:4].upper(), timezone=timezone
    )
    return found


def at_store(shop: Shop, store: Store) -> Any:
    forget_access()
    access = access_for(user_id=shop.manager.user_id, store_id=store.pk)
    assert access is not None
    return access


@pytest.fixture(scope="module", autouse=True)
def busy_shop(kept: None) -> Shop:
    """Two years at three stores in three zones: sales, returns, redemptions (some cancelled), adjustments, a merge."""
    shop = make_shop("Busy Shop")
    create_program(merchant_id=shop.merchant.pk)
    chance = random.Random(3)
    stores = [shop.store, store_in(shop, "Tokyo", "Asia/Tokyo"), store_in(shop, "Denver", "America/Denver")]
    tills = [at_store(shop, store) for store in stores]
    members = [register(shop, f"Member {n}") for n in range(9)]
    start = now() - timedelta(days=730)
    for step in range(150):
        till, member = chance.choice(tills), chance.choice(members)
        # Many near midnight somewhere, and not in order: a late one is corrected by adjustments.
        at = start + timedelta(
            days=step * 4.8 + chance.choice([0, 0, -40]), hours=chance.choice([0, 7, 15, 23])
        )
        sell(till, member, f"S{step}", f"{chance.randint(500, 30_000) / 100:.2f}", max(at, start))
        if step % 9 == 4:
            bring_back(till, f"S{step}", f"R{step}")
        member.refresh_from_db(fields=["points"])
        if step % 4 == 1 and member.points > 20:
            move(till, member, "redeemed", chance.randint(5, member.points // 2), f"X{step}")
            if step % 8 == 1:
                move(till, member, "reversed", 5, f"X{step}")
        if step % 25 == 7:
            move(till, member, "adjusted", 30, f"A{step}", description="Sorry")
    merge_customers(access=shop.access, source_id=members[1].pk, customer_id=members[0].pk)
    connection.check_constraints()
    return shop


@pytest.fixture
def history(busy_shop: Shop) -> list[Store]:
    """Its stores, in the order in which they opened."""
    return list(Store.objects.for_merchant(busy_shop.merchant).order_by("pk"))


class Naive:
    """The definitions once more, row by row in Python."""

    def __init__(self, merchant: Merchant) -> None:
        self.merchant = merchant
        self.zones = {
            store.pk: ZoneInfo(store.timezone or merchant.timezone)
            for store in Store.objects.for_merchant(merchant)
        }
        self.entries = list(LedgerEntry.objects.for_merchant(merchant))
        self.by_id = {entry.pk: entry for entry in self.entries}
        self.lots = {lot.pk: lot for lot in Lot.objects.for_merchant(merchant).select_related("purchase")}
        self.allocations = list(Allocation.objects.for_merchant(merchant))

    def day(self, entry: LedgerEntry) -> date:
        zone = self.zones[entry.store_id] if entry.store_id else self.merchant.tz
        return entry.occurred_at.astimezone(zone).date()

    def period(self, first: date, last: date, store: uuid.UUID | None = None) -> dict[str, Any]:
        points: Counter[str] = Counter()
        active = set()
        for entry in self.entries:
            if not first <= self.day(entry) <= last or (store and entry.store_id != store):
                continue
            if entry.type in ("earned", "bonus", "redeemed"):
                active.add(entry.enrollment_id)
                points["redeemed" if entry.type == "redeemed" else "earned"] += abs(entry.points)
            elif entry.type == "reversed":
                points["restored" if entry.points > 0 else "takenBack"] += abs(entry.points)
            elif entry.type == "expired":
                points["expired"] -= entry.points
            elif entry.type == "adjusted":
                points["adjusted"] += entry.points
        joined = [
            account
            for account in Enrollment.objects.for_merchant(self.merchant)
            if first <= account.enrolled_at.astimezone(self.merchant.tz).date() <= last
        ]
        names = ("earned", "redeemed", "expired", "takenBack", "restored", "adjusted")
        return {
            "from": first.isoformat(),
            "to": last.isoformat(),
            "points": {name: points[name] for name in names},
            "activeMembers": len(active),
            "newMembers": len(joined),
        }

    def flows(self) -> tuple[Counter[tuple[str, date, date]], Counter[tuple[date, Any, Any]]]:
        """What became of the lots by month, and settlement by day: from lots and allocations."""
        months: Counter[tuple[str, date, date]] = Counter()
        settled: Counter[tuple[date, Any, Any]] = Counter()
        moved_by: dict[uuid.UUID, list[tuple[Lot, int]]] = defaultdict(list)
        for allocation in self.allocations:
            moved_by[allocation.entry_id].append((self.lots[allocation.lot_id], allocation.points))
        for lot in self.lots.values():
            moved_by[lot.entry_id].append((lot, lot.points))
        for entry in self.entries:
            month = entry.occurred_at.astimezone(self.merchant.tz).date().replace(day=1)
            for lot, points in moved_by[entry.pk]:
                earned_in = lot.earned_at.astimezone(self.merchant.tz).date().replace(day=1)
                if entry.type == "transferred":
                    continue
                restores = entry.type == "reversed" and entry.points > 0
                if entry.points > 0 and not restores:
                    months["opened", earned_in, month] += points
                    continue
                signed = -points if restores else points
                kind = "redeemed" if entry.type == "redeemed" or restores else "removed"
                months["expired" if entry.type == "expired" else kind, earned_in, month] += signed
                if kind == "redeemed":
                    store = lot.purchase.store_id if lot.purchase else self.by_id[lot.entry_id].store_id
                    settled[self.day(entry), store, entry.store_id] += signed
        return months, settled


def read(shop: Shop, **asked: Any) -> dict[str, Any]:
    answer = shop.manager.get(PATH, asked)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()["data"]
    return found


def assert_right(shop: Shop, **asked: Any) -> dict[str, Any]:
    """The answer, after comparing everything in it that can be counted."""
    found = read(shop, **asked)
    naive = Naive(shop.merchant)
    store = uuid.UUID(asked["storeId"]) if "storeId" in asked else None
    for part in (found, found["previous"], *found["series"]):
        first, last = date.fromisoformat(part["from"]), date.fromisoformat(part["to"])
        expected = naive.period(first, last, store)
        assert {name: part[name] for name in expected} == expected
        if "redemptionRate" in part:
            points = expected["points"]
            earned = points["earned"] - points["takenBack"]
            rate = round((points["redeemed"] - points["restored"]) / earned, 4) if earned > 0 else None
            assert part["redemptionRate"] == rate
    balance = sum(account.balance for account in Enrollment.objects.for_merchant(shop.merchant))
    assert found["liability"]["points"] + found["liability"]["pastExpiry"] == balance
    months, settled = naive.flows()
    stored = Counter(
        {
            (kind, row.earned_in, row.month): getattr(row, kind)
            for row in RollupLots.objects.filter(merchant_id=shop.merchant.pk)
            for kind in ("opened", "redeemed", "expired", "removed")
        }
    )
    assert {key: n for key, n in stored.items() if n} == {key: n for key, n in months.items() if n}
    first, last = date.fromisoformat(found["from"]), date.fromisoformat(found["to"])
    matrix: Counter[tuple[Any, Any]] = Counter()
    for (day, earned, spent), points in settled.items():
        if first <= day <= last and (store is None or store in (earned, spent)):
            matrix[earned and str(earned), spent and str(spent)] += points
    assert {(row["earnedStoreId"], row["spentStoreId"]): row["points"] for row in found["settlement"]} == {
        pair: points for pair, points in matrix.items() if points
    }
    tiers = Counter(Enrollment.objects.for_merchant(shop.merchant).values_list("tier", flat=True))
    assert {tier["code"]: tier["members"] for tier in found["tiers"] if tier["members"]} == dict(tiers)
    moves: Counter[tuple[str, str]] = Counter()
    for event in Event.objects.for_merchant(shop.merchant).filter(type="tier.changed"):
        if first <= event.occurred_at.astimezone(shop.merchant.tz).date() <= last:
            moves[event.data["from"], event.data["to"]] += 1
    assert {(move["from"], move["to"]): move["members"] for move in found["tierMovements"]} == dict(moves)
    return found


def test_everything_is_what_the_rows_say(busy_shop: Shop, history: list[Store]) -> None:
    first = (now() - timedelta(days=760)).date().isoformat()
    found = assert_right(busy_shop, **{"from": first})
    assert found["granularity"] == "month"
    assert all(found["points"][name] for name in ("earned", "redeemed", "takenBack", "restored", "adjusted"))
    assert len({(row["earnedStoreId"], row["spentStoreId"]) for row in found["settlement"]}) >= 6
    assert found["tierMovements"] and found["members"] == 9
    # Nothing is lost between the whole and its steps.
    for name in found["points"]:
        assert found["points"][name] == sum(step["points"][name] for step in found["series"])


@pytest.mark.parametrize("granularity", ["day", "week", "month"])
def test_any_step_of_a_period_in_the_middle(busy_shop: Shop, history: list[Store], granularity: str) -> None:
    today = now().date()
    assert_right(
        busy_shop,
        **{
            "from": (today - timedelta(days=333)).isoformat(),
            "to": (today - timedelta(days=77)).isoformat(),
            "granularity": granularity,
        },
    )


def test_one_store(busy_shop: Shop, history: list[Store]) -> None:
    for store in history:
        assert_right(busy_shop, storeId=str(store.pk))


def test_what_comes_later_is_added(busy_shop: Shop, history: list[Store]) -> None:
    assert_right(busy_shop)
    till = at_store(busy_shop, history[1])
    carol = register(busy_shop, "Carol")
    sell(till, carol, "LATER-1", "700.00")
    before = Counter(RollupDay.objects.values_list("type", flat=True))
    found = assert_right(busy_shop)
    assert found["members"] == 10
    assert Counter(RollupDay.objects.values_list("type", flat=True)) - before == Counter(earned=1)
    # Older than anything: the steps behind it are corrected in the ledger, and here.
    sell(till, carol, "LATER-0", "650.00", now() - timedelta(days=200))
    move(at_store(busy_shop, history[2]), carol, "redeemed", 400, "LATER-2")
    assert_right(busy_shop)
    move(at_store(busy_shop, history[2]), carol, "reversed", 400, "LATER-2")
    assert_right(busy_shop)


def test_points_given_back_after_a_merge_return_to_their_own_age(shop: Shop, program: Program) -> None:
    alice, bob = register(shop, "Alice"), register(shop, "Bob")
    sell(shop.access, alice, "OLD", "300.00", now() - timedelta(days=300))
    move(shop.access, alice, "redeemed", 120, "X")
    assert_right(shop)
    merge_customers(access=shop.access, source_id=alice.pk, customer_id=bob.pk)
    move(shop.access, bob, "reversed", 120, "X")
    found = assert_right(shop)
    assert found["liability"]["points"] == 300
    assert found["settlement"] == []


def test_a_second_look_reads_no_sums(busy_shop: Shop, history: list[Store]) -> None:
    read(busy_shop)
    with CaptureQueriesContext(connection) as queries:
        again = read(busy_shop)
    assert again == read(busy_shop)
    assert not [query["sql"] for query in queries if "rollup_days" in query["sql"]]
    assert len(queries) <= 9, [query["sql"] for query in queries]


def test_a_store_that_moves_to_another_zone_starts_the_sums_anew(
    busy_shop: Shop, history: list[Store]
) -> None:
    assert_right(busy_shop)
    Store.objects.for_merchant(busy_shop.merchant).filter(pk=history[1].pk).update(
        timezone="Pacific/Honolulu"
    )
    assert_right(busy_shop)


def test_in_chunks_and_again(busy_shop: Shop, history: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "ENTRIES_PER_CHUNK_MAX", 7)
    entries = LedgerEntry.objects.count()
    seen: list[int] = []
    assert rollups.refresh(merchant_id=busy_shop.merchant.pk, progress=seen.append) == entries == sum(seen)
    assert len(seen) > 5
    assert rollups.merchants_behind() == []
    assert_right(busy_shop)
    assert rollups.refresh(merchant_id=busy_shop.merchant.pk) == 0
    assert rollups.refresh(merchant_id=busy_shop.merchant.pk, again=True) == entries
    assert_right(busy_shop)


def test_a_large_import_is_left_to_the_background(
    busy_shop: Shop, history: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "ENTRIES_PER_REQUEST_MAX", 10)
    answer = busy_shop.manager.get(PATH)
    assert answer.status_code == 503
    assert answer.json()["code"] == "analytics_being_prepared"
    assert answer.headers["Retry-After"]
    assert rollups.merchants_behind() == [busy_shop.merchant.pk]
    rollups.refresh(merchant_id=busy_shop.merchant.pk)
    assert_right(busy_shop)


def test_no_program(shop: Shop) -> None:
    found = read(shop)
    assert found["members"] == 0
    assert found["redemptionRate"] is None
    assert found["liability"] == {"points": 0, "amount": None, "redeemValue": None, "pastExpiry": 0}
    assert found["breakage"]["status"] == "insufficient_data"
    assert found["breakage"]["points"] is None
    assert len(found["series"]) == 12


def test_money(shop: Shop, program: Program) -> None:
    alice = register(shop, "Alice")
    sell(shop.access, alice, "S", "333.00")
    move(shop.access, alice, "redeemed", 33, "X")
    Program.objects.for_merchant(shop.merchant).update(redeem_value=Decimal("0.0125"))
    found = read(shop)
    assert found["liability"] == {
        "points": 300, "amount": "3.75", "redeemValue": "0.0125", "pastExpiry": 0,
    }  # fmt: skip
    store = str(shop.store.pk)
    assert found["settlement"] == [
        {
            "earnedStoreId": store, "earnedStore": shop.store.name, "spentStoreId": store,
            "spentStore": shop.store.name, "points": 33, "amount": "0.41",
        }
    ]  # fmt: skip


def test_points_whose_time_is_over_are_no_liability(shop: Shop, program: Program) -> None:
    alice = register(shop, "Alice")
    sell(shop.access, alice, "S", "100.00")
    sell(shop.access, alice, "T", "40.00")
    read(shop)
    lot = Lot.objects.for_merchant(shop.merchant).get(points=40)
    Lot.objects.for_merchant(shop.merchant).filter(pk=lot.pk).update(expires_at=now() - timedelta(seconds=1))
    found = read(shop)
    assert (found["liability"]["points"], found["liability"]["pastExpiry"]) == (100, 40)


def test_what_members_owe_is_no_liability(shop: Shop) -> None:
    create_program(merchant_id=shop.merchant.pk, shortfall="unlimited")
    alice, bob = register(shop, "Alice"), register(shop, "Bob")
    sell(shop.access, alice, "A", "100.00")
    sell(shop.access, bob, "B", "40.00")
    move(shop.access, alice, "redeemed", 100)
    bring_back(shop.access, "A", "R")
    assert read(shop)["liability"]["points"] == 40
    # What fills a debt is in no lot.
    sell(shop.access, alice, "C", "130.00")
    assert read(shop)["liability"]["points"] == 70
    # Nor what fills it by a merge.
    bring_back(shop.access, "C", "RC")
    move(shop.access, bob, "earned", 60)
    assert Enrollment.objects.get(customer_id=alice.pk).balance == -100
    merge_customers(access=shop.access, customer_id=bob.pk, source_id=alice.pk, from_source=[])
    assert Enrollment.objects.get(customer_id=bob.pk).balance == 0
    assert read(shop)["liability"]["points"] == 0


def test_points_of_inactive_members_are_no_liability(shop: Shop) -> None:
    create_program(merchant_id=shop.merchant.pk, expiry="after_inactivity", expiry_months=3)
    alice, bob = register(shop, "Alice"), register(shop, "Bob")
    sell(shop.access, alice, "A", "100.00")
    sell(shop.access, bob, "B", "40.00")
    Enrollment.objects.filter(customer_id=bob.pk).update(inactive_at=now() - timedelta(seconds=1))
    found = read(shop)
    assert (found["liability"]["points"], found["liability"]["pastExpiry"]) == (100, 40)


def test_another_merchants_ledger_counts_for_nothing(
    busy_shop: Shop, foreign_shop: Shop, history: list[Store]
) -> None:
    found = read(foreign_shop)
    assert found["members"] == 0 and found["points"]["earned"] == 0 and found["settlement"] == []
    assert foreign_shop.manager.get(PATH, {"storeId": str(busy_shop.store.pk)}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": "2026-02-30"}, "from"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "to"),
        ({"from": "1990-01-01", "to": "2026-01-01"}, "from"),
        ({"from": "2020-01-01", "to": "2026-01-01", "granularity": "day"}, "granularity"),
        ({"granularity": "year"}, "granularity"),
        ({"to": "0001-01-05"}, "to"),
        ({"storeId": "x"}, "storeId"),
        ({"interval": "day"}, "interval"),
    ],
)
def test_bad_questions(shop: Shop, asked: dict[str, str], field: str) -> None:
    answer = shop.manager.get(PATH, asked)
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_cashier_may_not(shop: Shop) -> None:
    assert shop.cashier.get(PATH).status_code == 403


def test_cohorts_add_up() -> None:
    january, march = date(2026, 1, 1), date(2026, 3, 1)
    cohorts = cohorts_of([(january, january, 100, 0, 0, 0), (january, march, 0, 30, 20, 10)])
    (cohort,) = cohorts.values()
    assert isinstance(cohort, Cohort)
    assert (cohort.outstanding, dict(cohort.redeemed)) == (40, {0: 0, 2: 30})
