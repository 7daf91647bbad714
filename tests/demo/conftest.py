"""The committed extract, read once."""

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).parents[2] / "demo"


def read_rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        return [json.loads(line) for line in text]


@dataclass(frozen=True)
class Committed:
    customers: list[dict[str, Any]]
    purchases: list[dict[str, Any]]
    returns: list[dict[str, Any]]
    products: list[dict[str, str]]
    manifest: dict[str, Any]
    readme: str


@pytest.fixture(scope="session")
def extract() -> Committed:
    data = DEMO / "data"
    with gzip.open(data / "products.csv.gz", "rt", encoding="utf-8", newline="") as text:
        products = list(csv.DictReader(text))
    return Committed(
        customers=read_rows(data / "customers.jsonl.gz"),
        purchases=read_rows(data / "purchases.jsonl.gz"),
        returns=read_rows(data / "returns.jsonl.gz"),
        products=products,
        manifest=json.loads((data / "manifest.json").read_text(encoding="utf-8")),
        readme=(DEMO / "README.md").read_text(encoding="utf-8"),
    )
