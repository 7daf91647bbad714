"""Reading the demo merchant's data: rows in the words of the REST API, moved in time. Standard library only."""

import csv
import gzip
import heapq
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

FOLDER = Path(__file__).parent / "data"


@cache
def manifest() -> dict[str, Any]:
    """What the data is: merchant, stores, attribution, counts and sums."""
    found: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text())
    return found


@cache
def zone() -> ZoneInfo:
    return ZoneInfo(manifest()["merchant"]["timezone"])


def last_day(now: datetime) -> date:
    """The day that the data's last day becomes: yesterday at the merchant's."""
    return now.astimezone(zone()).date() - timedelta(days=1)


def moment(at: list[Any], until: date) -> datetime:
    """`[days before the last day, "HH:MM"]` as an instant."""
    hour, minute = at[1].split(":")
    local = datetime.combine(until - timedelta(days=at[0]), time(int(hour), int(minute)), zone())
    return local.astimezone(UTC)


def customers(until: date) -> Iterator[dict[str, Any]]:
    """Customers as `POST /customers` takes them, with `key`, `at`, `homeStore` (a code) and `consents` besides."""
    for row in _rows("customers"):
        row["at"] = moment(row["at"], until)
        for consent in row["consents"]:
            consent["at"] = moment(consent["at"], until)
        yield row


def purchases(until: date) -> Iterator[dict[str, Any]]:
    """Purchases as `POST /purchases` takes them, with `customer` (a key) and `store` (a code) besides."""
    products = _products()
    for row in _rows("purchases"):
        yield {
            "customer": row["customer"],
            "store": row["store"],
            "transactionId": row["id"],
            "amount": row["amount"],
            "paymentMethod": row["payment"],
            "channel": row["channel"],
            "occurredAt": moment(row["at"], until),
            "items": [
                {
                    "sku": sku,
                    "name": products[sku][0],
                    "category": products[sku][1],
                    "quantity": quantity,
                    "unitPrice": price,
                }
                for sku, quantity, price in row["items"]
            ],
        }


def returns(until: date) -> Iterator[dict[str, Any]]:
    """Returns as `POST /purchases/{purchase}/returns` takes them, with `customer`, `store` and `purchase` besides."""
    for row in _rows("returns"):
        yield {
            "customer": row["customer"],
            "store": row["store"],
            "purchase": row["purchase"],
            "transactionId": row["id"],
            "amount": Decimal(row["amount"]),
            "occurredAt": moment(row["at"], until),
            "items": [{"line": line, "quantity": quantity} for line, quantity in row["items"]],
        }


def _rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


@cache
def _products() -> dict[str, tuple[str, str]]:
    with gzip.open(FOLDER / "products.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        return {row["sku"]: (row["name"], row["category"]) for row in csv.DictReader(lines)}


def history(until: date) -> Iterator[dict[str, Any]]:
    """Purchases and returns together in order of time, as tills send them: the customer by e-mail or phone."""
    known = {
        row["key"]: {"email": row["email"]} if row["email"] else {"phone": row["phone"]}
        for row in _rows("customers")
    }
    # A return is later than its sale; at one instant, sales first.
    sales = heapq.merge(
        purchases(until), returns(until), key=lambda row: (row["occurredAt"], "purchase" in row)
    )
    for sale in sales:
        contact = known[sale.pop("customer")]
        yield {**sale, **contact}
