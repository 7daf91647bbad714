"""Two years of one real customer, worked out by hand to the point.

Customer 14507 of the demonstration's extract (a buyer of Online Retail II; see demo/README.md), on the calendar whose last
day is 21 November 2026, London time. The program: a point per pound, rounded down; purchases of the last twelve months
count towards Bronze 0, Silver 500 (1.25 times) and Gold 1,500 (1.5 times), each to the end of its day; points last twelve
months to the end of the month.

    sale or return         counts   tier before      points               counts together           lasts to the end of
    2024-11-22   171.50    171.50   Bronze           171                    171.50                   November 2025
    2025-02-10   236.40    236.40   Bronze           236                    407.90                   February 2026
    2025-09-05   487.50    487.50   Bronze           487                    895.40  -> Silver        September 2026
    2025-09-29   435.47    435.47   Silver           544.33 -> 544        1,330.87                   September 2026
    2025-11-08   570.38    570.38   Silver           712.97 -> 712        1,901.25  -> Gold          November 2026
    2025-11-12   -59.50 of 570.38                    712 x 59.50/570.38 = 74.27 -> takes 74         (1,841.75)
    end of 2025-11-22      the first leaves                               1,670.25
    end of November 2025   171 expire
    end of 2026-02-10      the second leaves                              1,433.85  -> Silver
    2026-02-18   339.36    339.36   Silver           424.20 -> 424        1,773.21  -> Gold          February 2027
    2026-02-18    39.49     39.49   Gold              59.23 -> 59         1,812.70                   February 2027
    2026-02-18   -15.00 of 339.36                    424 x 15.00/339.36 = 18.74 -> takes 18         (1,797.70)
    end of February 2026   236 expire
    2026-04-20   236.46    236.46   Gold             354.69 -> 354        2,034.16                   April 2027
    2026-08-12   309.38    309.38   Gold             464.07 -> 464        2,343.54                   August 2027
    end of 2026-09-05      487.50 leave                                   1,856.04
    end of 2026-09-29      435.47 leave                                   1,420.57  -> Silver
    end of September 2026  487 and 544 expire
    2026-10-12   220.89    220.89   Silver           276.11 -> 276        1,641.46  -> Gold          October 2027
    2026-10-29   237.60    237.60   Gold             356.40 -> 356        1,879.06                   October 2027
    end of 2026-11-08      570.38 - 59.50 leave                           1,368.18  -> Silver

Earned 4,083, taken back 92, expired 1,438: a balance of 2,553.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
import time_machine

from customers.models import Customer, Event
from demo import reader
from loyalty.models import Lot
from loyalty.reading import standing
from loyalty.rules import TierRule
from loyalty.services import create_program, expire_lots
from loyalty.services.tiers import review_tiers
from tests.fixtures import Shop
from tests.tills import books, bring_back, findings, register, sell

pytestmark = pytest.mark.django_db

KEY = 14507
LAST_DAY = date(2026, 11, 21)
EVENING = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)

TIERS = (
    TierRule("bronze", "Bronze", 0, Decimal(1)),
    TierRule("silver", "Silver", 500_00, Decimal("1.25")),
    TierRule("gold", "Gold", 1500_00, Decimal("1.5")),
)
# By transaction, what is left of what it earned after its returns; expiry takes none of it away.
POINTS = {
    "491399": 171,
    "499472": 236,
    "523647": 487,
    "527401": 544,
    "535409": 712 - 74,
    "546017": 424 - 18,
    "546019": 59,
    "552298": 354,
    "564846": 464,
    "573368": 276,
    "576691": 356,
}
# When the tier became what: a purchase's own instant, or a midnight in London (an hour before midnight UTC in summer).
CHANGES = [
    ("2024-11-22T17:04", "", "bronze"),
    ("2025-09-05T11:33", "bronze", "silver"),
    ("2025-11-08T11:24", "silver", "gold"),
    ("2026-02-11T00:00", "gold", "silver"),
    ("2026-02-18T17:23", "silver", "gold"),
    ("2026-09-29T23:00", "gold", "silver"),
    ("2026-10-12T12:18", "silver", "gold"),
    ("2026-11-09T00:00", "gold", "silver"),
]
EXPIRED = [("2025-12-01T00:00", 171), ("2026-03-01T00:00", 236), ("2026-09-30T23:00", 487 + 544)]
LASTING = [
    ("2026-12-01T00:00", 638),
    ("2027-03-01T00:00", 406 + 59),
    ("2027-04-30T23:00", 354),
    ("2027-08-31T23:00", 464),
    ("2027-11-01T00:00", 276 + 356),
]


@pytest.fixture
def member(shop: Shop) -> Iterator[Customer]:
    with time_machine.travel(datetime(2024, 11, 1, 9, 0, tzinfo=UTC), tick=False):
        create_program(
            merchant_id=shop.merchant.pk,
            tiers=TIERS,
            tier_window="rolling",
            tier_months=12,
            expiry="after_earning",
            expiry_months=12,
            expiry_month_end=True,
        )
        yield register(shop, "alice")


def history() -> list[tuple[datetime, dict[str, Any]]]:
    """The customer's purchases and returns as the till sent them, by their instants."""
    purchases = [row for row in reader.purchases(LAST_DAY) if row["customer"] == KEY]
    own = {row["transactionId"] for row in purchases}
    returns = (row for row in reader.returns(LAST_DAY) if row["purchase"] in own)
    return sorted(((row["occurredAt"], row) for row in chain(purchases, returns)), key=lambda step: step[0])


