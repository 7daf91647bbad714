"""How long segment rules take on a large merchant: trying them out, building fifty, and following one purchase.

    python -m benchmarks.segments --customers 1000000 --purchases 10000000 [--keep]

Fills a throw-away database (`<name>_rollups`, the same that benchmarks.analytics makes and --keep leaves) and gives half of its
customers addresses, consent and tags. Then:

    previews     each rule 20 times, the first time told apart: of rules on fields, and on purchases in a window
    bare SQL     two of each kind as somebody would write them by hand, counted: the best of several runs of both
    builds       fifty rules, all different: for the first time, again, and again a day later
    purchases    what the handler takes for the event of one sale, with all fifty rules to ask

Prints the goals beside. `--plans` shows what PostgreSQL does for each rule.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median
from typing import Any

from benchmarks import database

FIELD_GOAL_S, WINDOW_GOAL_S, RATIO_GOAL, BUILDS_GOAL_S, PURCHASE_GOAL_MS = 1.0, 5.0, 2.0, 60.0, 50.0
RULES = 50
RUNS, BARE_RUNS = 20, 5
SALES = 40

Rule = dict[str, Any]


def field(name: str, op: str, value: Any) -> Rule:
    return {"field": {"name": name, "op": op, "value": value}}


def bought(measure: str, op: str, value: Any, **more: Any) -> Rule:
    return {"purchases": {"measure": measure, "op": op, "value": value, **more}}


def field_rules(n: int = 0) -> dict[str, Rule]:
    """Rules on what is in a customer's row, or beside it; others for each `n`."""
    return {
        f"spent {100 + n} or more": field("totalSpent", "gte", str(100 + n)),
        "at risk, may be e-mailed": {
            "all": [
                field("segment", "in", ["at_risk"]),
                {"consent": {"channel": "email", "purpose": "marketing", "granted": True}},
                *([field("totalSpent", "gte", str(n))] if n else []),
            ]
        },
        "tagged, or near London": {
            "any": [
                field("tags", "any_of", ["wholesale"]),
                {"address": {"near": {"latitude": 51.5, "longitude": -0.1, "radiusKm": 5 + n}}},
            ]
        },
        f"silent for {90 + n} days, with figures": {
            "all": [
                field("lastVisitAt", "not_in_last", {"days": 90 + n}),
                field("frequencyScore", "gte", 4),
                {"none": [field("churnProbability", "gte", 0.9)]},
            ]
        },
        "a tenth by chance": {"bucket": {"salt": f"spring {n}", "from": 0, "to": 10}},
    }


def window_rules(n: int = 0) -> dict[str, Rule]:
    """Rules on purchases in a window; others for each `n`."""
    return {
        f"category {3 + n} three times in {90 - 5 * n} days": bought(
            "count", "gte", 3, categories=[f"Category {3 + n}"], window={"last": {"days": 90 - 5 * n}}
        ),
        f"{500 + 10 * n} or more in {12 - n} months": bought(
            "sum", "gte", str(500 + 10 * n), window={"last": {"months": 12 - n}}
        ),
        f"nothing for {180 - 10 * n} days, something before": {
            "all": [
                bought("count", "eq", 0, window={"last": {"days": 180 - 10 * n}}),
                bought("count", "gte", 1, window={"to": {"ago": {"days": 181 - 10 * n}}}),
            ]
        },
        "gifts lately or a large purchase": {
            "any": [
                bought("count", "gte", 1, skus=[f"SKU{7 + n}"], window={"last": {"days": 30 + n}}),
                bought("count", "gte", 1, amountAtLeast=str(95 - n), window={"last": {"days": 30 + n}}),
            ]
        },
    }


# The same as somebody would write it who knows the tables.
BARE: dict[str, str] = {
    "spent 100 or more": "SELECT count(*) FROM customers WHERE merchant_id = %(m)s AND deleted_at IS NULL AND total_spent >= 100",
    "silent for 90 days, with figures": """
        SELECT count(*) FROM customers c JOIN analytics_customers f ON f.merchant_id = c.merchant_id AND f.customer_id = c.id
        WHERE c.merchant_id = %(m)s AND c.deleted_at IS NULL AND f.frequency_score >= 4 AND f.churn < 0.9
            AND (c.last_visit_at IS NULL OR c.last_visit_at < now() - interval '90 days')""",
    "category 3 three times in 90 days": """
        SELECT count(*) FROM (
            SELECT p.customer_id FROM purchases p
            JOIN purchase_items i ON i.merchant_id = p.merchant_id AND i.purchase_id = p.id AND i.category = 'Category 3'
            JOIN customers c ON c.merchant_id = p.merchant_id AND c.id = p.customer_id AND c.deleted_at IS NULL
            WHERE p.merchant_id = %(m)s AND p.occurred_at >= now() - interval '90 days' AND p.amount > p.returned
                AND i.quantity > i.returned
            GROUP BY p.customer_id HAVING count(DISTINCT p.id) >= 3
        ) found""",
    "500 or more in 12 months": """
        SELECT count(*) FROM (
            SELECT p.customer_id FROM purchases p
            JOIN customers c ON c.merchant_id = p.merchant_id AND c.id = p.customer_id AND c.deleted_at IS NULL
            WHERE p.merchant_id = %(m)s AND p.occurred_at >= now() - interval '12 months' AND p.amount > p.returned
            GROUP BY p.customer_id HAVING sum(p.amount - p.returned) >= 500
        ) found""",
}


