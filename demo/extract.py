"""The chosen customers' histories as the records of the extract."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from demo import chance
from demo.catalogue import SHIPPING_CODES, category, display_name
from demo.people import Buyer, Moment, city_of, make_people
from demo.places import CITIES, STORES, home_store
from demo.returns import Matching, match_returns
from demo.source import Invoice

CUSTOMERS = 1500

# Codes of bookkeeping, not of trade: whoever has one is not chosen, so that no customer's history is cut.
BOOKKEEPING_CODES = frozenset({"ADJUST", "ADJUST2", "BANK CHARGES", "CRUK", "TEST001", "TEST002"})
NOT_GOODS = BOOKKEEPING_CODES | SHIPPING_CODES | {"M", "D"}
SALE_AMOUNT_MAX = Decimal(20_000)
SALE_LINES_MAX = 500

BUSINESS_PURCHASES_MIN = 3
BUSINESS_MEDIAN_PIECES_MIN = 300
CHRISTMAS_SHARE_MIN = Decimal("0.20")
GIFT_WRAP_SHARE_MIN = Decimal("0.08")
FREQUENT_RETURNS_MIN = 5
VISITS_ELSEWHERE = 0.12
ONLINE_SHARE_OF_ONLINE_BUYERS = 0.80
ONLINE_SHARE_OF_SHOP_BUYERS = 0.12
ONLINE_BUYERS = 0.35
CASH_MAX = Decimal(150)
BANK_TRANSFER_MIN = Decimal(500)


def eligible(history: list[Invoice]) -> bool:
    """Whether a customer's whole history can be shown as it is: see "Who is in it" in the README."""
    sales = [invoice for invoice in history if not invoice.is_return]
    return (
        any(sale.amount > 0 for sale in sales)
        and history[-1].country in CITIES
        and not any(invoice.codes & BOOKKEEPING_CODES for invoice in history)
        and not any(
            sale.codes <= NOT_GOODS or "D" in sale.codes or sale.amount > SALE_AMOUNT_MAX
            or len(sale.lines) > SALE_LINES_MAX
            for sale in sales
        )
    )  # fmt: skip


def choose(invoices: list[Invoice]) -> tuple[dict[int, list[Invoice]], int]:
    """A fair sample of the eligible customers with their whole histories, and how many were eligible."""
    histories: dict[int, list[Invoice]] = defaultdict(list)
    for invoice in invoices:
        histories[invoice.customer].append(invoice)
    keys = [key for key, history in histories.items() if eligible(history)]
    keys.sort(key=lambda key: chance.digest(key, "chosen"))
    return {key: histories[key] for key in sorted(keys[:CUSTOMERS])}, len(keys)


def median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]


