"""The figures of a period worked out the plain way, purchase by purchase: what the roll-ups must agree with."""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from analytics.periods import Period
from cloudpos.tenancy.zones import store_zones
from customers.models import Purchase, PurchaseReturn
from loyalty.models import LedgerEntry


@dataclass(frozen=True, slots=True)
class Moved:
    """A purchase or, with a negative amount, a return."""

    day: date
    store_id: uuid.UUID
    customer_id: uuid.UUID
    amount: Decimal
    counts: bool


@dataclass(frozen=True, slots=True)
class Plain:
    sold: Decimal
    returned: Decimal
    purchases: int
    active: int
    new: int
    repeat: int
    earned: int


class Ledger:
    """Everything on record of a merchant, read at once."""

    def __init__(self, merchant_id: uuid.UUID) -> None:
        self.zones = store_zones(merchant_id)
        sales = list(Purchase.objects.for_merchant(merchant_id))
        backs = list(PurchaseReturn.objects.for_merchant(merchant_id))
        came_back: Counter[uuid.UUID] = Counter()
        for back in backs:
            came_back[back.purchase_id] += back.amount  # type: ignore[assignment]
        self.sales = [
            Moved(
                self._day(sale.occurred_at, sale.store_id), sale.store_id, sale.customer_id, sale.amount,
                not came_back[sale.pk] or came_back[sale.pk] < sale.amount,
            )
            for sale in sales
        ]  # fmt: skip
        self.backs = [
            Moved(
                self._day(back.occurred_at, back.store_id),
                back.store_id,
                back.customer_id,
                -back.amount,
                False,
            )
            for back in backs
        ]
        entries = LedgerEntry.objects.for_merchant(merchant_id).filter(type__in=["earned", "bonus"])
        self.points = [
            (self._day(entry.occurred_at, entry.store_id), entry.store_id, entry.points) for entry in entries
        ]

    def _day(self, at: datetime, store_id: uuid.UUID | None) -> date:
        assert store_id is not None
        return at.astimezone(self.zones[store_id]).date()

    def figures(self, period: Period, store_id: uuid.UUID | None = None) -> Plain:
        def here(each: Moved) -> bool:
            return each.day in period and store_id in (None, each.store_id)

        sales = [sale for sale in self.sales if here(sale)]
        times = Counter(sale.customer_id for sale in sales if sale.counts)
        before = {sale.customer_id for sale in self.sales if sale.counts and sale.day < period.first}
        return Plain(
            sold=sum((sale.amount for sale in sales), Decimal(0)),
            returned=-sum((back.amount for back in self.backs if here(back)), Decimal(0)),
            purchases=len(sales),
            active=len(times),
            new=len(times.keys() - before),
            repeat=sum(who in before or n > 1 for who, n in times.items()),
            earned=sum(n for day, at, n in self.points if day in period and store_id in (None, at)),
        )
