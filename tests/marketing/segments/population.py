"""A few dozen customers with something of everything, much of it within minutes of a midnight at which clocks change."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from analytics.models import CustomerFigures
from cloudpos.tenancy.models import Store
from customers.models import Address, Customer, Event, Preferences, Purchase, PurchaseItem, PurchaseReturn
from customers.models import PurchaseReturnItem as ReturnItem
from loyalty.models import Enrollment, LedgerEntry, Lot
from loyalty.services import create_program
from marketing.models import Segment, SegmentMember
from tests.fixtures import Shop
from tests.marketing.segments.naive import Person
from tests.marketing.segments.trees import (
    CATEGORIES,
    CITIES,
    EVENT_TYPES,
    METADATA_KEYS,
    SKUS,
    TAGS,
    TIERS,
    Known,
)

PEOPLE = 30
# Clocks of New York go forward on 8 March 2026 at 07:00 UTC; midnights there are at 05:00 before and 04:00 after.
AROUND = datetime(2026, 3, 8, 5, 0, tzinfo=UTC)


class Population:
    """`people` with all that is known of them, as they were written."""

    def __init__(self, shop: Shop, random: Random, people: int = PEOPLE) -> None:
        self.random, self.merchant = random, shop.merchant
        far = Store.objects.create(
            merchant=shop.merchant, name="Far", code="FAR", timezone="Pacific/Auckland"
        )
        self.stores = [shop.store, far]
        self.program = create_program(merchant_id=shop.merchant.pk)
        self.segments = [
            Segment.objects.create(merchant=shop.merchant, name=f"List {n}", kind="list", built_version=1)
            for n in range(2)
        ]
        self.people = [self._person(number) for number in range(people)]

    @property
    def known(self) -> Known:
        return Known([str(store.pk) for store in self.stores], [str(segment.pk) for segment in self.segments])

    @property
    def zones(self) -> dict[str, ZoneInfo]:
        return {str(s.pk): ZoneInfo(s.timezone or self.merchant.timezone) for s in self.stores}

    def moment(self) -> datetime:
        """Most within a day of the change of clocks, on a midnight or a second beside one."""
        near = timedelta(hours=self.random.choice([-25, -24, -1, 0, 0, 1, 19, 23, 24]))
        nudge = timedelta(seconds=self.random.choice([-1, 0, 0, 1, 1800]))
        far = timedelta(days=self.random.choice([0, 0, 0, -1, -7, -30, -90, -91, -365]))
        return AROUND + near + nudge + far

    def _person(self, number: int) -> Person:
        random, merchant = self.random, self.merchant
        bought = random.random() < 0.7
        visits = random.choice([1, 2, 3, 5]) if bought else 0
        customer = Customer.objects.create(
            merchant=merchant,
            customer_number=f"{1_000_000_000 + number}",
            type=random.choice(Customer.Type.values),
            status=random.choice(Customer.Status.values),
            gender=random.choice(["", "female", "male"]),
            first_name=random.choice(["Ann", "Bob", "anne", "a%b", ""]),
            last_name=random.choice(["O'Neill", "Li", "", "Baker_"]),
            email=random.choice(["", f"p{number}@example.com", f"P{number}@Example.com"]),
            phone=random.choice(["", f"+44207183{number:04}"]),
            language=random.choice(["", "en", "de"]),
            date_of_birth=random.choice(
                [
                    None,
                    date(1990, 2, 28),
                    date(1992, 2, 29),
                    date(1980, 3, 8),
                    date(2000, 12, 31),
                    date(1975, 3, 9),
                ]
            ),
            metadata=self._metadata(),
            tags=sorted({tag.casefold() for tag in random.sample(TAGS, random.randint(0, 3))}),
            home_store=random.choice([None, *self.stores]),
            tier=random.choice(["", *TIERS]),
            points=random.choice([0, 1, 5, 50]),
            segment=random.choice(Customer.Segment.values),
            created_at=self.moment(),
            deleted_at=self.moment() if number % 10 == 9 else None,
        )
        person = Person(customer)
        self._addresses(person)
        if random.random() < 0.6:
            said = {
                c: {p: random.random() < 0.5 for p in ("marketing", "transactional")}
                for c in ("email", "sms")
            }
            person.preferences = Preferences.objects.create(
                merchant=merchant, customer=customer, consents=said
            )
        for _ in range(visits):
            self._sale(person)
        self._standing(person)
        if bought and random.random() < 0.8:
            self._figures(person)
        for _ in range(random.choice([0, 1, 3])):
            data = random.choice([{}, {"page": "home"}, {"n": 1}, {"n": True}, {"ok": True, "page": "home"}])
            person.events.append(
                Event.objects.create(
                    merchant=merchant, customer=customer, type=random.choice(EVENT_TYPES), data=data,
                    occurred_at=self.moment(), dispatched_at=AROUND,
                )
            )  # fmt: skip
        if random.random() < 0.5:
            self._points(person)
        for segment in self.segments:
            if random.random() < 0.4:
                SegmentMember.objects.create(merchant=merchant, segment=segment, customer=customer)
                person.segments.add(str(segment.pk))
        return person

    def _standing(self, person: Person) -> None:
        """As sales and returns leave it: rules leave out who cannot be meant by it."""
        customer, moments = person.customer, [sale.occurred_at for sale in person.purchases]
        customer.visit_count = len(moments)
        customer.first_visit_at, customer.last_visit_at = (
            min(moments, default=None),
            max(moments, default=None),
        )
        customer.total_spent = sum((sale.amount for sale in person.purchases), Decimal(0)) - sum(
            (back.amount for back in person.returns), Decimal(0)
        )
        customer.save()

    def _metadata(self) -> dict[str, Any]:
        """Some of every kind under every name: nobody promises that a till writes what it wrote before."""
        values = [
            None, "", [], {}, True, False, 0, 42, 42.5, -1, 10**15, "42", "dog", "Dog", "d%", ["dog", "red"], ["42"],
            {"dog": 1}, "2026-03-08", "2026-03-07T23:59:59Z", "1990-02-28", "2026", "20260308",
        ]  # fmt: skip
        return {key: self.random.choice(values) for key in METADATA_KEYS if self.random.random() < 0.8}

    def _addresses(self, person: Person) -> None:
        for _ in range(self.random.choice([0, 1, 1, 2])):
            place: Any = self.random.choice(
                [
                    (None, None),
                    ("51.507400", "-0.127800"),
                    ("-36.848500", "174.763300"),
                    ("40.712800", "-74.006000"),
                ]
            )
            person.addresses.append(
                Address.objects.create(
                    merchant=self.merchant,
                    customer=person.customer,
                    street1="1 Road",
                    city=self.random.choice(["London", "York", "New York", "Leeds", *CITIES]),
                    postal_code=self.random.choice(["", "N1 9GU", "n19gu", "10001", "LS1 4AP"]),
                    country=self.random.choice(["GB", "US", "NZ"]),
                    latitude=place[0] and Decimal(place[0]),
                    longitude=place[1] and Decimal(place[1]),
                )
            )

    def _figures(self, person: Person) -> None:
        random, customer = self.random, person.customer
        last = AROUND.date() - timedelta(days=random.choice([0, 1, 30]))
        cents = {
            f"expected_{d}d{end}_cents": random.choice([0, 999, 5000, 12050])
            for d in (90, 180, 365)
            for end in ("", "_low", "_high")
        }
        person.figures = CustomerFigures.objects.create(
            id=customer.pk, merchant=self.merchant, customer=customer, as_of=AROUND.date(), first_day=last, last_day=last,
            purchase_days=random.choice([1, 2, 3]), purchases=5, total_cents=5000, spend_365d_cents=random.choice([999, 5000]),
            next_day=random.choice([None, AROUND.date(), AROUND.date() + timedelta(days=7)]),
            recency_score=random.randint(1, 5), frequency_score=random.randint(1, 5), monetary_score=random.randint(1, 5),
            value_run_id=uuid.uuid4(), churn_run_id=uuid.uuid4(), alive=0.5,
            **{f"expected_purchases_{d}d": 1.0 for d in (90, 180, 365)}, **cents,
            churn=random.choice([0.0, 0.25, 0.5, 0.9, 1.0]), churn_band=1, churn_confidence=1, segment=customer.segment,
            segment_reason="as_usual", visit_count=customer.visit_count,
            total_spent_cents=int(customer.total_spent * 100), updated_at=AROUND,
        )  # fmt: skip

    def _sale(self, person: Person) -> None:
        random = self.random
        amount = Decimal(random.choice(["0", "9.99", "20.00", "50.00", "99.99"]))
        sale = Purchase.objects.create(
            merchant=self.merchant, customer=person.customer, store=random.choice(self.stores), amount=amount,
            transaction_id=uuid.uuid4().hex, currency="USD", channel=random.choice(["store", "online"]),
            occurred_at=self.moment(), content_hash=b"", receipt={},
        )  # fmt: skip
        person.purchases.append(sale)
        person.items[sale.pk] = [
            PurchaseItem.objects.create(
                merchant=self.merchant, purchase=sale, line=line, sku=random.choice(SKUS), category=random.choice(CATEGORIES),
                quantity=Decimal(random.choice(["1", "2", "0.333"])), unit_price=Decimal(random.choice(["9.99", "3.3333"])),
            )
            for line in range(1, random.choice([1, 2, 3]))
        ]  # fmt: skip
        if amount and random.random() < 0.4:
            back = PurchaseReturn.objects.create(
                merchant=self.merchant, purchase=sale, customer=person.customer, store=sale.store,
                transaction_id=uuid.uuid4().hex, amount=random.choice([amount, Decimal("1.00")]),
                occurred_at=self.moment(), content_hash=b"", receipt={},
            )  # fmt: skip
            person.returns.append(back)
            for item in person.items[sale.pk][:1]:
                person.return_items.append(
                    ReturnItem.objects.create(
                        merchant=self.merchant, purchase_return=back, line=item.line,
                        quantity=random.choice([item.quantity, Decimal("0.1")]),
                    )
                )  # fmt: skip

    def _points(self, person: Person) -> None:
        account = Enrollment.objects.create(
            merchant=self.merchant, customer=person.customer, program=self.program, balance=50, version=2,
            inactive_at=self.random.choice([None, self.moment(), self.moment() + timedelta(days=30)]),
        )  # fmt: skip
        for version in (1, 2):
            points = self.random.choice([1, 5, 50])
            entry = LedgerEntry.objects.create(
                merchant=self.merchant, enrollment=account, version=version, type="bonus", points=points, balance_before=0,
                balance_after=points, occurred_at=AROUND,
            )  # fmt: skip
            ends = self.random.choice([None, self.moment(), self.moment() + timedelta(days=7)])
            active = self.random.random() < 0.3
            Lot.objects.create(
                merchant=self.merchant, enrollment=account, entry=entry, points=points, remaining=points, earned_at=AROUND,
                expires_at=None if active else ends, while_active=active,
            )  # fmt: skip
            person.lots.append((points, account.inactive_at if active else ends))
