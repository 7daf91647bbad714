"""What a rule says of one customer, worked out slowly from the customer's own rows: nothing here is shared with the compiler.

It reads the JSON as the documentation describes it, and compares days of the calendar, never instants.
"""

import calendar
import hashlib
import math
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from customers.models import Address, Customer, Event, Preferences, Purchase, PurchaseItem, PurchaseReturn
from customers.models import PurchaseReturnItem as ReturnItem


@dataclass
class Person:
    customer: Customer
    figures: Any = None
    addresses: list[Address] = field(default_factory=list)
    preferences: Preferences | None = None
    purchases: list[Purchase] = field(default_factory=list)
    items: dict[uuid.UUID, list[PurchaseItem]] = field(default_factory=dict)
    returns: list[PurchaseReturn] = field(default_factory=list)
    return_items: list[ReturnItem] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    # (points, when they end)
    lots: list[tuple[int, datetime | None]] = field(default_factory=list)
    segments: set[str] = field(default_factory=set)


class Naive:
    def __init__(self, *, at: datetime, zone: ZoneInfo, stores: dict[str, ZoneInfo]) -> None:
        self.at, self.zone, self.stores = at, zone, stores

    def holds(self, node: dict[str, Any], person: Person) -> bool:
        ((key, inside),) = node.items()
        if key == "all":
            return all(self.holds(each, person) for each in inside)
        if key == "any":
            return any(self.holds(each, person) for each in inside)
        if key == "none":
            return not any(self.holds(each, person) for each in inside)
        return bool(getattr(self, f"_{key}")(inside, person))

    # --- Conditions ------------------------------------------------------------------------------------------

    def _field(self, said: dict[str, Any], person: Person) -> bool:
        name, op, asked = said["name"], said["op"], said.get("value")
        if name == "birthday":
            return self._birthday(op, asked, person.customer.date_of_birth)
        value = _value_of(name, person)
        if op == "is_set":
            return value not in (None, "", [])
        if op == "is_not_set":
            return value in (None, "", [])
        if name == "tags":
            return _tags(op, {tag.casefold() for tag in asked}, set(value))
        if isinstance(value, datetime):
            return self._day(op, asked, value.astimezone(self.zone).date(), self.zone)
        if isinstance(value, date) or name in (
            "firstVisitAt",
            "lastVisitAt",
            "nextPurchaseDay",
            "dateOfBirth",
        ):
            return self._day(op, asked, value, self.zone)
        if name in ("type", "status", "gender", "segment", "tier", "homeStoreId"):
            return (str(value) in asked) == (op == "in") if value else op == "not_in"
        if isinstance(value, str):
            return _text(op, asked, value)
        return _number(op, asked, value)

    def _metadata(self, said: dict[str, Any], person: Person) -> bool:
        op, asked, type_ = said["op"], said.get("value"), said["type"]
        value = person.customer.metadata.get(said["key"])
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if op in ("is_set", "is_not_set"):
            return (value in (None, "", [], {})) == (op == "is_not_set")
        if type_ == "text":
            plain = str(value) if isinstance(value, str) or is_number else None
            return op in ("is_not", "not_in", "not_contains") if plain is None else _text(op, asked, plain)
        if type_ == "number":
            return _number(op, asked, value) if is_number else op == "ne"
        if type_ == "boolean":
            return (value is asked) == (op == "is")
        if type_ == "list":
            listed = [value] if isinstance(value, str) else value if isinstance(value, list) else None
            return op == "none_of" if listed is None else _tags(op, set(asked), set(listed))
        is_day = isinstance(value, str) and len(value) >= 10 and value[4] == "-"
        return self._day(op, asked, date.fromisoformat(value[:10]) if is_day else None, self.zone)

    def _consent(self, said: dict[str, Any], person: Person) -> bool:
        consents = person.preferences.consents if person.preferences else {}
        default = said["purpose"] == "transactional"
        return bool(consents.get(said["channel"], {}).get(said["purpose"], default)) == said["granted"]

    def _address(self, said: dict[str, Any], person: Person) -> bool:
        return any(_is_there(said, address) for address in person.addresses)

    def _purchases(self, said: dict[str, Any], person: Person) -> bool:
        zones = {self.stores[store] for store in said.get("storeIds", [])}
        zone = zones.pop() if len(zones) == 1 else self.zone
        by_item = "categories" in said or "skus" in said
        count, total, quantity = 0, Decimal(0), Decimal(0)
        days = []
        for sale in person.purchases:
            returned = sum(
                (back.amount for back in person.returns if back.purchase_id == sale.pk), Decimal(0)
            )
            day = sale.occurred_at.astimezone(zone).date()
            if sale.amount <= returned or not self._within(said.get("window"), day, zone):
                continue
            if "storeIds" in said and str(sale.store_id) not in said["storeIds"]:
                continue
            if "channels" in said and sale.channel not in said["channels"]:
                continue
            if "amountAtLeast" in said and sale.amount < Decimal(said["amountAtLeast"]):
                continue
            kept = self._kept(said, sale, person)
            if (by_item or said["measure"] == "quantity") and not kept:
                continue
            count += 1
            days.append(day)
            quantity += sum((left for _, left in kept), Decimal(0))
            if by_item:
                total += sum(
                    (
                        (item.unit_price * left).quantize(Decimal("0.01"), ROUND_HALF_UP)
                        for item, left in kept
                    ),
                    Decimal(0),
                )
            else:
                total += sale.amount - returned
        measured = {"count": count, "sum": total, "quantity": quantity}
        if said["measure"] in measured:
            return _number(said["op"], said["value"], measured[said["measure"]])
        chosen = (min if said["measure"] == "first" else max)(days, default=None)
        return self._day(said["op"], said["value"], chosen, zone)

    def _kept(
        self, said: dict[str, Any], sale: Purchase, person: Person
    ) -> list[tuple[PurchaseItem, Decimal]]:
        """Lines that are asked for, with what was not brought back of each."""
        found = []
        backs = {back.pk for back in person.returns if back.purchase_id == sale.pk}
        for item in person.items.get(sale.pk, []):
            if "categories" in said and item.category not in said["categories"]:
                continue
            if "skus" in said and item.sku not in said["skus"]:
                continue
            back = sum(
                (
                    r.quantity
                    for r in person.return_items
                    if r.purchase_return_id in backs and r.line == item.line
                ),
                Decimal(0),
            )
            if item.quantity > back:
                found.append((item, item.quantity - back))
        return found

    def _events(self, said: dict[str, Any], person: Person) -> bool:
        days = [
            event.occurred_at.astimezone(self.zone).date()
            for event in person.events
            if event.type == said["type"]
            and all(_same(event.data.get(key), value) for key, value in said.get("data", {}).items())
        ]
        days = [day for day in days if self._within(said.get("window"), day, self.zone)]
        if said["measure"] == "count":
            return _number(said["op"], said["value"], len(days))
        chosen = (min if said["measure"] == "first" else max)(days, default=None)
        return self._day(said["op"], said["value"], chosen, self.zone)

    def _expiringPoints(self, said: dict[str, Any], person: Person) -> bool:
        last = self._today(self.zone) + timedelta(days=said["withinDays"])
        points = sum(
            left
            for left, ends in person.lots
            if ends is not None and ends > self.at and ends.astimezone(self.zone).date() <= last
        )
        return _number(said["op"], said["value"], points)

    def _segments(self, said: dict[str, Any], person: Person) -> bool:
        return bool(person.segments & set(said["ids"])) == (said["op"] == "any_of")

    def _bucket(self, said: dict[str, Any], person: Person) -> bool:
        text = f"{said['salt']}:{person.customer.pk}"
        number = int(hashlib.md5(text.encode()).hexdigest()[:6], 16) % 100
        return bool(said["from"] <= number < said["to"])

    # --- Days ------------------------------------------------------------------------------------------------

    def _today(self, zone: ZoneInfo) -> date:
        return self.at.astimezone(zone).date()

    def _moved(self, day: date, span: dict[str, int], sign: int) -> date:
        ((unit, amount),) = span.items()
        if unit in ("days", "weeks"):
            return day + sign * timedelta(days=amount * (7 if unit == "weeks" else 1))
        for _ in range(amount * (12 if unit == "years" else 1)):
            # Month by month, on a day that every month has.
            first = day.replace(day=1)
            other = first + timedelta(days=32) if sign > 0 else first - timedelta(days=1)
            day = other.replace(day=min(day.day, 28))
        return day

    def _shifted(self, span: dict[str, int], sign: int, zone: ZoneInfo) -> date:
        today = self._today(zone)
        moved = self._moved(today, span, sign)
        if next(iter(span)) in ("months", "years"):
            return moved.replace(day=min(today.day, calendar.monthrange(moved.year, moved.month)[1]))
        return moved

    def _meant(self, day: Any, zone: ZoneInfo) -> date:
        if isinstance(day, str):
            return date.fromisoformat(day)
        ((way, span),) = day.items()
        return self._shifted(span, 1 if way == "ahead" else -1, zone)

    def _within(self, window: dict[str, Any] | None, day: date, zone: ZoneInfo) -> bool:
        if window is None:
            return True
        if "last" in window:
            return self._shifted(window["last"], -1, zone) <= day <= self._today(zone)
        if "from" in window and day < self._meant(window["from"], zone):
            return False
        return not ("to" in window and day > self._meant(window["to"], zone))

    def _day(self, op: str, asked: Any, day: date | None, zone: ZoneInfo) -> bool:
        if op == "not_in_last":
            return not self._day("in_last", asked, day, zone)
        if day is None:
            return False
        if op == "in_last":
            return self._shifted(asked, -1, zone) <= day <= self._today(zone)
        if op == "in_next":
            return self._today(zone) <= day <= self._shifted(asked, 1, zone)
        if op == "between":
            return self._meant(asked[0], zone) <= day <= self._meant(asked[1], zone)
        meant = self._meant(asked, zone)
        return {
            "on": day == meant,
            "before": day < meant,
            "after": day > meant,
            "on_or_before": day <= meant,
            "on_or_after": day >= meant,
        }[op]

    def _birthday(self, op: str, asked: Any, born: date | None) -> bool:
        if born is None:
            return False
        if op == "in_month":
            return born.month in asked
        for ahead in range(asked["days"] + 1):
            day = self._today(self.zone) + timedelta(days=ahead)
            if (born.month, born.day) == (day.month, day.day):
                return True
            if (
                (born.month, born.day) == (2, 29)
                and (day.month, day.day) == (2, 28)
                and not calendar.isleap(day.year)
            ):
                return True
        return False


