"""What the database itself refuses, and what `verify_ledger` finds where it cannot."""

from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from customers.models import Customer
from loyalty.models import Enrollment, Lot, Program
from loyalty.services import expire_lots
from loyalty.verification import verify, verify_replay
from tests.fixtures import Shop
from tests.tills import bring_back, findings, minutes, move, register, sell

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(shop: Shop, program: Program, alice: Customer) -> Customer:
    """Some of everything: two purchases, a return, a redemption and its partial reversal, an expiry."""
    sell(shop.access, alice, "T-1", "100", minutes(0))
    sell(shop.access, alice, "T-2", "50", minutes(1))
    bring_back(shop.access, "T-1", "R-1", "20", minutes(2))
    move(shop.access, alice, "redeemed", 90, "X-1")
    move(shop.access, alice, "reversed", 15, "X-1")
    move(shop.access, alice, "earned", 7)
    Lot.objects.filter(points=7).update(expires_at=now())
    expire_lots(merchant_id=shop.merchant.pk)
    return alice


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_sound_ledger_has_no_findings(shop: Shop, history: Customer) -> None:
    assert findings(shop) == []
    out = StringIO()
    call_command("verify_ledger", "--merchant", "corner-shop", stdout=out)
    assert "The ledger is sound" in out.getvalue()
    call_command("verify_ledger", "--full", stdout=StringIO())
    out = StringIO()
    call_command("verify_ledger", verbosity=2, stdout=out)
    assert " s    each account against its entries" in out.getvalue()