class Extract:
    """The chosen histories as the records that are written."""

    def __init__(self, histories: dict[int, list[Invoice]], descriptions: dict[str, str]) -> None:
        self.descriptions = descriptions
        self.last_day = max(invoice.at.date() for history in histories.values() for invoice in history)
        self.buyers: list[Buyer] = []
        self.purchases: list[dict[str, Any]] = []
        self.returns: list[dict[str, Any]] = []
        self.left_out: Counter[str] = Counter()
        self.left_out_amount: dict[str, Decimal] = defaultdict(Decimal)
        self.return_invoices = Counter({"inSource": 0, "foundWhole": 0, "foundInPart": 0, "notFound": 0})
        for key, history in histories.items():
            self._add(key, history)
        self.customers = make_people(self.buyers)
        self.purchases.sort(key=lambda row: (-row["at"][0], row["at"][1], row["id"]))
        self.returns.sort(key=lambda row: (-row["at"][0], row["at"][1], row["id"]))

    def moment(self, at: dt.datetime) -> Moment:
        return (self.last_day - at.date()).days, at.strftime("%H:%M")

    def _add(self, key: int, history: list[Invoice]) -> None:
        sales = [invoice for invoice in history if not invoice.is_return and invoice.amount > 0]
        for invoice in history:
            if not invoice.is_return and not invoice.amount:
                self._leave_out("purchases of nothing but free goods", Decimal(0))
        matching = match_returns(
            [invoice for invoice in history if invoice.is_return or invoice.amount > 0], services=NOT_GOODS
        )
        credited = -sum((invoice.amount for invoice in history if invoice.is_return), Decimal(0))
        found = sum((back.amount for back in matching.returns), Decimal(0))
        if found + matching.unmatched_goods.amount + matching.unmatched_other.amount != credited:
            raise ValueError(f"customer {key}: the returns do not add up to the credits of {credited}")
        self._count_return_invoices(history, matching)
        country = history[-1].country
        business = (
            len(sales) >= BUSINESS_PURCHASES_MIN
            and median([sum(line.quantity for line in sale.lines) for sale in sales])
            >= BUSINESS_MEDIAN_PIECES_MIN
        )
        self.buyers.append(
            Buyer(
                key=key,
                country=country,
                business=business,
                first=self.moment(sales[0].at),
                purchases=len(sales),
                tags=self._tags(sales, matching, business=business, country=country),
            )
        )
        stores = self._add_purchases(key, sales, country=country, business=business)
        self._add_returns(key, matching, stores)

    def _leave_out(self, what: str, amount: Decimal, count: int = 1) -> None:
        self.left_out[what] += count
        self.left_out_amount[what] += amount

    def _count_return_invoices(self, history: list[Invoice], matching: Matching) -> None:
        found: dict[str, Decimal] = defaultdict(Decimal)
        for back in matching.returns:
            found[back.invoice] += back.amount
        for invoice in history:
            if invoice.is_return:
                self.return_invoices["inSource"] += 1
                matched = found[invoice.number]
                kind = (
                    "notFound"
                    if not matched
                    else "foundWhole"
                    if matched == -invoice.amount
                    else "foundInPart"
                )
                self.return_invoices[kind] += 1

    def _category(self, code: str) -> str:
        return category(code=code, description=self.descriptions[code])

    def _tags(
        self, sales: list[Invoice], matching: Matching, *, business: bool, country: str
    ) -> tuple[str, ...]:
        spent: dict[str, Decimal] = defaultdict(Decimal)
        for sale in sales:
            for line in sale.lines:
                spent[self._category(line.code)] += line.quantity * line.unit_price
        total = sum(spent.values())
        tags = {
            "wholesale": business,
            "overseas": country != "United Kingdom",
            "christmas": spent["Christmas"] >= total * CHRISTMAS_SHARE_MIN,
            "gift-wrap": spent["Cards & Wrap"] >= total * GIFT_WRAP_SHARE_MIN,
            "frequent-returns": len(matching.returns) >= FREQUENT_RETURNS_MIN,
        }
        return tuple(tag for tag, holds in tags.items() if holds)

    def _add_purchases(
        self, key: int, sales: list[Invoice], *, country: str, business: bool
    ) -> dict[str, str]:
        """Add the purchases; answer the store of each by invoice number."""
        home = home_store(city_of(key=key, country=country))
        online_share = (
            ONLINE_SHARE_OF_ONLINE_BUYERS
            if chance.share(key, "online buyer") < ONLINE_BUYERS
            else ONLINE_SHARE_OF_SHOP_BUYERS
        )
        stores = {}
        for sale in sales:
            online = (
                country != "United Kingdom"
                or bool(sale.codes & SHIPPING_CODES)  # what was posted was not carried out of a shop
                or chance.share(sale.number, "online") < online_share
            )
            store = home
            if not online and chance.share(sale.number, "elsewhere") < VISITS_ELSEWHERE:
                store = chance.pick([s.code for s in STORES if s.code != home], sale.number, "store")
            stores[sale.number] = store
            self.purchases.append(
                {
                    "id": sale.number,
                    "customer": key,
                    "at": self.moment(sale.at),
                    "store": store,
                    "channel": "online" if online else "store",
                    "payment": self._payment(sale, online=online, business=business),
                    "amount": str(sale.amount),
                    "items": [[line.code, line.quantity, str(line.unit_price)] for line in sale.lines],
                }
            )
        return stores

    @staticmethod
    def _payment(sale: Invoice, *, online: bool, business: bool) -> str:
        draw = chance.share(sale.number, "payment")
        if business and sale.amount >= BANK_TRANSFER_MIN and draw < 0.7:
            return "bank_transfer"
        if not online and sale.amount <= CASH_MAX and draw < 0.35:
            return "cash"
        return "mobile" if chance.share(sale.number, "mobile") < 0.22 else "card"

    def _add_returns(self, key: int, matching: Matching, stores: dict[str, str]) -> None:
        for back in matching.returns:
            self.returns.append(
                {
                    "id": back.number,
                    "purchase": back.purchase.number,
                    "customer": key,
                    "at": self.moment(back.at),
                    "store": stores[back.purchase.number],
                    "amount": str(back.amount),
                    "items": [list(item) for item in back.items],
                }
            )
        for what, unmatched in (
            ("returned goods without a purchase", matching.unmatched_goods),
            ("credits that are not goods", matching.unmatched_other),
        ):
            if unmatched.lines:
                self._leave_out(what, unmatched.amount, unmatched.lines)

    def products(self) -> list[tuple[str, str, str]]:
        codes = sorted({item[0] for row in self.purchases for item in row["items"]})
        return [
            (code, display_name(code=code, description=self.descriptions[code]), self._category(code))
            for code in codes
        ]

    def stories(self) -> dict[str, int]:
        """How many customers do what a shop keeper would look for; by purchase days."""
        days: dict[int, set[int]] = defaultdict(set)
        for row in self.purchases:
            days[row["customer"]].add(row["at"][0])
        ordered = {key: sorted(values, reverse=True) for key, values in days.items()}
        gaps = {
            key: max((a - b for a, b in itertools.pairwise(values)), default=0)
            for key, values in ordered.items()
        }
        returners = {row["customer"] for row in self.returns}
        return {
            "bought on one day only": sum(len(values) == 1 for values in ordered.values()),
            "first bought in the last 30 days": sum(values[0] <= 30 for values in ordered.values()),
            "bought in the last 30 days": sum(values[-1] <= 30 for values in ordered.values()),
            "bought on 12 days or more": sum(len(values) >= 12 for values in ordered.values()),
            "bought on 3 days or more, then not for 180 days": sum(
                len(values) >= 3 and values[-1] > 180 for values in ordered.values()
            ),
            "came back after more than 180 days": sum(gap > 180 for gap in gaps.values()),
            "brought something back": len(returners),
            "business": sum(buyer.business for buyer in self.buyers),
            "live outside the United Kingdom": sum(
                buyer.country != "United Kingdom" for buyer in self.buyers
            ),
        }