def _value_of(name: str, person: Person) -> Any:
    customer, figures = person.customer, person.figures
    if name == "averageOrderValue":
        if not customer.visit_count:
            return None
        return (customer.total_spent / customer.visit_count).quantize(Decimal("0.01"), ROUND_HALF_UP)
    columns = {
        "firstName": "first_name", "lastName": "last_name", "companyName": "company_name", "customerNumber": "customer_number",
        "homeStoreId": "home_store_id", "dateOfBirth": "date_of_birth", "createdAt": "created_at", "totalSpent": "total_spent",
        "visitCount": "visit_count", "firstVisitAt": "first_visit_at", "lastVisitAt": "last_visit_at",
    }  # fmt: skip
    name = columns.get(name, name)
    if hasattr(customer, name):
        return getattr(customer, name)
    column = {
        "churnProbability": "churn", "recencyScore": "recency_score", "frequencyScore": "frequency_score",
        "monetaryScore": "monetary_score", "spentLast12Months": "spend_365d_cents", "purchaseDays": "purchase_days",
        "predictedValue90Days": "expected_90d_cents", "predictedValue180Days": "expected_180d_cents",
        "predictedValue365Days": "expected_365d_cents", "nextPurchaseDay": "next_day",
    }[name]  # fmt: skip
    if figures is None:
        return None
    value = getattr(figures, column)
    return Decimal(value) / 100 if column.endswith("_cents") else value