def main() -> None:
    chosen = _options()
    name = database.point_environment_at_own_database("_rollups")
    os.environ["DJANGO_SETTINGS_MODULE"] = "cloudpos.settings"
    is_new = database.make(name, chosen)
    import django

    django.setup()
    from django.db import connection, connections

    try:
        if is_new:
            from benchmarks.analytics_population import fill

            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = 0")
            fill(chosen.customers, chosen.purchases)
            connection.close()
            database.mark(name, chosen)
        _enrich()
        measure(chosen)
    finally:
        connections.close_all()
        if not chosen.keep:
            database.drop(name)


def measure(chosen: argparse.Namespace) -> None:
    from cloudpos.tenancy.models import Merchant

    merchant = Merchant.objects.get(slug="large")
    if chosen.plans:
        for title, rule in {**field_rules(), **window_rules()}.items():
            _plan(merchant, title, rule)
    for kind, rules, goal in (
        ("fields", field_rules(), FIELD_GOAL_S),
        ("purchases in a window", window_rules(), WINDOW_GOAL_S),
    ):
        taken = sorted(
            seconds for title, rule in rules.items() for seconds in _previews(merchant, title, rule)
        )
        p95 = taken[int(len(taken) * 0.95)]
        print(
            f"{p95:9.3f} s  previews of rules on {kind}: p95 (goal {goal:.0f} s), median {median(taken):.3f}",
            flush=True,
        )
    _bare_sql(merchant)
    _builds(merchant)
    _purchases(merchant)


