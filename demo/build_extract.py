"""Build demo/data from the Online Retail II files: `python -m demo.build_extract FOLDER`.

For maintainers only; the service reads demo/data and never needs the source. Run twice, it writes the same
bytes (with the same zlib). What is chosen, changed and left out, and why, is in demo/README.md.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from demo.extract import Extract, choose
from demo.places import STORES
from demo.source import read_descriptions, read_invoices

DATA = Path(__file__).parent / "data"

MERCHANT = {
    "name": "Quillfeather Gifts",
    "slug": "quillfeather-gifts",
    "currency": "GBP",
    "country": "GB",
    "timezone": "Europe/London",
    "language": "en",
}
ATTRIBUTION = {
    "text": "Purchases: Chen, D. (2012), Online Retail II, UCI Machine Learning Repository, "
    "doi:10.24432/C5CG6D, CC BY 4.0; changed. All names, addresses and contacts are made up.",
    "creator": "Daqing Chen",
    "year": 2012,
    "title": "Online Retail II",
    "publisher": "UCI Machine Learning Repository",
    "doi": "10.24432/C5CG6D",
    "url": "https://doi.org/10.24432/C5CG6D",
    "licence": "CC BY 4.0",
    "licenceUrl": "https://creativecommons.org/licenses/by/4.0/",
    "changes": [
        "1,500 customers chosen",
        "dates stored as days before the last day",
        "prices rounded to the cent",
        "descriptions written in mixed case and sorted into categories",
        "returns matched to purchases",
        "names, contacts, addresses, consents, stores, channels and payment methods made up",
    ],
}


def compact(record: object) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def write_gzip(path: Path, text: str) -> str:
    """Write compressed text without name and time in the header; answer its SHA-256."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as stream:
        stream.write(text.encode())
    path.write_bytes(packed.getvalue())
    return hashlib.sha256(text.encode()).hexdigest()


def summed(rows: list[dict[str, Any]], **match: str) -> str:
    amounts = (
        Decimal(row["amount"]) for row in rows if all(row[name] == value for name, value in match.items())
    )
    return str(sum(amounts, Decimal("0.00")))


def manifest(extract: Extract, *, eligible_customers: int, files: dict[str, Any]) -> dict[str, Any]:
    purchases, returns = extract.purchases, extract.returns
    return {
        "format": 1,
        "attribution": ATTRIBUTION,
        "merchant": MERCHANT,
        "stores": [
            {
                "code": s.code,
                "name": s.name,
                "city": s.city,
                "latitude": s.latitude,
                "longitude": s.longitude,
                "purchases": sum(row["store"] == s.code for row in purchases),
                "amount": summed(purchases, store=s.code),
            }
            for s in STORES
        ],
        "sourceLastDay": extract.last_day.isoformat(),
        "days": max(row["at"][0] for row in purchases) + 1,
        "eligibleCustomers": eligible_customers,
        "counts": {
            "customers": len(extract.customers),
            "purchases": len(purchases),
            "items": sum(len(row["items"]) for row in purchases),
            "returns": len(returns),
            "returnItems": sum(len(row["items"]) for row in returns),
            "products": len(extract.products()),
            "consents": sum(len(row["consents"]) for row in extract.customers),
            "addresses": sum(len(row["addresses"]) for row in extract.customers),
        },
        "sums": {
            "purchases": summed(purchases),
            "returns": summed(returns),
            "net": str(Decimal(summed(purchases)) - Decimal(summed(returns))),
        },
        "stories": extract.stories(),
        "returnInvoices": dict(extract.return_invoices),
        "leftOut": {
            what: {"count": count, "amount": str(extract.left_out_amount[what].quantize(Decimal("0.01")))}
            for what, count in sorted(extract.left_out.items())
        },
        "files": files,
    }


def write(extract: Extract, folder: Path, *, eligible_customers: int) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    files = {}
    for name in ("customers", "purchases", "returns"):
        rows: list[dict[str, Any]] = getattr(extract, name)
        text = "".join(f"{compact(row)}\n" for row in rows)
        digest = write_gzip(folder / f"{name}.jsonl.gz", text)
        files[f"{name}.jsonl.gz"] = {"rows": len(rows), "sha256": digest}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("sku", "name", "category"))
    writer.writerows(extract.products())
    digest = write_gzip(folder / "products.csv.gz", table.getvalue())
    files["products.csv.gz"] = {"rows": len(extract.products()), "sha256": digest}
    summary = manifest(extract, eligible_customers=eligible_customers, files=files)
    (folder / "manifest.json").write_text(
        json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source", type=Path, help="folder with online_retail_ii_{invoices,lines,products}.csv.gz"
    )
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write to")
    args = parser.parse_args()
    histories, eligible_customers = choose(read_invoices(args.source))
    summary = write(
        Extract(histories, read_descriptions(args.source)), args.out, eligible_customers=eligible_customers
    )
    print(
        json.dumps(
            {name: summary[name] for name in ("counts", "sums", "stories", "returnInvoices", "leftOut")},
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
