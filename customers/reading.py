"""Reading customers and their parts as the API shows them. A merged customer's id reads the one it was merged into."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from cloudpos.tenancy.access import Access
from customers.counting import KEYS, counts_by_key
from customers.identity import NotAnEmail, NotAPhone, normal_email, normal_phone
from customers.models import Address, Consent, Customer
from customers.models.customer import LAST_VISIT
from customers.services.addresses import AddressNotFound
from customers.services.finding import CustomerNotFound, visible_customer_id
from customers.shapes import ADDRESS, customer_json, customer_json_by, customer_json_by_external_id

RECENT = timedelta(days=30)


def read_customer(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> dict[str, Any]:
    """One customer. One query, more only for a merged one. Raises CustomerNotFound."""
    found = customer_json(merchant_id=merchant_id, customer_id=customer_id)
    if found is None:
        target = visible_customer_id(merchant_id=merchant_id, customer_id=customer_id)
        found = customer_json(merchant_id=merchant_id, customer_id=target)
    if found is None:
        raise CustomerNotFound()
    return found


def look_up(
    *,
    access: Access,
    phone: str | None = None,
    email: str | None = None,
    number: str | None = None,
    external_id: str | None = None,
    phone_country: str | None = None,
) -> dict[str, Any]:
    """The customer with exactly this phone, e-mail, number or ID of another system. One query: the customer stands at the till.

    Raises CustomerNotFound, also for what cannot be a number or an address at all.
    """
    merchant_id = access.merchant_id
    try:
        if phone is not None:
            key = normal_phone(phone, country=phone_country or access.country)
            found = customer_json_by(column="phone", merchant_id=merchant_id, value=key)
        elif email is not None:
            _, key = normal_email(email)
            found = customer_json_by(column="email_key", merchant_id=merchant_id, value=key)
        elif external_id is not None:
            found = customer_json_by_external_id(merchant_id=merchant_id, external_id=external_id)
        else:
            key = "".join(character for character in number or "" if character not in " -")
            found = customer_json_by(column="customer_number", merchant_id=merchant_id, value=key)
            if found is None:
                return _merged_number(merchant_id=merchant_id, number=key)
    except (NotAPhone, NotAnEmail):
        raise CustomerNotFound() from None
    if found is None:
        raise CustomerNotFound()
    return found


def _merged_number(*, merchant_id: uuid.UUID, number: str) -> dict[str, Any]:
    """A card printed before the merge still finds its customer."""
    old = (
        Customer.objects.for_merchant(merchant_id)
        .filter(customer_number=number)
        .values_list("pk", flat=True)
        .first()
    )
    if old is None:
        raise CustomerNotFound()
    return read_customer(merchant_id=merchant_id, customer_id=old)


def read_addresses(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> list[dict[str, Any]]:
    """All addresses of a customer, the default first. Raises CustomerNotFound."""
    rows = _addresses(merchant_id, customer_id)
    if not rows:
        rows = _addresses(merchant_id, visible_customer_id(merchant_id=merchant_id, customer_id=customer_id))
    return rows


def read_address(*, merchant_id: uuid.UUID, customer_id: uuid.UUID, address_id: uuid.UUID) -> dict[str, Any]:
    """One address. Raises CustomerNotFound, AddressNotFound."""
    for row in read_addresses(merchant_id=merchant_id, customer_id=customer_id):
        if row["id"] == address_id:
            return row
    raise AddressNotFound()


def _addresses(merchant_id: uuid.UUID, customer_id: uuid.UUID) -> list[dict[str, Any]]:
    mine = Address.objects.for_merchant(merchant_id).filter(
        customer_id=customer_id, customer__deleted_at=None
    )
    return ADDRESS.rows(mine.order_by("-is_default", "created_at", "pk"))


def consents_of(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> Any:
    """The consent log of a customer, as a queryset. Raises CustomerNotFound."""
    visible = visible_customer_id(merchant_id=merchant_id, customer_id=customer_id)
    return Consent.objects.for_merchant(merchant_id).filter(customer_id=visible)


def customer_stats(*, merchant_id: uuid.UUID, at: datetime) -> dict[str, Any]:
    """How many customers there are, of which kinds: from the counters, and two counts over narrow index ranges."""
    counted = counts_by_key(merchant_id=merchant_id)
    visible = Customer.objects.for_merchant(merchant_id).visible()
    since = at - RECENT
    names = ("byStatus", "byType", "bySegment", "byTier")
    known = (Customer.Status.values, Customer.Type.values, Customer.Segment.values, ())
    return {
        "total": sum(counted["status"].values()),
        **{
            name: {**dict.fromkeys(values, 0), **{kind or "none": n for kind, n in counted[key].items()}}
            for name, key, values in zip(names, KEYS, known, strict=True)
        },
        "createdLast30Days": visible.filter(created_at__gte=since).count(),
        "visitedLast30Days": visible.alias(came=LAST_VISIT).filter(came__gte=since).count(),
    }