@pytest.mark.parametrize(
    "table",
    [
        "loyalty_transactions",
        "loyalty_allocations",
        "loyalty_shortfalls",
        "loyalty_program_versions",
        "purchases",
        "purchase_returns",
    ],
)
@pytest.mark.parametrize(
    "change", ["UPDATE {} SET merchant_id = merchant_id, id = gen_random_uuid()", "DELETE FROM {}"]
)
def test_what_is_append_only_refuses_changes(shop: Shop, history: Customer, table: str, change: str) -> None:
    if table == "loyalty_shortfalls":
        move(shop.access, history, "redeemed", 55)
        bring_back(shop.access, "T-1", "R-2", None, minutes(3))
    with pytest.raises(IntegrityError, match="refused"), transaction.atomic():
        execute(change.format(table))


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE loyalty_enrollments SET balance = -1", "loyalty_enrollments_balance_positive"),
        ("UPDATE loyalty_lots SET remaining = points + 1", "loyalty_lots_remaining_bounds"),
        ("UPDATE loyalty_lots SET remaining = -1", "loyalty_lots_remaining_bounds"),
    ],
)
def test_bounds_are_the_databases(shop: Shop, history: Customer, statement: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        execute(statement)


def wrong(shop: Shop, *, exact: bool = False) -> dict[int, set[object]]:
    """By number of the invariant, who or what offends it. Without the constraints that a test has dropped."""
    found: dict[int, set[object]] = {}
    for _, finding in verify(merchant_id=shop.merchant.pk, exact=exact):
        if finding is not None and finding.number:
            found.setdefault(finding.number, set()).update(subject for _, subject, _ in finding.offenders)
    return found


def theirs(customer: Customer) -> set[object]:
    """The ids of a customer, of their account and lots, also as text."""
    lots = Lot.objects.filter(enrollment__customer_id=customer.pk)
    ids = {customer.pk, *lots.values_list("pk", flat=True), *lots.values_list("enrollment_id", flat=True)}
    return ids | {str(each) for each in ids}


def copy_entry(**changed: str) -> str:
    """SQL that inserts the first entry once more, with other values."""
    columns = [
        "id", "merchant_id", "enrollment_id", "version", "type", "points", "balance_before", "balance_after",
        "description", "purchase_id", "transaction_id", "store_id", "occurred_at", "recorded_at",
    ]  # fmt: skip
    values = {"id": "gen_random_uuid()", "version": "99", "purchase_id": "NULL", **changed}
    selected = ", ".join(values.get(column, column) for column in columns)
    return (
        f"INSERT INTO loyalty_transactions ({', '.join(columns)}) SELECT {selected} FROM loyalty_transactions"
        " WHERE version = 1"
    )


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({"version": "1"}, "loyalty_transactions_version_uniq"),
        ({"balance_after": "balance_after + 1"}, "loyalty_transactions_arithmetic"),
        ({"points": "0", "balance_after": "balance_before"}, "loyalty_transactions_points_bounds"),
        (
            {"points": "1000000001", "balance_after": "balance_before + 1000000001"},
            "loyalty_transactions_points_bounds",
        ),
        (
            {"points": "-1000000001", "balance_after": "balance_before - 1000000001"},
            "loyalty_transactions_points_bounds",
        ),
        ({"purchase_id": "purchase_id"}, "loyalty_transactions_sale_earns_once"),
        ({"type": "'redeemed'", "transaction_id": "'X-1'"}, "loyalty_transactions_effect_uniq"),
    ],
)
def test_entries_are_bounded(shop: Shop, history: Customer, changed: dict[str, str], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        execute(copy_entry(**changed))


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ("gen_random_uuid(), merchant_id, entry_id, lot_id, 1, false", "loyalty_allocations_uniq"),
        (
            "gen_random_uuid(), merchant_id, (SELECT id FROM loyalty_transactions WHERE version = 1), lot_id, 0, false",
            "loyalty_allocations_points_positive",
        ),
        (
            "gen_random_uuid(), merchant_id, (SELECT id FROM loyalty_transactions WHERE version = 1), lot_id, 1, true",
            "loyalty_allocations_expires_once",
        ),
    ],
)
def test_allocations_are_bounded(shop: Shop, history: Customer, values: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        execute(
            f"INSERT INTO loyalty_allocations (id, merchant_id, entry_id, lot_id, points, expired)"
            f" SELECT {values} FROM loyalty_allocations WHERE expired"
        )


def test_nothing_crosses_merchants(shop: Shop, history: Customer, foreign_shop: Shop) -> None:
    mallory = register(foreign_shop, "Mallory")
    for statement in (
        f"UPDATE loyalty_enrollments SET customer_id = '{mallory.pk}'",
        f"UPDATE loyalty_enrollments SET merchant_id = '{foreign_shop.merchant.pk}'",
        f"UPDATE loyalty_lots SET merchant_id = '{foreign_shop.merchant.pk}'",
        copy_entry(store_id=f"'{foreign_shop.store.pk}'"),
    ):
        with pytest.raises(IntegrityError, match="tenant_fk"), transaction.atomic():
            execute(statement)
            execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("SET CONSTRAINTS ALL DEFERRED")


@pytest.fixture
def unguarded(history: Customer) -> Iterator[None]:
    """Without triggers and checks, as after a restore that went wrong. The test's transaction is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        for table, constraint in (
            ("loyalty_enrollments", "loyalty_enrollments_balance_positive"),
            ("loyalty_lots", "loyalty_lots_remaining_bounds"),
            ("loyalty_allocations", "loyalty_allocations_uniq"),
            ("loyalty_transactions", "loyalty_transactions_arithmetic"),
            ("loyalty_transactions", "loyalty_transactions_points_bounds"),
        ):
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        cursor.execute("DROP INDEX loyalty_allocations_expires_once")
        cursor.execute("DROP INDEX loyalty_transactions_effect_uniq")
        cursor.execute("DROP INDEX loyalty_transactions_sale_earns_once")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = DEFAULT")


DAMAGE = {
    "a balance that nobody moved": ("UPDATE loyalty_enrollments SET balance = balance + 1", {1}),
    "a customer who shows other points": ("UPDATE customers SET points = points + 1", {1}),
    "a customer who shows another tier": ("UPDATE customers SET tier = 'gold'", {1}),
    "a debt": ("UPDATE loyalty_enrollments SET balance = -1", {1, 2}),
    "a lot that grew": ("UPDATE loyalty_lots SET remaining = points + 1 WHERE remaining > 0", {1, 3}),
    "a lot below zero": ("UPDATE loyalty_lots SET remaining = -1", {1, 3}),
    "a lost allocation": ("DELETE FROM loyalty_allocations WHERE points = 80", {3, 4, 5}),
    "a larger allocation": ("UPDATE loyalty_allocations SET points = points + 1", {3, 4}),
    "a lost lot": ("DELETE FROM loyalty_lots WHERE remaining > 0", {1, 4}),
    "redeemed from the later lot": (
        "UPDATE loyalty_lots l SET earned_at = earned_at + CASE points WHEN 100 THEN interval '9 days' ELSE interval '0' END",
        {5},
    ),
    "burnt after its time": (
        "UPDATE loyalty_lots SET expires_at = '2026-01-01Z' WHERE expires_at IS NULL",
        {6},
    ),
    "expired without saying so": ("UPDATE loyalty_allocations SET expired = false WHERE expired", {7}),
    "expired by another entry": ("UPDATE loyalty_allocations SET expired = true WHERE points = 80", {7}),
    "expired before its time": (
        "UPDATE loyalty_lots SET expires_at = expires_at + interval '900 days' WHERE expires_at IS NOT NULL",
        {7},
    ),
    "expired in part": (
        "UPDATE loyalty_lots SET remaining = 1, points = points + 1 WHERE expires_at IS NOT NULL",
        {1, 4, 7},
    ),
    "expired twice": (
        "INSERT INTO loyalty_allocations (id, merchant_id, entry_id, lot_id, points, expired)"
        " SELECT gen_random_uuid(), merchant_id, entry_id, lot_id, points, true FROM loyalty_allocations WHERE expired",
        {3, 4, 7},
    ),
    "reversed beyond": (
        "UPDATE loyalty_transactions SET points = 99, balance_after = balance_before + 99 WHERE type = 'reversed' AND points > 0",
        {1, 4, 8, 11, 15},
    ),
    "taken back beyond what was earned": (
        "UPDATE loyalty_transactions SET points = -101, balance_after = balance_before - 101"
        " WHERE type = 'reversed' AND points < 0",
        {1, 4, 8, 11, 12, 15},
    ),
    "returned beyond the sale": ("UPDATE purchase_returns SET amount = 101", {8, 12, 18, 23}),
    "a gap": ("UPDATE loyalty_transactions SET version = version + 1 WHERE version = 7", {11}),
    "an entry that begins elsewhere": (
        "UPDATE loyalty_transactions SET balance_before = balance_before + 1, balance_after = balance_after + 1"
        " WHERE version = 3",
        {11, 15},
    ),
    "wrong arithmetic": (
        "UPDATE loyalty_transactions SET balance_after = balance_after + 1 WHERE version = 5",
        {11, 15},
    ),
    "one entry more": (copy_entry(), {1, 4, 11, 15}),
    "an effect twice": (copy_entry(type="'redeemed'", transaction_id="'X-1'"), {1, 4, 11, 13, 15}),
    "a purchase that earns twice": (copy_entry(purchase_id="purchase_id"), {1, 4, 11, 12, 13, 15}),
    "no points": ("UPDATE loyalty_transactions SET points = 0 WHERE version = 2", {1, 4, 11, 12, 15, 16}),
    "another spend": ("UPDATE customers SET total_spent = total_spent + 1", {18}),
    "another number of visits": ("UPDATE customers SET visit_count = 7", {18}),
    "another first visit": ("UPDATE customers SET first_visit_at = last_visit_at", {18}),
    "a purchase of another amount": ("UPDATE purchases SET amount = 49 WHERE amount = 50", {12, 18}),
    "another net spend": ("UPDATE loyalty_enrollments SET net_spend = 600", {12}),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(shop: Shop, history: Customer, unguarded: None, name: str) -> None:
    statement, numbers = DAMAGE[name]
    execute(statement)
    execute("SET session_replication_role = DEFAULT")
    sell(shop.access, register(shop, "Bystander"), "T-9", "10")
    found = wrong(shop)
    replayed = verify_replay(merchant_id=shop.merchant.pk)
    assert found.keys() | ({replayed.number} if replayed is not None else set()) == numbers
    hers = theirs(history)
    assert {subject for subjects in found.values() for subject in subjects} <= hers
    assert replayed is None or {subject for _, subject, _ in replayed.offenders} == {history.pk}
    # The screens overlook nothing.
    assert wrong(shop, exact=True) == found
    with pytest.raises(CommandError, match="checks failed"):
        call_command("verify_ledger", stdout=StringIO())


def test_a_trigger_that_is_switched_off_is_found(shop: Shop, history: Customer) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("ALTER TABLE loyalty_transactions DISABLE TRIGGER loyalty_transactions_append_only")
    (finding,) = [finding for _, finding in verify() if finding is not None]
    assert (finding.number, finding.offenders[0][1]) == (10, "loyalty_transactions")


def test_crossed_merchants_are_found(
    shop: Shop, history: Customer, foreign_shop: Shop, unguarded: None
) -> None:
    mallory = register(foreign_shop, "Mallory")
    execute(f"UPDATE loyalty_enrollments SET customer_id = '{mallory.pk}'")
    # What a foreign key in force forbids is only looked for when asked to.
    assert 14 not in wrong(shop)
    assert wrong(shop, exact=True)[14] == {Lot.objects.values_list("enrollment_id", flat=True).first()}
    execute("ALTER TABLE loyalty_enrollments DROP CONSTRAINT loyalty_enrollments_customer_tenant_fk")
    assert 14 in wrong(shop)


CROSSED = {
    # Each takes what the other lost, so all sums are right.
    "lots": """
        UPDATE loyalty_lots l SET enrollment_id = o.enrollment_id FROM loyalty_lots o
        WHERE l.points = 100 AND o.points = 100 AND o.enrollment_id <> l.enrollment_id
    """,
    "allocations": """
        UPDATE loyalty_allocations a SET lot_id = o.lot_id FROM loyalty_allocations o
        JOIN loyalty_lots k ON k.id = o.lot_id, loyalty_lots l
        WHERE l.id = a.lot_id AND o.points = 90 AND a.points = 90 AND k.enrollment_id <> l.enrollment_id
    """,
}


@pytest.mark.parametrize("name", CROSSED)
def test_crossed_accounts_are_found(
    shop: Shop, program: Program, alice: Customer, bob: Customer, name: str
) -> None:
    for customer in (alice, bob):
        sell(shop.access, customer, f"T-{customer.first_name}", "100")
        move(shop.access, customer, "redeemed", 90, f"X-{customer.first_name}")
    assert wrong(shop) == {}
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("SET session_replication_role = replica")
    execute(CROSSED[name])
    execute("SET session_replication_role = DEFAULT")
    accounts = set(Enrollment.objects.values_list("pk", flat=True))
    found = wrong(shop)
    assert found[14] == accounts
    assert found == wrong(shop, exact=True)


def test_a_constraint_that_is_not_in_force_is_found(shop: Shop, history: Customer) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")

    def missing() -> set[object]:
        return {
            name
            for _, finding in verify()
            if finding and not finding.number
            for _, name, _ in finding.offenders
        }

    assert missing() == set()
    name = "loyalty_lots_entry_tenant_fk"
    definition = "FOREIGN KEY (merchant_id, entry_id) REFERENCES loyalty_transactions (merchant_id, id)"
    execute(f"ALTER TABLE loyalty_lots DROP CONSTRAINT {name}")
    assert missing() == {name}
    execute(f"ALTER TABLE loyalty_lots ADD CONSTRAINT {name} {definition} NOT VALID")
    assert missing() == {name}
    execute(f"ALTER TABLE loyalty_lots VALIDATE CONSTRAINT {name}")
    assert missing() == set()
    execute("DROP INDEX loyalty_transactions_effect_uniq")
    assert missing() == {"loyalty_transactions_effect_uniq"}


def test_offenders_are_named(shop: Shop, history: Customer) -> None:
    execute("UPDATE loyalty_enrollments SET balance = 999")
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_ledger", stdout=out)
    printed = out.getvalue()
    assert str(shop.merchant.pk) in printed
    assert "balance 999, entries 55" in printed


@pytest.mark.django_db(transaction=True)
def test_sessions_side_by_side_find_the_same(shop: Shop, history: Customer) -> None:
    assert [finding for _, finding in verify(sessions=2) if finding] == []
    execute("UPDATE loyalty_enrollments SET balance = 999")
    alone = [finding for _, finding in verify(sessions=1) if finding]
    assert alone
    assert [finding for _, finding in verify(sessions=2) if finding] == alone
    assert [finding for _, finding in verify(sessions=2, exact=True) if finding] == alone


def test_another_merchants_damage_is_another_merchants(
    shop: Shop, history: Customer, foreign_shop: Shop
) -> None:
    execute("UPDATE loyalty_enrollments SET balance = 999")
    call_command("verify_ledger", "--merchant", "far-away-traders", stdout=StringIO())
    with pytest.raises(CommandError, match="no merchant"):
        call_command("verify_ledger", "--merchant", "nobody")