def _text(op: str, asked: Any, value: str) -> bool:
    opposite = {"is_not": "is", "not_in": "in", "not_contains": "contains"}
    if op in opposite:
        return not _text(opposite[op], asked, value)
    value = value.lower()
    if op == "in":
        return value in [each.lower() for each in asked]
    asked = asked.lower()
    return {
        "is": value == asked,
        "contains": asked in value,
        "starts_with": value.startswith(asked),
        "ends_with": value.endswith(asked),
    }[op]


def _tags(op: str, asked: set[str], has: set[str]) -> bool:
    if op == "all_of":
        return asked <= has
    return bool(asked & has) == (op == "any_of")


def _number(op: str, asked: Any, value: Any) -> bool:
    if op == "ne":
        return not _number("eq", asked, value)
    if value is None:
        return False
    number = Decimal(str(value))
    if op == "between":
        return Decimal(str(asked[0])) <= number <= Decimal(str(asked[1]))
    other = Decimal(str(asked))
    return {
        "eq": number == other,
        "gt": number > other,
        "gte": number >= other,
        "lt": number < other,
        "lte": number <= other,
    }[op]


def _same(found: Any, asked: Any) -> bool:
    return found == asked and isinstance(found, bool) == isinstance(asked, bool)


def _is_there(said: dict[str, Any], address: Address) -> bool:
    if "countries" in said and address.country not in said["countries"]:
        return False
    if "cities" in said and address.city.lower() not in [city.lower() for city in said["cities"]]:
        return False
    if "postalCodePrefixes" in said:
        code = address.postal_code.replace(" ", "").upper()
        if not any(code.startswith(p.replace(" ", "").upper()) for p in said["postalCodePrefixes"]):
            return False
    if "near" in said:
        if address.latitude is None or address.longitude is None:
            return False
        near = said["near"]
        return (
            _kilometres(
                near["latitude"], near["longitude"], float(address.latitude), float(address.longitude)
            )
            <= near["radiusKm"]
        )
    return True


def _kilometres(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """By the cosines of the sphere."""
    a, b = math.radians(lat1), math.radians(lat2)
    cosine = math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(math.radians(lon2 - lon1))
    return math.acos(max(-1.0, min(1.0, cosine))) * 6371.0088
