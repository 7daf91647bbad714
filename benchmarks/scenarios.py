"""What is asked of the service, and of whom: random customers, real name fragments, new people, sales."""

import itertools
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

import orjson

from benchmarks.load import Call

EMPTY_PATH = "/api/v1/benchmark/empty"
PAGE_ROWS = 20
PAGES_AWAY_MAX = 1_200
FRAGMENT_LETTERS = (3, 4, 5)
OK, CREATED = 200, 201


@dataclass
class Counterparty:
    """One merchant, as a till of it knows it."""

    label: str
    merchant_id: uuid.UUID
    store_id: uuid.UUID
    user_id: uuid.UUID
    customers: int
    # Samples of what is there.
    customer_ids: Sequence[str] = ()
    names: Sequence[str] = ()
    phones: Sequence[str] = ()
    tiers: Sequence[str] = ()
    cursors: Sequence[str] = ()
    chance: random.Random = field(default_factory=lambda: random.Random(3002))
    serial: Iterator[int] = field(default_factory=itertools.count)

    def fragment(self) -> str:
        """The first letters of somebody's name here."""
        return self.chance.choice(self.names)[: self.chance.choice(FRAGMENT_LETTERS)]


@dataclass(frozen=True)
class Scenario:
    """`calls` makes the next request; `goal` is the least share of the empty DRF view, None where none was set."""

    name: str
    title: str
    calls: Callable[[Counterparty], Callable[[], Call]]
    expected: int = OK
    goal: float | None = None
    # The key of `data` that must hold rows for the answer to count as one.
    rows: str = ""
    # Also asked of the small merchant, to compare.
    both: bool = True
    # Asked at the end with how many requests were answered as expected: what of it is not in the books, "" when all is.
    check: Callable[[Counterparty, int], str] | None = None

    @property
    def writes(self) -> bool:
        return self.expected == CREATED


def _stack(at: Counterparty) -> Callable[[], Call]:
    return lambda: Call("GET", EMPTY_PATH)


def _list(at: Counterparty) -> Callable[[], Call]:
    return lambda: Call("GET", f"/api/v1/customers?limit={PAGE_ROWS}")


def _filtered(at: Counterparty) -> Callable[[], Call]:
    filters = [f"tier={tier}" for tier in at.tiers] + ["segment=new,regular", "segment=new&status=active"]
    return lambda: Call("GET", f"/api/v1/customers?limit={PAGE_ROWS}&{at.chance.choice(filters)}")


def _search(at: Counterparty) -> Callable[[], Call]:
    return lambda: Call("GET", f"/api/v1/customers?limit={PAGE_ROWS}&query={quote(at.fragment())}")


def _search_two(at: Counterparty) -> Callable[[], Call]:
    return lambda: Call(
        "GET", f"/api/v1/customers?limit={PAGE_ROWS}&query={quote(f'{at.fragment()} {at.fragment()}')}"
    )


def any_page(at: Counterparty) -> int:
    """One of those that numbers reach, see PAGE_ROWS_AWAY_MAX in customers.listing."""
    last = max(1, at.customers // PAGE_ROWS)
    page = at.chance.randint(1, min(last, 2 * PAGES_AWAY_MAX))
    return page if page <= PAGES_AWAY_MAX else last - (page - PAGES_AWAY_MAX) + 1


def _deep(at: Counterparty) -> Callable[[], Call]:
    return lambda: Call("GET", f"/api/v1/customers?limit={PAGE_ROWS}&page={any_page(at)}")


def _cursor(at: Counterparty) -> Callable[[], Call]:
    return lambda: Call(
        "GET", f"/api/v1/customers?limit={PAGE_ROWS}&cursor={quote(at.chance.choice(at.cursors))}"
    )


def _get(at: Counterparty) -> Callable[[], Call]:
    return lambda: Call("GET", f"/api/v1/customers/{at.chance.choice(at.customer_ids)}")


def _lookup(at: Counterparty) -> Callable[[], Call]:
    return lambda: Call("GET", f"/api/v1/customers/lookup?phone={quote(at.chance.choice(at.phones))}")


def _create(at: Counterparty) -> Callable[[], Call]:
    # Unique also beside the people of earlier runs.
    run = at.chance.randbytes(4).hex() + datetime.now(UTC).strftime("%H%M%S%f")

    def call() -> Call:
        number = next(at.serial)
        body = {
            "firstName": at.chance.choice(at.names).title(),
            "lastName": at.chance.choice(at.names).title(),
            "email": f"new.{run}.{number}@example.org",
            "tags": ["newsletter"],
            "address": {
                "street1": f"{number % 300 + 1} Market Street",
                "city": "Leeds",
                "postalCode": "LS1 1AA",
                "country": "GB",
            },
        }
        return Call("POST", "/api/v1/customers", orjson.dumps(body))

    return call


def _sale(at: Counterparty, customer_id: str, transaction_id: str) -> dict[str, object]:
    pence = at.chance.randint(150, 12_000)
    return {
        "customerId": customer_id,
        "transactionId": transaction_id,
        "amount": f"{pence / 100:.2f}",
        "currency": "GBP",
        "paymentMethod": "card",
        "occurredAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "items": [
            {
                "sku": "A-100",
                "name": "Tea, loose",
                "category": "tea",
                "quantity": "1",
                "unitPrice": f"{pence / 200:.2f}",
            },
            {"sku": "B-205", "name": "Biscuits", "category": "food", "quantity": "2", "unitPrice": "1.25"},
        ],
    }


def _purchase(at: Counterparty, *, of: Callable[[], str] | None = None) -> Callable[[], Call]:
    run = datetime.now(UTC).strftime("%H%M%S%f")
    customer = of or (lambda: at.chance.choice(at.customer_ids))

    def call() -> Call:
        sale = _sale(at, customer(), f"T{run}-{next(at.serial)}")
        return Call("POST", "/api/v1/purchases", orjson.dumps(sale))

    return call


def _purchase_hot(at: Counterparty) -> Callable[[], Call]:
    hot = at.customer_ids[0]
    return _purchase(at, of=lambda: hot)


def _quote(at: Counterparty) -> Callable[[], Call]:
    def call() -> Call:
        sale = _sale(at, at.chance.choice(at.customer_ids), "")
        del sale["transactionId"], sale["occurredAt"]
        return Call("POST", "/api/v1/purchases/quote", orjson.dumps(sale))

    return call


SCENARIOS = [
    Scenario("stack", "Empty view behind the whole stack", _stack, both=False),
    Scenario("list", "List 20", _list, goal=0.30, rows="customers"),
    Scenario("filtered", "List 20 of a tier or segment", _filtered, rows="customers"),
    Scenario("search", "Search by name fragment", _search, goal=0.28, rows="customers"),
    Scenario("search2", "Search by two fragments", _search_two),
    Scenario("deep", "Any page by number", _deep, rows="customers"),
    Scenario("cursor", "Any page by cursor", _cursor, rows="customers"),
    Scenario("get", "Get", _get, goal=0.45),
    Scenario("lookup", "Look up by phone", _lookup),
    Scenario("create", "Create with an address", _create, expected=CREATED, goal=0.20),
    Scenario("purchase", "Purchase with points", _purchase, expected=CREATED, goal=0.12),
    Scenario("hot", "Purchases of one customer", _purchase_hot, expected=CREATED, both=False),
    Scenario("quote", "Quote", _quote, goal=0.30),
]
