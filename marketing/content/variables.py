"""What a campaign's text may say about its customer: the catalogue, and the values for a batch of customers."""

import uuid
import zoneinfo
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Case, Sum, When
from django.utils.timezone import now

from cloudpos.tenancy.models import Merchant
from customers.models import Customer
from loyalty.models import Lot, Tier
from marketing.consents.links import preferences_url
from marketing.models_messaging import MessagingSettings

FAVOURITE_DAYS = 365
EXPIRING_DAYS_DEFAULT = 30
# Whatever the event that set a message off holds: its names are the merchant's other systems'.
TRIGGER = "trigger"


@dataclass(frozen=True, slots=True)
class Variable:
    """`type`: text, whole, date or url. `example` stands in for a customer's own in previews."""

    name: str
    type: str
    description: str
    example: Any


_ALL = (
    Variable("customer.first_name", "text", "First name", "Alice"),
    Variable("customer.last_name", "text", "Last name", "Jones"),
    Variable("customer.company_name", "text", "Company", "Jones Ltd"),
    Variable("customer.name", "text", "The company, or first and last name", "Alice Jones"),
    Variable("customer.number", "text", "Customer number", "4821930567"),
    Variable("customer.language", "text", "Language, such as en", "en"),
    Variable("customer.birthday", "date", "Date of birth", date(1990, 4, 23)),
    Variable("customer.tier", "text", "Name of the loyalty tier", "Gold"),
    Variable("customer.points", "whole", "Loyalty points", 1250),
    Variable("customer.points_expiring", "whole", "Points that expire soon", 200),
    Variable("customer.points_expiring_on", "date", "The first day on which some of them do", date(2026, 3, 31)),
    Variable("customer.visits", "whole", "Number of purchases", 12),
    Variable("last_visit", "date", "Day of the last purchase", date(2026, 1, 17)),
    Variable("days_since_visit", "whole", "Days since then", 14),
    Variable("favourite_category", "text", "What they bought most in a year", "Tea"),
    Variable("store.name", "text", "Their home store", "High Street"),
    Variable("store.city", "text", "Its town", "Leeds"),
    Variable("merchant.name", "text", "Your name as the sender", "Corner Shop"),
    Variable("merchant.postal_address", "text", "Your postal address", "1 High Street, Leeds"),
    Variable("merchant.currency", "text", "Your currency", "GBP"),
    Variable("today", "date", "The day on which it is sent", date(2026, 1, 31)),
    Variable("incentive_points", "whole", "Points that this campaign gives", 100),
    Variable("reward.code", "text", "Code of the voucher that this campaign gives", "ABCDE-12345"),
    Variable("reward.name", "text", "What the voucher is for", "Free coffee"),
    Variable("reward.expires_on", "date", "The last day on which it can be used", date(2026, 2, 28)),
    Variable("unsubscribe_url", "url", "Link to unsubscribe with one click", "https://example.com/unsubscribe/x"),
    Variable("preferences_url", "url", "Link to choose what to receive", "https://example.com/preferences/x"),
)  # fmt: skip
VARIABLES: dict[str, Variable] = {variable.name: variable for variable in _ALL}
_OPTIONAL = ("customer.points_expiring", "customer.points_expiring_on", "favourite_category", "customer.tier")


def example_values() -> dict[str, Any]:
    """A customer of whom everything is known."""
    return nested({name: variable.example for name, variable in VARIABLES.items()} | {TRIGGER: {}})


def example_values_of(merchant_id: uuid.UUID) -> dict[str, Any]:
    """The same as a customer of this merchant's, who reads its language."""
    shared, values = _merchant(merchant_id), example_values()
    values["merchant"] = shared.values
    values["customer"]["language"] = shared.language
    return values


def empty_values() -> dict[str, Any]:
    """A customer of whom nothing is known: numbers are 0, and what is not there is nothing."""
    blanks: dict[str, Any] = {"text": "", "whole": 0, "url": "https://example.com/", "date": None}
    return nested({name: blanks[variable.type] for name, variable in VARIABLES.items()} | {TRIGGER: {}})


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """{"customer.points": 5} -> {"customer": {"points": 5}}"""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        root, _, rest = name.partition(".")
        if rest:
            found.setdefault(root, {})[rest] = value
        else:
            found[root] = value
    return found


def read_variables(
    *, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], names: Collection[str] | None = None
) -> dict[uuid.UUID, dict[str, Any]]:
    """The values of the customers that are there, in six queries at most, however many they are.

    All of the catalogue but `unsubscribe_url`, `incentive_points`, `reward` and `trigger`, which the message has. `names` are
    those that the text uses (`Compiled.names`): what is dear is not looked up for nothing.
    """
    ids = list(customer_ids)
    asked = VARIABLES.keys() if names is None else frozenset(names)
    customers = list(
        Customer.objects.for_merchant(merchant_id)
        .filter(pk__in=ids, deleted_at=None)
        .values(
            "id", "first_name", "last_name", "company_name", "customer_number", "language", "date_of_birth", "tier", "points",
            "visit_count", "last_visit_at", "home_store__name", "home_store__city", "home_store__timezone",
        )
    )  # fmt: skip
    if not customers:
        return {}
    shared = _merchant(merchant_id)
    wanted = {name for name in _OPTIONAL if name in asked}
    tiers = _tiers(merchant_id) if "customer.tier" in wanted else {}
    expiring = _expiring(merchant_id, ids) if any("expiring" in name for name in wanted) else {}
    favourites = _favourites(merchant_id, ids) if "favourite_category" in wanted else {}
    at = now()
    return {
        row["id"]: _values(
            row,
            shared,
            tier=tiers.get(row["tier"], row["tier"]),
            expiring=expiring.get(row["id"]),
            favourite=favourites.get(row["id"], ""),
            merchant_id=merchant_id,
            at=at,
        )
        for row in customers
    }