def _enrich() -> None:
    """Every second customer has an address, consent and a tag, all by arithmetic; once."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SELECT EXISTS (SELECT FROM customer_preferences)")
        if cursor.fetchone()[0]:
            return
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            """
            INSERT INTO customer_preferences (id, merchant_id, customer_id, consents, language, updated_at)
            SELECT gen_random_uuid(), merchant_id, id,
                jsonb_build_object('email', jsonb_build_object('marketing', get_byte(uuid_send(id), 15) % 3 > 0)), '', now()
            FROM customers WHERE get_byte(uuid_send(id), 15) % 2 = 0"""
        )
        cursor.execute(
            """
            INSERT INTO customer_addresses (id, merchant_id, customer_id, label, type, street1, street2, city, state, postal_code,
                country, latitude, longitude, is_default, instructions, created_at, updated_at)
            SELECT gen_random_uuid(), merchant_id, id, '', 'home', '1 Road', '', 'London', '', 'N1 1AA',
                'GB', 50 + get_byte(uuid_send(id), 15) / 64.0, get_byte(uuid_send(id), 14) / 64.0 - 2, true, '',
                now(), now()
            FROM customers WHERE get_byte(uuid_send(id), 15) % 2 = 1"""
        )
        cursor.execute(
            "UPDATE customers SET tags = '{wholesale}' WHERE get_byte(uuid_send(id), 15) % 20 = 0 AND tags = '{}'"
        )
        # A sale's ledger entry follows the last one.
        cursor.execute(
            """
            UPDATE loyalty_enrollments e SET version = last.version FROM (
                SELECT enrollment_id, max(version) AS version FROM loyalty_transactions GROUP BY 1
            ) last WHERE e.id = last.enrollment_id"""
        )
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM (ANALYZE) customers, customer_preferences, customer_addresses")
        cursor.execute("RESET statement_timeout")


def _clocked(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _previews(merchant: Any, title: str, rule: Rule) -> list[float]:
    from django.utils.timezone import now

    from marketing.segment_reading import preview_rule
    from marketing.segments.parsing import parse_rule

    found: list[Any] = []

    def one() -> None:
        parsed = parse_rule(rule)
        found.append(preview_rule(merchant_id=merchant.pk, rule=parsed, segment_id=None, sample=5, at=now()))

    taken = [_clocked(one) for _ in range(RUNS)]
    print(
        f"{'':12} {taken[0]:.3f} s, then {min(taken[1:]):.3f} to {max(taken[1:]):.3f}: {title}: {found[-1].count:,}",
        flush=True,
    )
    return taken


def _bare_sql(merchant: Any) -> None:
    from django.db import connection

    from analytics.statements import long_statements
    from marketing.segment_builds import BUILDING

    def bare(sql: str) -> None:
        with long_statements(**BUILDING), connection.cursor() as cursor:
            cursor.execute(sql, {"m": merchant.pk})

    rules = {**field_rules(), **window_rules()}
    for title, sql in BARE.items():
        ours = min(_previews(merchant, title, rules[title]))
        theirs = min(_clocked(lambda sql=sql: bare(sql)) for _ in range(BARE_RUNS))  # type: ignore[misc]
        print(
            f"{ours / theirs:9.2f} x  of bare SQL ({theirs:.3f} s; goal {RATIO_GOAL:.0f} x): {title}",
            flush=True,
        )


def _plan(merchant: Any, title: str, rule: Rule) -> None:
    from django.db import connection
    from django.utils.timezone import now

    from analytics.statements import long_statements
    from marketing.segment_builds import BUILDING
    from marketing.segment_membership import clock_of
    from marketing.segments.compiling import Compiler
    from marketing.segments.parsing import parse_rule

    matching = Compiler(merchant.pk, clock_of(merchant, at=now())).matching(parse_rule(rule))
    with long_statements(**BUILDING), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF) {matching.text}", matching.params)
        print(f"--- {title}", *(line for (line,) in cursor.fetchall()), sep="\n", flush=True)


def _fifty() -> dict[str, Rule]:
    """Rules that differ in their numbers, as those of a merchant do."""
    found: dict[str, Rule] = {}
    for n in range(RULES):
        for title, rule in {**field_rules(n), **window_rules(n)}.items():
            if len(found) < RULES:
                found[f"{len(found)} {title}"] = rule
    return found


def _builds(merchant: Any) -> None:
    from django.utils.timezone import now

    from cloudpos.jobs.models import Job
    from marketing.models import Segment, SegmentMember
    from marketing.segment_services import create_segment
    from marketing.segment_upkeep import rebuild_everything

    access = _access()
    SegmentMember.objects.filter(merchant=merchant)._raw_delete("default")
    Segment.objects.filter(merchant=merchant).delete()
    for title, rule in _fifty().items():
        create_segment(access=access, name=title, kind="rule", rule=rule)
    Job.objects.filter(merchant=merchant).delete()
    first = _clocked(lambda: rebuild_everything(merchant=merchant, at=now()))
    same = _clocked(lambda: rebuild_everything(merchant=merchant, at=now()))
    tomorrow = now() + timedelta(days=1)
    again = _clocked(lambda: rebuild_everything(merchant=merchant, at=tomorrow))
    rows = SegmentMember.objects.filter(merchant=merchant).count()
    print(f"{first:9.1f} s  {RULES} rules built for the first time, {rows:,} members", flush=True)
    print(f"{same:9.1f} s  {RULES} rules built again (goal {BUILDS_GOAL_S:.0f} s)", flush=True)
    print(f"{again:9.1f} s  {RULES} rules built again a day later (the same goal)", flush=True)
    for segment in Segment.objects.filter(merchant=merchant).order_by("-build_ms")[:3]:
        print(
            f"{'':12} {segment.build_ms:,} ms: {segment.name}, {segment.size:,} members {segment.build_error}"
        )


def _access() -> Any:
    from cloudpos.tenancy.access import access_for
    from cloudpos.tenancy.models import Store, User

    found = access_for(user_id=User.objects.get().pk, store_id=Store.objects.get(code="S1").pk)
    assert found is not None
    return found


def _purchases(merchant: Any) -> None:
    from django.utils.timezone import now

    from benchmarks.analytics_population import sell
    from customers.models import Event
    from marketing.segment_upkeep import refresh_after

    taken, worked = [], []
    for number in range(SALES):
        sell(number * 7)
        event = Event.objects.filter(merchant=merchant, type="purchase.recorded").latest("recorded_at")
        refreshed = now()
        processor, started = time.process_time(), time.perf_counter()
        refresh_after(merchant_id=merchant.pk, event_ids=[str(event.pk)], at=refreshed)
        taken.append((time.perf_counter() - started) * 1000)
        worked.append((time.process_time() - processor) * 1000)
    taken.sort()
    print(
        f"{median(taken):9.1f} ms for the event of a purchase, {RULES} rules (goal {PURCHASE_GOAL_MS:.0f} ms): "
        f"p95 {taken[int(SALES * 0.95)]:.1f} ms, of it processor time of ours {median(worked):.1f} ms",
        flush=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--purchases", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="use the database that was left, and leave it")
    parser.add_argument("--plans", action="store_true", help="show PostgreSQL's plan of each rule")
    return parser.parse_args()


if __name__ == "__main__":
    main()
