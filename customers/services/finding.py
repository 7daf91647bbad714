"""Finding one customer, and locking it: the first lock that every writer takes."""

import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from django.db import connection

from cloudpos.api.errors import BadRequest, NotFound
from cloudpos.tenancy.rows import Rows
from customers.identity import NotAnEmail, NotAPhone, normal_email, normal_phone
from customers.models import Customer

# A merged customer points at one that may itself have been merged since.
MERGES_FOLLOWED_MAX = 20

_CUSTOMERS = Rows(Customer, but=["search"])


class CustomerNotFound(NotFound):
    code = "customer_not_found"
    message = "There is no such customer"


def find_customer(
    *,
    merchant_id: uuid.UUID,
    id: uuid.UUID | None = None,
    number: str | None = None,
    phone: str | None = None,
    email: str | None = None,
    country: str = "",
) -> Customer:
    """The visible customer with exactly this id, number, phone or e-mail: give one of them.

    A merged customer's id and number find the one it was merged into. `country` reads a phone without a +.
    Raises CustomerNotFound, and BadRequest for what is neither a phone number nor an e-mail address.
    """
    condition, value = _identifies(id=id, number=number, phone=phone, email=email, country=country)
    found = _CUSTOMERS.fetch(f"merchant_id = %s AND {condition}", [merchant_id, value])
    if found is None:
        raise CustomerNotFound()
    if found.deleted_at is None:
        return found
    return find_customer(
        merchant_id=merchant_id, id=visible_customer_id(merchant_id=merchant_id, customer_id=found.pk)
    )


def lock_customer(
    *,
    merchant_id: uuid.UUID,
    customer_id: uuid.UUID | None = None,
    number: str | None = None,
    phone: str | None = None,
    email: str | None = None,
    country: str = "",
) -> Customer:
    """`find_customer`, locked until the caller's transaction ends: FOR NO KEY UPDATE, before any other lock.

    A merged row itself is never locked: whoever merges locks in order of id, and would wait for us the other way.
    Its `search` is deferred: write named fields.
    """
    condition, value = _identifies(id=customer_id, number=number, phone=phone, email=email, country=country)
    locked = _CUSTOMERS.fetch(
        f"merchant_id = %s AND deleted_at IS NULL AND {condition} FOR NO KEY UPDATE", [merchant_id, value]
    )
    if locked is not None:
        return locked
    if customer_id is None:
        if number is None:
            raise CustomerNotFound()
        customer_id = (
            Customer.objects.for_merchant(merchant_id)
            .filter(customer_number=number)
            .values_list("pk", flat=True)
            .first()
        )
        if customer_id is None:
            raise CustomerNotFound()
    # The same id comes back when a merge was undone between the two statements.
    target = visible_customer_id(merchant_id=merchant_id, customer_id=customer_id)
    return lock_customer(merchant_id=merchant_id, customer_id=target)


def lock_customers(*, merchant_id: uuid.UUID, customer_ids: list[uuid.UUID]) -> list[Customer]:
    """Several customers, visible or not, locked in order of id so that two callers never wait for each other.

    Raises CustomerNotFound when one is missing. In the order asked for.
    """
    rows = {
        customer.pk: customer
        for customer in Customer.objects.for_merchant(merchant_id)
        .filter(pk__in=customer_ids)
        .defer("search")
        .order_by("pk")
        .select_for_update(no_key=True)
    }
    if any(customer_id not in rows for customer_id in customer_ids):
        raise CustomerNotFound()
    return [rows[customer_id] for customer_id in customer_ids]


def lock_everybody(*, merchant_id: uuid.UUID, named: Iterable[Mapping[str, Any]], country: str = "") -> None:
    """Lock in order of id whoever is there of these customers, for a transaction that then locks them one by one.

    `named` have the arguments by which `lock_customer` finds a customer. Who is named wrongly, or is not there, is passed
    over: `lock_customer` says so.
    """
    wanted: dict[str, list[Any]] = {}
    for name in named:
        try:
            condition, value = _identifies(
                id=name.get("customer_id"),
                number=name.get("number"),
                phone=name.get("phone"),
                email=name.get("email"),
                country=country,
            )
        except BadRequest:
            continue
        wanted.setdefault(condition, []).append(value)
    ids: set[uuid.UUID] = set()
    with connection.cursor() as cursor:
        for condition, values in wanted.items():
            cursor.execute(
                "SELECT id, deleted_at IS NULL FROM customers"  # noqa: S608 - a condition of ours
                f" WHERE merchant_id = %s AND {condition.replace('= %s', '= ANY(%s)', 1)}",
                [merchant_id, values],
            )
            for customer_id, is_visible in cursor.fetchall():
                if is_visible:
                    ids.add(customer_id)
                    continue
                with suppress(CustomerNotFound):
                    ids.add(visible_customer_id(merchant_id=merchant_id, customer_id=customer_id))
    lock_customers(merchant_id=merchant_id, customer_ids=list(ids))


def visible_customer_id(*, merchant_id: uuid.UUID, customer_id: uuid.UUID) -> uuid.UUID:
    """The id under which this customer is visible: its own, or the one it was merged into.

    Raises CustomerNotFound for an absent, foreign or deleted customer: all the same.
    """
    for _ in range(MERGES_FOLLOWED_MAX):
        row = (
            Customer.objects.for_merchant(merchant_id)
            .filter(pk=customer_id)
            .values_list("deleted_at", "merged_into_id")
            .first()
        )
        if row is None:
            break
        deleted_at, merged_into_id = row
        if deleted_at is None:
            return customer_id
        if merged_into_id is None:
            break
        customer_id = merged_into_id
    raise CustomerNotFound()


def _identifies(
    *, id: uuid.UUID | None, number: str | None, phone: str | None, email: str | None, country: str
) -> tuple[str, Any]:
    """A condition of one placeholder that at most one row of a merchant meets, and its value."""
    given = [value for value in (id, number, phone, email) if value is not None]
    if len(given) != 1:
        raise BadRequest(
            "Name a customer by exactly one of id, number, phone and e-mail.", code="ambiguous_customer"
        )
    if id is not None:
        return "id = %s", id
    if number is not None:
        return "customer_number = %s", number
    # Only numbers and ids of a merged customer lead on: its phone and e-mail may belong to somebody else by now.
    if phone is not None:
        try:
            key = normal_phone(phone, country=country)
        except NotAPhone as exc:
            raise BadRequest(str(exc), field="phone", code="invalid_phone") from None
        return "phone = %s AND phone <> '' AND deleted_at IS NULL", key
    try:
        _, key = normal_email(email or "")
    except NotAnEmail as exc:
        raise BadRequest(str(exc), field="email", code="invalid_email") from None
    return "email_key = %s AND email_key <> '' AND deleted_at IS NULL", key