def send(shop: Shop, customer: Customer, row: dict[str, Any], at: datetime | None = None) -> None:
    if "purchase" in row:
        items = [{"line": item["line"], "quantity": Decimal(item["quantity"])} for item in row["items"]]
        bring_back(shop.access, row["purchase"], row["transactionId"], row["amount"], at=at, items=items)
        return
    items = [
        {
            "sku": item["sku"],
            "name": item["name"],
            "category": item["category"],
            "quantity": Decimal(item["quantity"]),
            "unit_price": Decimal(item["unitPrice"]),
        }
        for item in row["items"]
    ]
    sell(shop.access, customer, row["transactionId"], row["amount"], at=at, items=items)


def live(shop: Shop, customer: Customer, *, jobs: str) -> None:
    """Two years go by: the tills send what is sold when it is sold, and the jobs run every week, or only at the end."""
    steps = history()
    assert len(steps) == 13
    day = datetime(2024, 11, 3, 3, 0, tzinfo=UTC)
    for at, row in [*steps, (EVENING, {})]:
        while jobs == "weekly" and day < at:
            with time_machine.travel(day, tick=False):
                run_jobs(shop)
            day += timedelta(days=7)
        with time_machine.travel(at, tick=False):
            if row:
                send(shop, customer, row)
            else:
                run_jobs(shop)


def run_jobs(shop: Shop) -> None:
    expire_lots(merchant_id=shop.merchant.pk)
    review_tiers(merchant_id=shop.merchant.pk)


def minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}"


def told(customer: Customer, type: str) -> list[Event]:
    return list(Event.objects.filter(customer_id=customer.pk, type=type).order_by("occurred_at"))


@pytest.mark.parametrize("jobs", ["weekly", "at the end"])
def test_every_point_every_tier_and_every_expiry_is_as_worked_out_by_hand(
    shop: Shop, member: Customer, jobs: str
) -> None:
    live(shop, member, jobs=jobs)
    found = books(member)
    assert found["balance"] == found["shown"] == 2553
    assert found["points"] == POINTS
    assert found["tier"] == ("silver", "silver")
    assert found["shortfall"] == 0
    changes = told(member, "tier.changed")
    assert [(minute(event.occurred_at), event.data["from"], event.data["to"]) for event in changes] == CHANGES
    expired = told(member, "points.expired")
    assert [(minute(event.occurred_at), -event.data["points"]) for event in expired] == EXPIRED
    lots = Lot.objects.filter(enrollment__customer_id=member.pk, remaining__gt=0).order_by("expires_at")
    lasting: dict[str, int] = {}
    for lot in lots:
        assert lot.expires_at is not None
        lasting[minute(lot.expires_at)] = lasting.get(minute(lot.expires_at), 0) + lot.remaining
    assert list(lasting.items()) == LASTING
    with time_machine.travel(EVENING, tick=False):
        now = standing(access=shop.access, customer_id=member.pk)
        assert [row["points"] for row in now["expiring"]] == [points for _, points in LASTING]
        assert sum(row["points"] for row in now["expiring"]) == now["balance"]
        assert findings(shop) == []


def test_it_is_the_same_when_the_tills_were_cut_off_and_send_everything_at_the_end_backwards(
    shop: Shop, member: Customer
) -> None:
    steps = history()
    sales = [step for step in steps if "purchase" not in step[1]]
    with time_machine.travel(EVENING, tick=False):
        for at, row in [*reversed(sales), *(step for step in reversed(steps) if "purchase" in step[1])]:
            send(shop, member, row, at=at)
        run_jobs(shop)
        found = books(member)
        assert (found["balance"], found["tier"]) == (2553, ("silver", "silver"))
        assert found["points"] == POINTS
        assert findings(shop) == []
