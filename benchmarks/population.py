"""Merchants of very different size and their customers, loaded through the project's bulk paths.

    python -m benchmarks.population --customers 100000 --purchases 200000

writes into DATABASE_URL and prints, as its last line, a JSON object with what was loaded, how fast and in how much memory.
Everything is made up from a seed: two runs make the same people.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

MERCHANTS = 50
SMALLEST = 200
# With fifty merchants the largest gets half of all customers.
ZIPF_EXPONENT = 1.73
SEED = 3002
HISTORY_DAYS = 540
REGULARS_SHARE = 0.25


def sizes(customers: int) -> list[int]:
    """Customers per merchant, largest first: the largest about half of all, the smallest SMALLEST."""
    if customers < MERCHANTS * SMALLEST * 2:
        count = max(2, customers // (SMALLEST * 2))
    else:
        count = MERCHANTS
    weights = [1 / (rank + 1) ** ZIPF_EXPONENT for rank in range(count)]
    found = [max(SMALLEST, int(customers * weight / sum(weights))) for weight in weights]
    found[-1] = SMALLEST
    found[0] += customers - sum(found)
    return found


def names() -> tuple[list[str], list[str]]:
    """(first names, family names) of the demonstration's made-up people, all languages."""
    from demo.names import NAMES

    first = sorted({name for parts in NAMES.values() for name in (*parts.female, *parts.male)})
    family = sorted(
        {a + b for parts in NAMES.values() for a in parts.family_first for b in parts.family_last}
    )
    return first, family


def people(count: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Customers as `load_customers` takes them: names, unique e-mail and phone, an address, some tags."""
    first_names, family_names = names()
    towns = [
        ("Leeds", "LS1 1AA"),
        ("York", "YO1 7HH"),
        ("Bath", "BA1 1LT"),
        ("Truro", "TR1 2AF"),
        ("Derby", "DE1 1AA"),
    ]
    for number in range(count):
        first, family = chance.choice(first_names), chance.choice(family_names).capitalize()
        town, code = chance.choice(towns)
        person: dict[str, Any] = {
            "first_name": first,
            "last_name": family,
            "email": f"person.{number}@example.com" if chance.random() < 0.9 else "",
            # Nobody is ever called: these rows live in a database that is thrown away.
            "phone": f"+4474{number:08d}" if chance.random() < 0.8 else "",
            "addresses": [
                {
                    "street1": f"{chance.randint(1, 300)} {chance.choice(family_names).capitalize()} Street",
                    "city": town,
                    "postal_code": code,
                    "country": "GB",
                }
            ],
        }
        if chance.random() < 0.3:
            person["tags"] = chance.sample(["newsletter", "tea", "coffee", "wholesale", "student"], 2)
        yield person


def sales(
    customer_ids: list[Any], count: int, chance: random.Random, store_id: Any
) -> Iterator[dict[str, Any]]:
    """Purchases ordered by customer, as the bulk path takes them: a quarter of the customers make three of four."""
    regulars = max(1, int(len(customer_ids) * REGULARS_SHARE))
    per_customer = [0] * len(customer_ids)
    for _ in range(count):
        among = regulars if chance.random() < 0.75 else len(customer_ids)
        per_customer[chance.randrange(among)] += 1
    today = datetime.now(UTC).replace(microsecond=0)
    serial = 0
    for customer_id, purchases in zip(customer_ids, per_customer, strict=True):
        days = sorted((chance.random() * HISTORY_DAYS for _ in range(purchases)), reverse=True)
        for ago in days:
            pence = chance.randint(150, 15_000)
            serial += 1
            yield {
                "customer_id": customer_id,
                "store_id": store_id,
                "transaction_id": f"L{serial}",
                "amount": Decimal(pence) / 100,
                "items": [{"name": "Sundries", "quantity": 1, "unit_price": Decimal(pence) / 100}],
                "occurred_at": today - timedelta(days=ago, minutes=1),
            }


def merchants(count: int) -> list[Any]:
    """Merchants `benchmark-00` ..., each with one store, a program and a manager; the managers' Access in this order."""
    from cloudpos.tenancy.access import access_for
    from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User
    from loyalty.services import create_program

    found = []
    for number in range(count):
        slug = f"benchmark-{number:02}"
        merchant = Merchant.objects.create(
            name=f"Benchmark {number:02}", slug=slug, currency="GBP", country="GB", timezone="Europe/London"
        )
        store = Store.objects.create(merchant=merchant, name="High Street", code="HIGH")
        user = User.objects.create_user(f"manager@{slug}.example")
        Membership.objects.create(merchant=merchant, user=user, store=store, role=Role.MANAGER)
        create_program(merchant_id=merchant.pk)
        found.append(access_for(user_id=user.pk, store_id=store.pk))
    return found


def load_people(found: list[Any], counts: list[int], chance: random.Random) -> int:
    """Customers of every merchant through the bulk path. Returns how many."""
    from customers.services.bulk import load_customers

    loaded = 0
    for access, count in zip(found, counts, strict=True):
        report = load_customers(access=access, rows=people(count, chance))
        if report.loaded != count:
            raise SystemExit(f"loaded {report.loaded} of {count}: {report.refusals[:3]}")
        loaded += report.loaded
    return loaded


def load_sales(found: list[Any], counts: list[int], purchases: int, chance: random.Random) -> int:
    """Purchases with points, as many per merchant as it has of the customers. Returns how many."""
    from cloudpos.checkout.bulk import load_history
    from customers.models import Customer

    loaded = 0
    for access, count in zip(found, counts, strict=True):
        ids = list(
            Customer.objects.for_merchant(access.merchant_id).order_by("id").values_list("id", flat=True)
        )
        share = purchases * count // sum(counts)
        report = load_history(access=access, sales=sales(ids, share, chance, access.store_id))
        if report.purchases != share:
            raise SystemExit(f"loaded {report.purchases} of {share} purchases")
        loaded += report.purchases
    return loaded


def tidy() -> None:
    """What PostgreSQL and the service's own jobs do in the hours after such a load."""
    from django.db import connection

    from customers.tasks import compact_counts

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        compact_counts()
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("RESET statement_timeout")


def main() -> None:
    import django

    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, required=True)
    parser.add_argument("--purchases", type=int, required=True)
    chosen = parser.parse_args()
    django.setup()
    chance = random.Random(SEED)
    counts = sizes(chosen.customers)
    found = merchants(len(counts))
    steps = []
    loads: list[tuple[str, Callable[[], int]]] = [
        ("Customers with an address", lambda: load_people(found, counts, chance)),
        ("Purchases with points", lambda: load_sales(found, counts, chosen.purchases, chance)),
    ]
    for what, load in loads:
        started = time.perf_counter()
        rows = load()
        seconds = time.perf_counter() - started
        if rows:
            steps.append({"what": what, "rows": rows, "seconds": seconds})
            print(f"{what}: {rows:,} in {seconds:.1f} s", file=sys.stderr, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 * 1024 if sys.platform == "darwin" else 1024
    )
    print(json.dumps({"steps": steps, "peak_mb": peak}))


if __name__ == "__main__":
    main()
