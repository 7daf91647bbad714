"""Which days and which store a person looks at: in the query, so that a page can be kept and sent to somebody."""

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils import timezone

from analytics.periods import Period
from cloudpos.tenancy.backoffice.pages import STORES_OFFERED_MAX
from cloudpos.tenancy.models import Merchant, Store

PERIODS_DAYS = (30, 90, 365)


@dataclass(frozen=True, slots=True)
class Choice:
    """`store` is None for all stores; `today` is the merchant's day."""

    days: int
    store: Store | None
    stores: tuple[Store, ...]
    today: date

    @property
    def period(self) -> Period:
        return Period(self.today - timedelta(days=self.days - 1), self.today)

    @property
    def store_id(self) -> uuid.UUID | None:
        return self.store.pk if self.store is not None else None

    @property
    def before(self) -> str:
        """What the period is compared with, in words."""
        return f"the {self.days} days before"

    def query(self, **more: object) -> str:
        """The choice as a query string, with `more`; what is None is left out."""
        chosen = {"days": self.days, "store": self.store_id, **more}
        return urlencode({name: value for name, value in chosen.items() if value is not None})


def read_choice(request: HttpRequest, merchant: Merchant) -> Choice:
    """From the address; what is unknown there stands for the first period and all stores."""
    stores = tuple(Store.objects.for_merchant(merchant).order_by("name")[:STORES_OFFERED_MAX])
    asked, store = request.GET.get("days", ""), request.GET.get("store", "")
    return Choice(
        days=int(asked) if asked in {str(days) for days in PERIODS_DAYS} else PERIODS_DAYS[0],
        store=next((each for each in stores if str(each.pk) == store), None),
        stores=stores,
        today=timezone.now().astimezone(merchant.tz).date(),
    )
