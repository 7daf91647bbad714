"""The committed demo data: sums, references and people are what demo/README.md promises."""

import gzip
import hashlib
import re
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise

import phonenumbers
from email_validator import validate_email

from demo.places import CITIES, PHONE_RANGES, distance_km
from tests.demo.conftest import DEMO, Committed

CENTS = re.compile(r"\d+\.\d\d")


def pence(amount: str) -> int:
    assert CENTS.fullmatch(amount), amount
    return int(amount.replace(".", ""))


def pounds(amounts: list[int]) -> str:
    return str(Decimal(sum(amounts)).scaleb(-2))


def later_first(moment: list) -> tuple:
    """Sort key of [days back, HH:MM]: the past first."""
    return (-moment[0], moment[1])


def test_every_purchase_is_the_sum_of_its_lines(extract: Committed) -> None:
    wrong = [
        row["id"]
        for row in extract.purchases
        if pence(row["amount"]) != sum(quantity * pence(price) for _, quantity, price in row["items"])
    ]
    assert wrong == []


def test_every_line_sells_something(extract: Committed) -> None:
    skus = {product["sku"] for product in extract.products}
    sold = set()
    for row in extract.purchases:
        assert 1 <= len(row["items"]) <= 500
        assert pence(row["amount"]) > 0
        for sku, quantity, price in row["items"]:
            assert isinstance(quantity, int)
            assert quantity > 0
            assert pence(price) >= 0
            sold.add(sku)
    assert sold == skus


def test_numbers_are_unique(extract: Committed) -> None:
    numbers = [row["id"] for row in extract.purchases + extract.returns]
    assert len(numbers) == len(set(numbers))
    keys = [row["key"] for row in extract.customers]
    assert len(keys) == len(set(keys))
    skus = [product["sku"] for product in extract.products]
    assert len(skus) == len(set(skus))


def test_rows_are_in_the_order_they_happened(extract: Committed) -> None:
    for rows in (extract.purchases, extract.returns):
        moments = [later_first(row["at"]) for row in rows]
        assert moments == sorted(moments)
        assert all(0 <= row["at"][0] < extract.manifest["days"] for row in rows)
        # Nothing happens in the hour that the change to summer time skips or repeats.
        assert all("06:00" <= row["at"][1] <= "21:59" for row in rows)
    assert extract.purchases[-1]["at"][0] == 0


def test_a_customer_joins_with_the_first_purchase(extract: Committed) -> None:
    first: dict[int, list] = {}
    for row in extract.purchases:
        first.setdefault(row["customer"], row["at"])
    assert first == {row["key"]: row["at"] for row in extract.customers}


def test_purchases_use_known_words(extract: Committed) -> None:
    stores = {store["code"] for store in extract.manifest["stores"]}
    assert {row["store"] for row in extract.purchases} == stores
    assert {row["homeStore"] for row in extract.customers} == stores
    assert {row["channel"] for row in extract.purchases} == {"store", "online"}
    assert {row["payment"] for row in extract.purchases} == {"card", "cash", "mobile", "bank_transfer"}


def test_returns_stay_within_their_purchase(extract: Committed) -> None:
    purchases = {row["id"]: row for row in extract.purchases}
    back: Counter[tuple[str, int]] = Counter()
    money: Counter[str] = Counter()
    for row in extract.returns:
        purchase = purchases[row["purchase"]]
        assert row["customer"] == purchase["customer"]
        assert row["store"] == purchase["store"]
        assert later_first(row["at"]) > later_first(purchase["at"])
        lines = [line for line, _ in row["items"]]
        assert lines == sorted(set(lines))
        value = 0
        for line, pieces in row["items"]:
            assert pieces > 0
            back[row["purchase"], line] += pieces
            value += pieces * pence(purchase["items"][line - 1][2])
        assert pence(row["amount"]) == value > 0
        money[row["purchase"]] += value
    assert all(pieces <= purchases[number]["items"][line - 1][1] for (number, line), pieces in back.items())
    assert all(value <= pence(purchases[number]["amount"]) for number, value in money.items())


def test_phones_are_valid_and_nobodys(extract: Committed) -> None:
    phones = [row["phone"] for row in extract.customers if row["phone"]]
    assert len(phones) == len(set(phones)) >= 1200
    for phone in phones:
        parsed = phonenumbers.parse(phone)
        assert phonenumbers.is_valid_number(parsed), phone
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == phone
        assert any(
            phone.startswith(prefix)
            and len(phone) == len(prefix) + digits
            and low <= int(phone[len(prefix) :]) <= high
            for prefix, low, high, digits in PHONE_RANGES.values()
        ), phone


def test_emails_are_valid_and_nobodys(extract: Committed) -> None:
    emails = [row["email"] for row in extract.customers if row["email"]]
    assert len(emails) == len({email.casefold() for email in emails}) >= 1400
    for email in emails:
        assert validate_email(email, check_deliverability=False).normalized == email
        assert re.search(r"[@.]example\.(com|org|net)$", email), email


def test_everybody_can_be_found_at_a_till(extract: Committed) -> None:
    assert [row["key"] for row in extract.customers if not row["email"] and not row["phone"]] == []


def test_people_are_whole(extract: Committed) -> None:
    for row in extract.customers:
        assert row["firstName"]
        assert row["lastName"]
        assert bool(row["companyName"]) == (row["type"] == "business")
        assert row["type"] in ("individual", "business")
        assert row["gender"] in ("", "female", "male", "diverse")
        assert row["dateOfBirth"] is None or "1945-01-01" <= row["dateOfBirth"] <= "2002-12-31"
        assert row["tags"] == sorted(set(row["tags"]))


