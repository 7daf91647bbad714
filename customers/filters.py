"""The query parameters of the customer lists."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.parameters import (
    Amount,
    Choices,
    Flag,
    Identifier,
    Integer,
    Parameter,
    ParameterError,
    Text,
    Words,
)
from cloudpos.api.query import DayFrom, DayTo, NoParameters, StrictFilterSet
from customers.identity import normal_tags
from customers.list_plans import Wanted
from customers.models import Address, Channel, Customer, Purpose
from customers.models.customer import LAST_VISIT
from customers.models.imports import EXTERNAL_ID_CHARS_MAX
from customers.querysets import CustomerQuerySet
from customers.search import (
    WordStart,
    birth_month_query,
    home_store_query,
    prefix_query,
    tags_query,
    word_start,
)

TIERS = ("bronze", "silver", "gold", "platinum")
RADIUS_KM_MAX = 5_000


class Point(Parameter):
    """`near=51.5074,-0.1278`"""

    schema = {"type": "string", "pattern": r"^-?\d+(\.\d+)?,-?\d+(\.\d+)?$", "examples": ["51.5074,-0.1278"]}
    description = "Latitude and longitude in degrees: customers with an address within `radiusKm` of it."

    def parse(self, text: str) -> tuple[float, float]:
        parts = text.split(",")
        if len(parts) != 2:
            raise ParameterError("This must be latitude,longitude such as 51.5074,-0.1278.")
        latitude, longitude = (number(part, places=10) for part in parts)
        if abs(latitude) > 90 or abs(longitude) > 180:
            raise ParameterError(
                "Latitudes reach from -90 to 90, longitudes from -180 to 180.", "out_of_range"
            )
        return float(latitude), float(longitude)


class Kilometres(Parameter):
    """`radiusKm=2.5`"""

    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": RADIUS_KM_MAX}
    description = "With `near`: how far, in kilometres."

    def parse(self, text: str) -> float:
        kilometres = number(text, places=3)
        if not 0 < kilometres <= RADIUS_KM_MAX:
            raise ParameterError(f"This must be more than 0 and at most {RADIUS_KM_MAX}.", "out_of_range")
        return float(kilometres)


def number(text: str, *, places: int) -> Decimal:
    """A plain decimal number: no exponent, no sign but -."""
    whole, _, decimals = text.removeprefix("-").partition(".")
    digits = whole + decimals
    if not (digits.isascii() and digits.isdecimal() and whole) or len(whole) > 6 or len(decimals) > places:
        raise ParameterError("This must be a number.")
    return Decimal(text)


class VisitFrom(DayFrom):
    """On the expression that the index is on."""

    def narrow(self, queryset: Any, value: date | datetime, filters: Any) -> Any:
        return super().narrow(queryset.alias(came=LAST_VISIT), value, filters)


class VisitTo(DayTo):
    """Those who came, and not later."""

    def narrow(self, queryset: Any, value: date | datetime, filters: Any) -> Any:
        queryset = queryset.alias(came=LAST_VISIT).filter(last_visit_at__isnull=False)
        return super().narrow(queryset, value, filters)


class CustomerFilters(StrictFilterSet):
    """Everything that narrows the list of customers.

    What the counters know (COUNTED) and what the search index knows (`tsquery`) are kept apart from the plain
    conditions: `customers.listing` plans with them.
    """

    COUNTED = frozenset({"status", "type", "segment", "tier"})
    SEARCHED = frozenset({"query", "tags", "tags_mode", "birthday_month", "store_id"})

    sortable = {
        "createdAt": "created_at",
        "name": "sort_name",
        "email": "email_key",
        "lastVisitAt": "last_visit_at",
        "totalSpent": "total_spent",
    }
    default_sort = "createdAt"
    default_descending = True

    query = Text(
        method="",
        description="Words of name, company, e-mail or customer number, each from its start, in any order; or four and "
        "more digits of a phone number. Case and accents do not matter.",
    )
    status = Choices(Customer.Status.values)
    type = Choices(Customer.Type.values)
    segment = Choices(Customer.Segment.values)
    tier = Choices(TIERS)
    tags = Words(method="", description="Tags, all of which a customer must have; see `tagsMode`.")
    tags_mode = Choices(
        ["all", "any"], many=False, method="", description="Whether all `tags` must match, or any."
    )
    created_from = DayFrom("created_at")
    created_to = DayTo("created_at")
    last_visit_from = VisitFrom("came")
    last_visit_to = VisitTo("came")
    total_spent_min = Amount("total_spent", "gte")
    total_spent_max = Amount("total_spent", "lte")
    near = Point(method="close_by")
    radius_km = Kilometres(method="")
    store_id = Identifier(method="", description="The customers' home store.")
    has_email = Flag(method="emailed")
    has_phone = Flag(method="phoned")
    birthday_month = Integer(method="", minimum=1, maximum=12, description="1 for January.")

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        if ("near" in self.values) != ("radius_km" in self.values):
            missing = "radiusKm" if "near" in self.values else "near"
            error = FieldError(missing, "near and radiusKm belong together.", "required")
            raise BadRequest("Please correct the query parameters.", errors=[error])
        if "tags_mode" in self.values and "tags" not in self.values:
            error = FieldError("tags", "tagsMode needs tags.", "required")
            raise BadRequest("Please correct the query parameters.", errors=[error])

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            sort_by=self.sort_by,
            descending=self.descending,
            offset=0 if self.cursor is not None else self.offset,
            limit=self.limit,
            cursor=self.cursor,
        )

    @property
    def cursor_purpose(self) -> str:
        """What binds a cursor to this list and order."""
        return self._cursor_purpose()

    @property
    def counted_only(self) -> bool:
        """Whether the counters alone can tell the total."""
        return self.values.keys() <= self.COUNTED

    @property
    def gathers(self) -> bool:
        """Whether the conditions are dear to look at for ten thousand customers: distances."""
        return "near" in self.values

    def conditions(self, merchant_id: uuid.UUID) -> QuerySet[Customer] | None:
        """The merchant's visible customers under everything but SEARCHED; None when that is all of them."""
        if self.values.keys() <= self.SEARCHED:
            return None
        narrowed: QuerySet[Customer] = self.filter_queryset(
            Customer.objects.for_merchant(merchant_id).visible()
        )
        return narrowed

    def tsquery(self, search_key: str) -> str | None:
        """What the search index is asked, as a literal: None when nothing, "" when nothing can match."""
        values = self.values
        terms = []
        if "query" in values:
            terms.append(prefix_query(search_key=search_key, text=values["query"]) or "")
        if "tags" in values:
            tags = normal_tags(values["tags"])
            terms.append(
                tags_query(search_key=search_key, tags=tags, any_of=values.get("tags_mode") == "any")
            )
        if "birthday_month" in values:
            terms.append(birth_month_query(search_key=search_key, month=values["birthday_month"]))
        if "store_id" in values:
            terms.append(home_store_query(search_key=search_key, store_id=values["store_id"]))
        if not terms:
            return None
        return " & ".join(f"({term})" for term in terms) if all(terms) else ""

    def word_start(self, search_key: str) -> WordStart | None:
        """What is searched for, when that is nothing but the start of one word, in order of creation."""
        if self.values.keys() != {"query"} or self.sort_by != "createdAt":
            return None
        return word_start(search_key=search_key, text=self.values["query"])

    def close_by(self, queryset: CustomerQuerySet, value: tuple[float, float]) -> CustomerQuerySet:
        latitude, longitude = value
        addresses = Address.objects.for_merchant(self.request.access.merchant_id)
        return queryset.with_address_in(
            addresses.near(latitude=latitude, longitude=longitude, radius_km=self.values["radius_km"])
        )

    def emailed(self, queryset: CustomerQuerySet, value: bool) -> CustomerQuerySet:
        return queryset.with_email(value)

    def phoned(self, queryset: CustomerQuerySet, value: bool) -> CustomerQuerySet:
        return queryset.with_phone(value)


class ConsentFilters(StrictFilterSet):
    default_descending = True

    channel = Choices(Channel.values)
    purpose = Choices(Purpose.values)
    occurred_from = DayFrom("occurred_at")
    occurred_to = DayTo("occurred_at")

    sortable = {"occurredAt": "occurred_at"}
    default_sort = "occurredAt"


class PhoneText(Text):
    """A telephone number. A "+" that was not percent-encoded arrives as a space."""

    def parse(self, text: str) -> str:
        return super().parse(f"+{text[1:]}" if text.startswith(" ") else text)


class LookupFilters(NoParameters):
    """Exactly one of phone, email, number and externalId."""

    phone = PhoneText(method="", max_length=40)
    email = Text(method="", max_length=254)
    number = Text(method="", max_length=20)
    external_id = Text(
        method="",
        max_length=EXTERNAL_ID_CHARS_MAX,
        description="What another system calls the customer, as it was imported; upper and lower case matter.",
    )
    phone_country = Text(method="", max_length=2, description="Where a phone number without + belongs to.")

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        if len(self.values.keys() & {"phone", "email", "number", "external_id"}) != 1:
            message = "Give exactly one of phone, email, number and externalId."
            raise BadRequest(message, errors=[FieldError("phone", message, "required")])
