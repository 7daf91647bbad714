"""Addresses of a customer. Exactly one is the default while there is any; the customer's lock makes that race-free."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F
from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import BadRequest, Conflict, FieldError, NotFound
from cloudpos.api.etags import require_version
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import draft
from customers.countries import COUNTRIES
from customers.events import emit, event
from customers.models import Address, Customer
from customers.services.finding import lock_customer

ADDRESSES_MAX = 50
DEGREE_PLACES = Decimal("0.000001")

# What a caller may write, with what it is when nobody says. An absent country is the merchant's.
ADDRESS_DEFAULTS: Mapping[str, Any] = {
    "label": "",
    "type": Address.Type.HOME.value,
    "street1": "",
    "street2": "",
    "city": "",
    "state": "",
    "postal_code": "",
    "latitude": None,
    "longitude": None,
    "instructions": "",
}


class AddressNotFound(NotFound):
    code = "address_not_found"
    message = "There is no such address"


class TooManyAddresses(Conflict):
    code = "too_many_addresses"
    message = f"A customer has at most {ADDRESSES_MAX} addresses"


@use_case
def add_address(
    *, access: Access, customer_id: uuid.UUID, data: Mapping[str, Any], expected_version: int | None = None
) -> Address:
    """A new address of a customer; the first becomes the default. Raises CustomerNotFound, TooManyAddresses."""
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    require_version(expected_version, customer.version)
    others = _addresses(customer)
    if len(others) >= ADDRESSES_MAX:
        raise TooManyAddresses()
    address, errors = build_address(customer, data, country=access.country)
    if errors:
        raise BadRequest(errors=errors)
    address.is_default = not others or bool(data.get("is_default"))
    if address.is_default:
        _set_default(others, None)
    address.save(force_insert=True)
    _touch(customer, access, {"action": "added", "addressId": str(address.pk)})
    return address


@use_case
def change_address(
    *,
    access: Access,
    customer_id: uuid.UUID,
    address_id: uuid.UUID,
    data: Mapping[str, Any],
    replace: bool = False,
    expected_version: int | None = None,
) -> Address:
    """Change what `data` says; with `replace` the rest returns to its defaults.

    Taking the default away hands it to the oldest other address; an only address stays it.
    Raises CustomerNotFound, AddressNotFound.
    """
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    require_version(expected_version, customer.version)
    addresses = _addresses(customer)
    address = _one_of(addresses, address_id)
    if replace:
        data = {**ADDRESS_DEFAULTS, "country": access.country, **data}
    changed, errors = apply_address(address, data)
    if errors:
        raise BadRequest(errors=errors)
    others = [other for other in addresses if other.pk != address.pk]
    wanted = data.get("is_default")
    handed_on = False
    if wanted is True and not address.is_default:
        _set_default(others, None)
        address.is_default = True
        changed.add("is_default")
    elif wanted is False and address.is_default and others:
        address.is_default = False
        Address.objects.for_merchant(access.merchant_id).filter(pk=address.pk).update(is_default=False)
        _set_default(others, others[0])
        handed_on = True
    if changed:
        address.updated_at = now()
        address.save(update_fields=[*changed, "updated_at"])
    if changed or handed_on:
        _touch(customer, access, {"action": "changed", "addressId": str(address.pk)})
    return address


@use_case
def delete_address(
    *, access: Access, customer_id: uuid.UUID, address_id: uuid.UUID, expected_version: int | None = None
) -> None:
    """Delete an address; the default is handed to the oldest that stays. Raises CustomerNotFound, AddressNotFound."""
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    require_version(expected_version, customer.version)
    addresses = _addresses(customer)
    address = _one_of(addresses, address_id)
    others = [other for other in addresses if other is not address]
    address.delete()
    if address.is_default:
        _set_default(others, others[0] if others else None)
    _touch(customer, access, {"action": "deleted", "addressId": str(address_id)})


def build_address(
    customer: Customer,
    data: Mapping[str, Any],
    *,
    country: str,
    path: str = "",
    at: datetime | None = None,
) -> tuple[Address, list[FieldError]]:
    """An unsaved address made `at` a time or now, and what is wrong with it. `country` stands in for an absent one."""
    at = at or now()
    address = draft(
        Address,
        merchant_id=customer.merchant_id,
        customer_id=customer.pk,
        country=country,
        created_at=at,
        updated_at=at,
    )
    _, errors = apply_address(address, data, path=path)
    return address, errors


def apply_address(
    address: Address, data: Mapping[str, Any], *, path: str = ""
) -> tuple[set[str], list[FieldError]]:
    """Put `data` on the instance: (columns that changed, what is wrong). The default flag is not touched."""
    errors = []
    values = {name: data[name] for name in ADDRESS_DEFAULTS if name in data}
    for name, value in values.items():
        if value is None:
            # Without a position by null, without the rest by an empty text.
            values[name] = ADDRESS_DEFAULTS[name]
    for name in ("latitude", "longitude"):
        if values.get(name) is not None:
            values[name] = Decimal(repr(float(values[name]))).quantize(DEGREE_PLACES)
    if data.get("country"):
        values["country"] = data["country"].upper()
        if values["country"] not in COUNTRIES:
            message = "This must be a country code of two letters (ISO 3166-1), such as GB."
            errors.append(FieldError(f"{path}country", message, "invalid_country"))
    changed = {name for name, value in values.items() if getattr(address, name) != value}
    for name in changed:
        setattr(address, name, values[name])
    for name in ("street1", "city"):
        if not getattr(address, name):
            errors.append(FieldError(f"{path}{name}", "This field is required.", "required"))
    if (address.latitude is None) != (address.longitude is None):
        missing = "latitude" if address.latitude is None else "longitude"
        errors.append(
            FieldError(f"{path}{missing}", "Give both latitude and longitude, or neither.", "required")
        )
    return changed, errors


def choose_default(rows: Sequence[tuple[Address, Mapping[str, Any]]]) -> list[FieldError]:
    """Mark exactly one of a customer's addresses, given with what was said of each: the one said to be it, else the first."""
    said = [index for index, (_, data) in enumerate(rows) if data.get("is_default")]
    if len(said) > 1:
        return [
            FieldError(f"addresses.{said[1]}.isDefault", "Only one address is the default.", "one_default")
        ]
    chosen = said[0] if said else 0
    for index, (address, _) in enumerate(rows):
        address.is_default = index == chosen
    return []