@dataclass(frozen=True, slots=True)
class _Shared:
    values: dict[str, Any]
    zone: zoneinfo.ZoneInfo
    language: str


def _merchant(merchant_id: uuid.UUID) -> _Shared:
    merchant = Merchant.objects.get(pk=merchant_id)
    row = (
        MessagingSettings.objects.for_merchant(merchant_id)
        .values_list("sender_name", "postal_address", "foot_texts")
        .first()
    )
    sender, address, foot_texts = row or ("", "", {})
    values = {
        "name": sender or merchant.name,
        "postal_address": address,
        "currency": merchant.currency,
        # For the foot alone: no variable of the catalogue.
        "foot_texts": foot_texts,
    }
    return _Shared(values, merchant.tz, merchant.language)


def _values(
    row: dict[str, Any],
    shared: _Shared,
    *,
    tier: str,
    expiring: tuple[int, datetime] | None,
    favourite: str,
    merchant_id: uuid.UUID,
    at: datetime,
) -> dict[str, Any]:
    zone = zoneinfo.ZoneInfo(row["home_store__timezone"]) if row["home_store__timezone"] else shared.zone
    today = at.astimezone(zone).date()
    last = row["last_visit_at"].astimezone(zone).date() if row["last_visit_at"] else None
    points, first = expiring or (0, None)
    return {
        "customer": {
            "first_name": row["first_name"],
            "last_name": row["last_name"],
            "company_name": row["company_name"],
            "name": row["company_name"] or f"{row['first_name']} {row['last_name']}".strip(),
            "number": row["customer_number"],
            "language": row["language"] or shared.language,
            "birthday": row["date_of_birth"],
            "tier": tier,
            "points": row["points"],
            "points_expiring": points,
            "points_expiring_on": first.astimezone(zone).date() if first else None,
            "visits": row["visit_count"],
        },
        "last_visit": last,
        "days_since_visit": (today - last).days if last else None,
        "favourite_category": favourite,
        "store": {"name": row["home_store__name"] or "", "city": row["home_store__city"] or ""},
        "merchant": shared.values,
        "today": today,
        "preferences_url": preferences_url(merchant_id=merchant_id, customer_id=row["id"]),
    }


def _tiers(merchant_id: uuid.UUID) -> dict[str, str]:
    rows = Tier.objects.for_merchant(merchant_id).filter(program__is_active=True)
    return dict(rows.values_list("code", "name"))


def _expiring(merchant_id: uuid.UUID, customer_ids: list[uuid.UUID]) -> dict[uuid.UUID, tuple[int, datetime]]:
    """Points that are over within the days in which an event says so, and when the first of them are."""
    at = now()
    until = at + timedelta(days=settings.POINTS_EXPIRING_SOON_DAYS or EXPIRING_DAYS_DEFAULT)
    rows = (
        Lot.objects.for_merchant(merchant_id)
        .filter(
            enrollment__customer_id__in=customer_ids, enrollment__program__is_active=True, remaining__gt=0
        )
        .annotate(ends_at=Case(When(while_active=True, then="enrollment__inactive_at"), default="expires_at"))
        .filter(ends_at__gt=at, ends_at__lte=until)
        .values("enrollment__customer_id", "ends_at")
        .annotate(points=Sum("remaining"))
        .order_by("ends_at")
        .values_list("enrollment__customer_id", "points", "ends_at")
    )
    found: dict[uuid.UUID, tuple[int, datetime]] = {}
    for customer_id, points, ends_at in rows:
        before, first = found.get(customer_id, (0, ends_at))
        found[customer_id] = (before + int(points), first)
    return found


_FAVOURITES = """
SELECT DISTINCT ON (customer_id) customer_id, category FROM (
    SELECT purchase.customer_id, item.category, sum(item.quantity * item.unit_price) AS spent
    FROM purchases purchase
    JOIN purchase_items item ON item.merchant_id = purchase.merchant_id AND item.purchase_id = purchase.id
    WHERE purchase.merchant_id = %s AND purchase.customer_id = ANY(%s::uuid[]) AND purchase.occurred_at >= %s
      AND item.category <> ''
    GROUP BY purchase.customer_id, item.category
) bought ORDER BY customer_id, spent DESC, category
"""


def _favourites(merchant_id: uuid.UUID, customer_ids: list[uuid.UUID]) -> dict[uuid.UUID, str]:
    with connection.cursor() as cursor:
        cursor.execute(_FAVOURITES, [merchant_id, customer_ids, now() - timedelta(days=FAVOURITE_DAYS)])
        return dict(cursor.fetchall())
