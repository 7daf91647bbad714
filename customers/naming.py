"""Which customers are meant by what people type: a customer number, an e-mail address or a phone number each."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db.models import Q

from cloudpos.api.errors import FieldError
from customers.identity import NotAnEmail, NotAPhone, normal_email, normal_phone
from customers.models import Customer

SHOWN_CHARS_MAX = 60


def customers_named(
    *, merchant_id: uuid.UUID, country: str, names: Sequence[str]
) -> tuple[list[uuid.UUID], list[FieldError]]:
    """(who is meant, in order and each once; what is wrong, its `field` the name that was typed). One query.

    A number that was merged away names the record that was merged. `country` is that of phone numbers without one.
    """
    keys = {name: _keys(name, country) for name in names}
    known = _known(merchant_id, {key for each in keys.values() for key in each})
    found: dict[uuid.UUID, None] = {}
    problems = []
    for name, possible in keys.items():
        meant = next((known[key] for key in possible if key in known), None)
        if meant is None:
            problems.append(FieldError(name[:SHOWN_CHARS_MAX], "There is no such customer.", "not_found"))
        else:
            found[meant] = None
    return list(found), problems


def _keys(name: str, country: str) -> list[tuple[str, str]]:
    """(column, value) of what it can be, the likelier first."""
    try:
        if "@" in name:
            return [("email_key", normal_email(name)[1])]
    except NotAnEmail:
        return []
    number = "".join(character for character in name if character not in " -")
    keys = [("customer_number", number)] if number.isascii() and number.isalnum() else []
    try:
        keys.append(("phone", normal_phone(name, country=country)))
    except NotAPhone:
        pass
    return keys


def _known(merchant_id: uuid.UUID, keys: set[tuple[str, str]]) -> dict[tuple[str, str], uuid.UUID]:
    def values(column: str) -> list[str]:
        return sorted(value for named, value in keys if named == column)

    visible = Q(deleted_at=None) & (Q(email_key__in=values("email_key")) | Q(phone__in=values("phone")))
    rows = (
        Customer.objects.for_merchant(merchant_id)
        .filter(visible | Q(customer_number__in=values("customer_number")))
        .values_list("pk", "customer_number", "email_key", "phone", "deleted_at", "merged_into_id")
    )
    found: dict[tuple[str, str], uuid.UUID] = {}
    for pk, number, email, phone, deleted_at, merged_into in rows:
        if deleted_at is None:
            found |= {("email_key", email): pk, ("phone", phone): pk}
        if deleted_at is None or merged_into is not None:
            found["customer_number", number] = pk
    return found