def replace_addresses(
    customer: Customer, rows: Sequence[Mapping[str, Any]], *, country: str
) -> tuple[bool, list[FieldError]]:
    """Make `rows` the customer's addresses, inside the caller's transaction and under the customer's lock.

    A row with the id of one of them changes it, a row without an id is a new one, and what is not listed goes.
    (whether anything changed, what is wrong); nothing is written when something is wrong.
    """
    existing = {address.pk: address for address in _addresses(customer)}
    before = {pk: address.is_default for pk, address in existing.items()}
    errors: list[FieldError] = []
    kept: dict[uuid.UUID, set[str]] = {}
    result: list[tuple[Address, Mapping[str, Any]]] = []
    for index, data in enumerate(rows):
        path = f"addresses.{index}."
        address_id = data.get("id")
        if address_id is None:
            address, wrong = build_address(customer, data, country=country, path=path)
        elif address_id in kept or address_id not in existing:
            errors.append(
                FieldError(f"{path}id", "This is not an address of the customer.", "address_not_found")
            )
            continue
        else:
            address = existing[address_id]
            kept[address_id], wrong = apply_address(
                address, {**ADDRESS_DEFAULTS, "country": country, **data}, path=path
            )
        errors.extend(wrong)
        result.append((address, data))
    if result:
        errors.extend(choose_default(result))
    if errors:
        return False, errors
    at = now()
    gone = [pk for pk in existing if pk not in kept]
    fresh = [address for address, _ in result if address.pk not in existing]
    changed = [a for a, _ in result if a.pk in existing and (kept[a.pk] or a.is_default != before[a.pk])]
    mine = Address.objects.for_merchant(customer.merchant_id).filter(customer_id=customer.pk)
    if gone:
        mine.filter(pk__in=gone).delete()
    if any(not address.is_default and before[address.pk] for address in changed):
        # Before another one takes it: the database allows one default at any moment.
        mine.filter(is_default=True).update(is_default=False)
    for address in changed:
        address.updated_at = at
        address.save(update_fields=[*kept[address.pk], "is_default", "updated_at"])
    if fresh:
        Address.objects.bulk_create(fresh)
    return bool(gone or fresh or changed), []


def merge_default_address(
    customer: Customer, data: Mapping[str, Any], *, country: str
) -> tuple[bool, list[FieldError]]:
    """`address` of a customer's PATCH: changes the default address, or makes the first one."""
    addresses = _addresses(customer)
    default = next((address for address in addresses if address.is_default), None)
    if default is None:
        address, errors = build_address(customer, data, country=country, path="address.")
        if not errors:
            address.is_default = True
            address.save(force_insert=True)
        return True, errors
    changed, errors = apply_address(default, data, path="address.")
    if changed and not errors:
        default.updated_at = now()
        default.save(update_fields=[*changed, "updated_at"])
    return bool(changed), errors


def keep_one_default(customer: Customer) -> None:
    """After addresses were moved to or from a locked customer: its oldest becomes the default if none is."""
    addresses = _addresses(customer)
    if addresses and not any(address.is_default for address in addresses):
        _set_default([], addresses[0])


def _addresses(customer: Customer) -> list[Address]:
    return list(
        Address.objects.for_merchant(customer.merchant_id)
        .filter(customer_id=customer.pk)
        .order_by("created_at", "pk")
    )


def _one_of(addresses: Sequence[Address], address_id: uuid.UUID) -> Address:
    for address in addresses:
        if address.pk == address_id:
            return address
    raise AddressNotFound()


def _set_default(others: Sequence[Address], chosen: Address | None) -> None:
    """Take the default from `others`, then give it to `chosen`: in this order the database never sees two."""
    for other in others:
        if other.is_default:
            Address.objects.for_merchant(other.merchant_id).filter(pk=other.pk).update(is_default=False)
            other.is_default = False
    if chosen is not None:
        Address.objects.for_merchant(chosen.merchant_id).filter(pk=chosen.pk).update(is_default=True)
        chosen.is_default = True


def _touch(customer: Customer, access: Access, facts: dict[str, Any]) -> None:
    """The customer's JSON shows its addresses: a new version, and an event."""
    at = now()
    Customer.objects.for_merchant(customer.merchant_id).filter(pk=customer.pk).update(
        version=F("version") + 1, updated_at=at
    )
    customer.version += 1
    customer.updated_at = at
    emit(
        event(
            merchant_id=customer.merchant_id,
            customer_id=customer.pk,
            store_id=access.store_id,
            actor_id=access.user_id,
            type="address.changed",
            data=facts,
            request_id=current_request_id(),
        )
    )