def test_addresses_lie_in_their_city(extract: Committed) -> None:
    cities = {(city.country, city.name): city for options in CITIES.values() for city in options}
    for row in extract.customers:
        assert [address["isDefault"] for address in row["addresses"]].count(True) == 1
        for address in row["addresses"]:
            city = cities[address["country"], address["city"]]
            away = distance_km(city.latitude, city.longitude, address["latitude"], address["longitude"])
            assert away < 5
            assert address["street1"]
            assert address["type"] in ("home", "work", "billing", "shipping")
            assert bool(address["postalCode"]) == bool(city.postcodes)


def test_consents_alternate_and_begin_with_a_yes(extract: Committed) -> None:
    said = 0
    for row in extract.customers:
        moments = [later_first(consent["at"]) for consent in row["consents"]]
        assert moments == sorted(moments)
        assert all(moment >= later_first(row["at"]) for moment in moments)
        states = defaultdict(list)
        for consent in row["consents"]:
            said += 1
            assert consent["at"][0] >= 0
            states[consent["channel"], consent["purpose"]].append(consent["state"])
        for history in states.values():
            assert history[0] == "granted"
            assert all(a != b for a, b in pairwise(history))
    assert said == extract.manifest["counts"]["consents"]


def test_some_people_are_registered_twice(extract: Committed) -> None:
    people: dict[tuple[str, ...], list[dict]] = defaultdict(list)
    for row in extract.customers:
        people[row["firstName"], row["lastName"], row["addresses"][0]["street1"]].append(row)
    twins = [rows for rows in people.values() if len(rows) > 1]
    assert len(twins) == 10
    for one, other in twins:
        assert one["dateOfBirth"] == other["dateOfBirth"] is not None
        assert one["email"] != other["email"]


def test_the_manifest_counts_what_is_there(extract: Committed) -> None:
    counts = extract.manifest["counts"]
    assert counts == {
        "customers": len(extract.customers),
        "purchases": len(extract.purchases),
        "items": sum(len(row["items"]) for row in extract.purchases),
        "returns": len(extract.returns),
        "returnItems": sum(len(row["items"]) for row in extract.returns),
        "products": len(extract.products),
        "consents": sum(len(row["consents"]) for row in extract.customers),
        "addresses": sum(len(row["addresses"]) for row in extract.customers),
    }
    sold = [pence(row["amount"]) for row in extract.purchases]
    back = [pence(row["amount"]) for row in extract.returns]
    assert extract.manifest["sums"] == {
        "purchases": pounds(sold),
        "returns": pounds(back),
        "net": pounds([*sold, -sum(back)]),
    }
    for store in extract.manifest["stores"]:
        here = [pence(row["amount"]) for row in extract.purchases if row["store"] == store["code"]]
        assert (store["purchases"], store["amount"]) == (len(here), pounds(here))


def test_the_manifest_names_the_files_content(extract: Committed) -> None:
    size = 0
    for name, said in extract.manifest["files"].items():
        packed = (DEMO / "data" / name).read_bytes()
        assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == said["sha256"], name
        assert packed[4:8] == b"\0\0\0\0", f"{name} carries a time stamp"
        size += len(packed)
    assert size < 3_000_000


def test_the_attribution_is_complete(extract: Committed) -> None:
    said = extract.manifest["attribution"]
    for words in ("Chen, D. (2012)", "Online Retail II", "10.24432/C5CG6D", "CC BY 4.0", "changed"):
        assert words in said["text"]
    for words in (said["doi"], said["licenceUrl"], said["creator"], *said["changes"]):
        assert words in extract.readme


def test_the_readme_states_the_counts(extract: Committed) -> None:
    stated = {}
    for name, number in re.findall(r"^\| ([^|]+?) \| ([£\d,.]+) \|", extract.readme, re.MULTILINE):
        stated[name] = number
    manifest = extract.manifest
    expected = {
        "customers": f"{manifest['counts']['customers']:,}",
        "purchases": f"{manifest['counts']['purchases']:,}",
        "lines of purchases": f"{manifest['counts']['items']:,}",
        "returns": f"{manifest['counts']['returns']:,}",
        "lines of returns": f"{manifest['counts']['returnItems']:,}",
        "products": f"{manifest['counts']['products']:,}",
        "addresses": f"{manifest['counts']['addresses']:,}",
        "statements of consent": f"{manifest['counts']['consents']:,}",
        "sold": f"£{Decimal(manifest['sums']['purchases']):,}",
        "given back": f"£{Decimal(manifest['sums']['returns']):,}",
        "net": f"£{Decimal(manifest['sums']['net']):,}",
        **{what: f"{left_out['count']:,}" for what, left_out in manifest["leftOut"].items()},
        **{story: f"{count:,}" for story, count in manifest["stories"].items()},
    }
    assert stated == expected
    for what, left_out in manifest["leftOut"].items():
        row = f"| {what} | {left_out['count']:,} | £{Decimal(left_out['amount']):,} |"
        assert row in extract.readme, row
    assert f"Eligible ({manifest['eligibleCustomers']:,} of 5,942)" in extract.readme
    invoices = manifest["returnInvoices"]
    assert (
        f"Of their {invoices['inSource']:,} return invoices {invoices['foundWhole']:,} were found whole, "
        f"{invoices['foundInPart']:,} in part and {invoices['notFound']:,} not at all"
    ) in " ".join(extract.readme.split())
