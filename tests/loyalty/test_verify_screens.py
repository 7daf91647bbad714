"""The screens of `verify_ledger`: a sound ledger has nobody looked at closely, and each of them sees what no other does."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.utils.timezone import now

from loyalty.models import Enrollment, Lot
from loyalty.services import create_program, expire_lots, update_program
from loyalty.verification import CHECKS, Finding, running, verify
from loyalty.verification.checks import Screen
from loyalty.verification.screens import ACCOUNTS, LEDGER, MOVES, SUMS
from tests.fixtures import Shop, make_shop
from tests.tills import bring_back, minutes, move, register, sell

pytestmark = pytest.mark.django_db

FIFO = "a redemption used up earlier lots before later ones"
SCREENED = {check.says for check in CHECKS if check.screens == LEDGER}


@pytest.fixture(scope="module")
def shop(kept: None) -> Shop:
    """Of a sound ledger.

    Alice's reversed redemption refilled a lot before one that stayed redeemed from; Bob has some of everything else.
    """
    shop = make_shop("Corner Shop")
    create_program(merchant_id=shop.merchant.pk)
    alice, bob = register(shop, "Alice"), register(shop, "Bob")
    access = shop.access
    sell(access, alice, "A-1", "100", minutes(0))
    sell(access, alice, "A-2", "100", minutes(1))
    move(access, alice, "redeemed", 150, "A-X")
    move(access, alice, "reversed", 60, "A-X")
    sell(access, bob, "B-1", "100", minutes(0))
    sell(access, bob, "B-2", "50", minutes(1))
    bring_back(access, "B-1", "B-R", "20", minutes(2))
    move(access, bob, "redeemed", 90, "B-X")
    move(access, bob, "earned", 7)
    Lot.objects.filter(points=7).update(expires_at=now())
    expire_lots(merchant_id=shop.merchant.pk)
    sell(access, bob, "B-3", "30", minutes(3))
    sell(access, bob, "B-4", "40", minutes(4))
    move(access, bob, "redeemed", 5, "B-Y")
    # Carol and Erin have what Bob has too; Dave owes 20 points, and then less.
    update_program(merchant_id=shop.merchant.pk, shortfall="unlimited")
    carol, dave, erin = (register(shop, name) for name in ("Carol", "Dave", "Erin"))
    sell(access, carol, "C-1", "50", minutes(0))
    move(access, carol, "redeemed", 5, "C-Y")
    sell(access, erin, "E-1", "30", minutes(0))
    sell(access, dave, "D-1", "30", minutes(0))
    move(access, dave, "redeemed", 20, "D-X")
    bring_back(access, "D-1", "D-R", None, minutes(1))
    sell(access, dave, "D-2", "25", minutes(2))
    connection.check_constraints()
    return shop


def looked_closely(shop: Shop) -> tuple[list[str], list[str]]:
    """What the checks behind screens that were run say, and at which accounts the order of use was looked at; "" is all."""
    says: list[str] = []
    accounts: list[str] = []

    def listen(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if "before lot" in sql:
            accounts.extend(map(str, parameters["accounts"] if "%(accounts)s" in sql else [""]))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(listen):
        found = verify(merchant_id=shop.merchant.pk, timed=lambda title, _: says.append(title))
        assert [finding for _, finding in found if finding] == []
    return [check.says for check in CHECKS if check.screens and check.says in says], accounts


def test_a_sound_ledger_is_not_looked_at_closely(shop: Shop) -> None:
    assert [finding for _, finding in verify(exact=True) if finding] == []
    says, accounts = looked_closely(shop)
    # Alice's refilled lot may have been passed over, and so may Bob's that came later and ended first. Nothing else is looked
    # at, nor the other three.
    assert says == [FIFO]
    owners = Enrollment.objects.filter(pk__in=accounts).values_list("customer__first_name", flat=True)
    assert set(owners) == {"Alice", "Bob"}


def test_more_accounts_than_can_be_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ACCOUNTS_NAMED_MAX", 0)
    assert looked_closely(shop) == ([FIFO], [""])


# More than an entry has, and nothing by the modulus of the weights.
HUGE = 4294967291


def entry(whose: str, version: int) -> str:
    return (
        f"(SELECT id FROM loyalty_transactions WHERE enrollment_id = '{{{whose}}}' AND version = {version})"
    )


def lot(whose: str, points: int) -> str:
    return f"(SELECT id FROM loyalty_lots WHERE enrollment_id = '{{{whose}}}' AND points = {points})"


BOBS = "WHERE enrollment_id = '{bob}' AND"
# Of the seven points that expired one is left, and all sums say so.
ONE_LEFT = f"""
UPDATE loyalty_transactions SET points = -6, balance_after = balance_after + 1 {BOBS} version = 6;
UPDATE loyalty_transactions SET balance_before = balance_before + 1, balance_after = balance_after + 1 {BOBS} version > 6;
UPDATE loyalty_enrollments SET balance = balance + 1 WHERE id = '{{bob}}';
UPDATE loyalty_allocations SET points = 6 WHERE expired;
UPDATE loyalty_lots SET remaining = 1 {BOBS} points = 7;
"""
# As if the seven points had lasted while Bob was active.
WHILE_ACTIVE = f"UPDATE loyalty_lots SET while_active = true, expires_at = NULL {BOBS} points = 7;"

# What is done to a sound ledger, by the one screen that sees it.
DAMAGE = {
    "a balance that nobody moved": (
        ACCOUNTS,
        "UPDATE loyalty_enrollments SET balance = balance + 1 WHERE id = '{bob}'",
    ),
    "a balance without entries": (
        ACCOUNTS,
        "INSERT INTO loyalty_enrollments (id, merchant_id, customer_id, program_id, balance, version, tier, net_spend,"
        " enrolled_at) SELECT gen_random_uuid(), merchant_id, gen_random_uuid(), program_id, 5, 0, '', 0, enrolled_at"
        " FROM loyalty_enrollments WHERE id = '{bob}'",
    ),
    "an entry that begins elsewhere": (
        ACCOUNTS,
        f"UPDATE loyalty_transactions SET balance_before = balance_before + 1, balance_after = balance_after + 1"
        f" {BOBS} version = 3",
    ),
    "one version three times": (
        ACCOUNTS,
        f"""
        INSERT INTO loyalty_transactions (id, merchant_id, enrollment_id, version, type, points, balance_before, balance_after,
            description, transaction_id, occurred_at, recorded_at)
        SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, merchant_id, enrollment_id, version, type, points,
            balance_before, balance_after, description, '', occurred_at, recorded_at
        FROM loyalty_transactions, generate_series(1, 2) n {BOBS} version = 7;
        INSERT INTO loyalty_lots (id, merchant_id, enrollment_id, entry_id, points, remaining, earned_at)
        SELECT gen_random_uuid(), merchant_id, enrollment_id, ('00000000-0000-0000-0000-00000000000' || n)::uuid, points,
            points, earned_at FROM loyalty_lots, generate_series(1, 2) n WHERE id = {lot("bob", 30)};
        """,
    ),
    "wrong arithmetic": (
        ACCOUNTS,
        f"""
        UPDATE loyalty_transactions SET points = points + 1 {BOBS} version = 8;
        UPDATE loyalty_lots SET points = points + 1, remaining = remaining + 1 WHERE id = {lot("bob", 40)};
        """,
    ),
    "an entry too large to be weighed": (
        ACCOUNTS,
        f"""
        UPDATE loyalty_transactions SET points = points + {HUGE}, balance_after = balance_after + {HUGE} {BOBS} version = 8;
        UPDATE loyalty_transactions SET balance_before = balance_before + {HUGE}, balance_after = balance_after + {HUGE}
            {BOBS} version = 9;
        UPDATE loyalty_enrollments SET balance = balance + {HUGE} WHERE id = '{{bob}}';
        """,
    ),
    "used by another account": (
        MOVES,
        f"""
        UPDATE loyalty_allocations SET lot_id = CASE entry_id WHEN {entry("bob", 9)} THEN {lot("carol", 50)}
            ELSE {lot("bob", 50)} END WHERE entry_id IN ({entry("bob", 9)}, {entry("carol", 2)})
        """,
    ),
    "expired without saying so": (MOVES, WHILE_ACTIVE + "UPDATE loyalty_allocations SET expired = false WHERE expired"),
    "burnt after its time": (
        MOVES,
        f"UPDATE loyalty_lots SET expires_at = '2026-01-01Z' WHERE id = {lot('bob', 100)}",
    ),
    "refilled after its time": (
        MOVES,
        f"UPDATE loyalty_lots SET expires_at = e.recorded_at FROM loyalty_transactions e WHERE e.id = {entry('alice', 4)}"
        f" AND loyalty_lots.entry_id = {entry('alice', 1)}",
    ),
    "redeemed before it could be": (
        MOVES,
        f"UPDATE loyalty_lots SET available_at = '2999-01-01Z' WHERE id = {lot('bob', 100)}",
    ),
    "expired in part": (MOVES, ONE_LEFT),
    "expired without a time": (MOVES, f"UPDATE loyalty_lots SET expires_at = NULL {BOBS} points = 7"),
    "expired before its time": (
        MOVES,
        f"""
        UPDATE loyalty_lots SET expires_at = expires_at + interval '9 days' {BOBS} points = 7;
        UPDATE loyalty_transactions SET occurred_at = occurred_at + interval '9 days' {BOBS} version = 6;
        """,
    ),
    "expired at another time": (
        MOVES,
        f"UPDATE loyalty_transactions SET occurred_at = occurred_at - interval '1 second' {BOBS} version = 6",
    ),
    "inactive, expired in part": (MOVES, ONE_LEFT + WHILE_ACTIVE),
    "inactive, at a time of its own": (MOVES, f"UPDATE loyalty_lots SET while_active = true {BOBS} points = 7"),
    "inactive before it was so": (
        MOVES,
        WHILE_ACTIVE
        + f"UPDATE loyalty_transactions SET occurred_at = recorded_at + interval '1 second' {BOBS} version = 6",
    ),
    "inactive before they were earned": (
        MOVES,
        WHILE_ACTIVE
        + f"UPDATE loyalty_lots l SET earned_at = e.occurred_at FROM loyalty_transactions e WHERE l.id = {lot('bob', 7)}"
        f" AND e.id = {entry('bob', 6)}",
    ),
    "redeemed from the later lot": (
        MOVES,
        f"UPDATE loyalty_lots SET earned_at = earned_at - interval '9 days' WHERE id = {lot('bob', 40)}",
    ),
    "a debit of other points": (
        SUMS,
        f"UPDATE loyalty_allocations SET points = 15 - points WHERE lot_id = {lot('bob', 50)}",
    ),
    "a lot that grew, and one that shrank": (
        SUMS,
        f"UPDATE loyalty_lots SET remaining = remaining + CASE points WHEN 50 THEN 1 ELSE -1 END {BOBS} points IN (40, 50)",
    ),
    "lots of one another": (
        SUMS,
        f"""
        UPDATE loyalty_lots SET enrollment_id = CASE id WHEN {lot("bob", 30)} THEN '{{erin}}'::uuid ELSE '{{bob}}'::uuid END
        WHERE id IN ({lot("bob", 30)}, {lot("erin", 30)})
        """,
    ),
    "a lot below nothing": (
        SUMS,
        f"""
        UPDATE loyalty_allocations SET lot_id = {lot("bob", 100)} WHERE entry_id = {entry("bob", 9)};
        UPDATE loyalty_lots SET remaining = remaining + CASE points WHEN 50 THEN 5 ELSE -5 END {BOBS} points IN (50, 100);
        """,
    ),
    "a lot above what it was opened with": (
        SUMS,
        """
        UPDATE loyalty_allocations SET points = 60 WHERE points = 50 AND entry_id = {reversal};
        DELETE FROM loyalty_allocations WHERE points = 10 AND entry_id = {reversal};
        UPDATE loyalty_lots SET remaining = CASE remaining WHEN 10 THEN 0 ELSE 110 END WHERE enrollment_id = '{alice}';
        """.replace("{reversal}", entry("alice", 4)),
    ),
    "an allocation too large to be weighed": (
        SUMS,
        f"UPDATE loyalty_allocations SET points = points + {HUGE} WHERE entry_id = {entry('bob', 9)}",
    ),
    "a lot too large to be weighed": (
        SUMS,
        f"UPDATE loyalty_lots SET points = points + {HUGE}, remaining = remaining + {HUGE} WHERE id = {lot('bob', 30)}",
    ),
}  # fmt: skip


@pytest.fixture
def unguarded(db: None, shop: Shop) -> Iterator[None]:
    """Without triggers and checks, as after a restore that went wrong. The test's transaction is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        for table, constraint in (
            ("loyalty_lots", "loyalty_lots_remaining_bounds"),
            ("loyalty_transactions", "loyalty_transactions_version_uniq"),
            ("loyalty_transactions", "loyalty_transactions_arithmetic"),
            ("loyalty_transactions", "loyalty_transactions_points_bounds"),
        ):
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = DEFAULT")


def found(shop: Shop, *, exact: bool = False) -> list[Finding]:
    """Findings of the checks that have these screens."""
    pairs = list(verify(merchant_id=shop.merchant.pk, exact=exact))
    return [finding for check, finding in pairs if finding is not None and check.says in SCREENED]


def without(screen: Screen) -> tuple[object, ...]:
    """The checks, with nobody suspected by this screen."""
    return tuple(
        replace(check, screens=tuple(each for each in check.screens if each is not screen))
        for check in CHECKS
    )


@pytest.mark.parametrize("name", DAMAGE)
def test_each_sees_what_no_other_does(
    shop: Shop, unguarded: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    screen, statements = DAMAGE[name]
    accounts = {
        first_name.lower(): str(account_id)
        for first_name, account_id in Enrollment.objects.values_list("customer__first_name", "pk")
    }
    with connection.cursor() as cursor:
        cursor.execute(statements.format(**accounts))
    exact = found(shop, exact=True)
    assert exact
    assert found(shop) == exact
    for each in LEDGER:
        monkeypatch.setattr(running, "CHECKS", without(each))
        if each is screen:
            assert found(shop) != exact
        else:
            assert found(shop) == exact, "another screen sees it too"
