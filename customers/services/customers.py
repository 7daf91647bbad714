"""Creating, changing and hiding customers."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import ApiError, Conflict, FieldError
from cloudpos.api.etags import require_version
from cloudpos.api.transactions import one_statement_use_case, use_case
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import draft
from cloudpos.tenancy.statements import Statement, Table
from customers.events import add_events, emit, event
from customers.identity import new_customer_number
from customers.models import Address, Consent, Customer, Event, Preferences
from customers.services.addresses import (
    ADDRESSES_MAX,
    build_address,
    choose_default,
    merge_default_address,
    replace_addresses,
)
from customers.services.consents import apply_preferences, consent_event, initial_preferences
from customers.services.finding import lock_customer
from customers.services.profile import (
    PROFILE_DEFAULTS,
    SEARCHED,
    InvalidCustomer,
    apply_profile,
    index_customer,
    taken,
    tsvector,
)

# A random number that is already somebody's is drawn again; ten billion numbers make two draws a rarity.
NUMBER_DRAWS_MAX = 5

_CUSTOMERS = Table(Customer)
_ADDRESSES = Table(Address)
_CONSENTS = Table(Consent)
_PREFERENCES = Table(Preferences)


@dataclass(slots=True)
class Draft:
    """A customer about to be inserted, or just inserted, with everything that hangs on it."""

    customer: Customer
    addresses: list[Address] = field(default_factory=list)
    preferences: Preferences | None = None
    consents: list[Consent] = field(default_factory=list)


def create_customer(*, access: Access, data: Mapping[str, Any], ip: str | None = None) -> Customer:
    """`create_with_parts`, for who needs the customer alone."""
    return create_with_parts(access=access, data=data, ip=ip).customer


@one_statement_use_case
def create_with_parts(*, access: Access, data: Mapping[str, Any], ip: str | None = None) -> Draft:
    """A new customer with nested `addresses` (or one `address`) and `preferences`.

    `data` has Python names. Its home store is the caller's unless said. Raises InvalidCustomer, and EmailTaken or
    PhoneTaken with the id of the customer who has it.
    """
    (outcome,) = _create([data], access=access, ip=ip)
    if isinstance(outcome, ApiError):
        raise outcome
    return outcome


@use_case
def create_customers(
    *, access: Access, rows: Sequence[Mapping[str, Any] | ApiError], ip: str | None = None
) -> list[Customer | ApiError]:
    """`create_customer` for many, in a handful of statements: per row the customer, or why not.

    A row that is an error already stays it. Good rows are created whatever becomes of the others.
    """
    return [
        outcome.customer if isinstance(outcome, Draft) else outcome
        for outcome in _create(rows, access=access, ip=ip)
    ]


@use_case
def update_customer(
    *,
    access: Access,
    customer_id: uuid.UUID,
    data: Mapping[str, Any],
    replace: bool = False,
    expected_version: int | None = None,
    ip: str | None = None,
) -> Customer:
    """Change what `data` says. With `replace` the profile's other fields return to their defaults; type, status, home
    store, addresses and preferences stay unless said.

    `addresses` replaces the set, `address` changes the default one. Nothing changed: no new version, no event.
    Raises CustomerNotFound, InvalidCustomer, PreconditionFailed, EmailTaken, PhoneTaken.
    """
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    require_version(expected_version, customer.version)
    if replace:
        data = {**PROFILE_DEFAULTS, **data}
    version_before = customer.version
    changed, errors = apply_profile(customer, data, access=access, today=_today(access))
    if errors:
        raise InvalidCustomer(errors=errors)
    touched = set(changed - {"email_key"})
    if _write_addresses(customer, data, access=access):
        touched.add("addresses")
    if data.get("preferences"):
        try:
            apply_preferences(customer, data["preferences"], access=access, ip=ip)
        except ApiError as exc:
            raise InvalidCustomer(errors=_below("preferences", exc)) from None
        if customer.version != version_before:
            touched.add("preferences")
    if not touched and not changed:
        return customer
    if changed & SEARCHED:
        index_customer(customer, search_key=access.search_key)
        changed |= {"search", "sort_name"}
    customer.version = version_before + 1
    customer.updated_at = now()
    with_unique = sorted(changed & {"email", "email_key", "phone"})
    try:
        if with_unique:
            # A savepoint: the look-up of who has it must still be possible after the constraint has spoken.
            with transaction.atomic():
                customer.save(update_fields=[*changed, "version", "updated_at"])
        else:
            customer.save(update_fields=[*changed, "version", "updated_at"])
    except IntegrityError:
        raise _holder(customer) or Conflict() from None
    emit(_event(customer, access, "customer.updated", {"fields": sorted(touched)}))
    return customer


@use_case
def delete_customer(*, access: Access, customer_id: uuid.UUID, expected_version: int | None = None) -> None:
    """Hide a customer. The books stay: purchases, points and consent are kept, e-mail and phone are free again.

    Raises CustomerNotFound, PreconditionFailed.
    """
    customer = lock_customer(merchant_id=access.merchant_id, customer_id=customer_id)
    require_version(expected_version, customer.version)
    hide_customer(customer)
    emit(_event(customer, access, "customer.deleted", {}))


def hide_customer(
    customer: Customer, *, merged_into: Customer | None = None, at: datetime | None = None
) -> None:
    """Take a locked customer out of every list, search and total, inside the caller's transaction."""
    customer.deleted_at = at or now()
    customer.merged_into = merged_into
    customer.search = []
    customer.version += 1
    customer.updated_at = customer.deleted_at
    customer.save(update_fields=["deleted_at", "merged_into", "search", "version", "updated_at"])


def prepare(
    data: Mapping[str, Any],
    *,
    access: Access,
    today: date,
    ip: str | None = None,
    stores: Collection[uuid.UUID] | None = None,
    indexed: bool = True,
    number: str = "",
    email_key: str | None = None,
    at: datetime | None = None,
) -> Draft:
    """An unsaved customer with its parts, made `at` a time or now. Raises InvalidCustomer with everything that is wrong with it.

    Without `indexed` it has no number and could not be found, and so may not be saved: for who only asks what is wrong. `number`:
    its customer number, where the caller has drawn it. `email_key` as in `apply_profile`.
    """
    at = at or now()
    customer = draft(
        Customer,
        merchant_id=access.merchant_id,
        customer_number=(number or new_customer_number()) if indexed else "",
        home_store_id=access.store_id,
        created_at=at,
        updated_at=at,
    )
    _, errors = apply_profile(customer, data, access=access, today=today, stores=stores, email_key=email_key)
    rows, path = _address_rows(data)
    built = []
    for index, row in enumerate(rows):
        address, wrong = build_address(
            customer,
            row,
            country=access.country,
            path=path.format(index),
            # They are shown in the order of their making.
            at=at + timedelta(microseconds=index),
        )
        built.append((address, row))
        errors.extend(wrong)
    if len(rows) > ADDRESSES_MAX:
        errors.append(
            FieldError("addresses", f"A customer has at most {ADDRESSES_MAX} addresses.", "max_length")
        )
    if built:
        errors.extend(choose_default(built))
    preferences: Preferences | None = None
    consents: list[Consent] = []
    try:
        if data.get("preferences"):
            preferences, consents = initial_preferences(customer, data["preferences"], access=access, ip=ip)
    except ApiError as exc:
        errors.extend(_below("preferences", exc))
    if errors:
        raise InvalidCustomer(errors=errors)
    if indexed:
        index_customer(customer, search_key=access.search_key)
    return Draft(customer, [address for address, _ in built], preferences, consents)


def _create(
    rows: Sequence[Mapping[str, Any] | ApiError], *, access: Access, ip: str | None
) -> list[Draft | ApiError]:
    today = _today(access)
    outcomes: list[Draft | ApiError] = []
    drafts: dict[int, Draft] = {}
    for index, row in enumerate(rows):
        try:
            if isinstance(row, ApiError):
                raise row
            drafts[index] = prepare(row, access=access, today=today, ip=ip)
            outcomes.append(drafts[index])
        except ApiError as exc:
            outcomes.append(exc)
    refused = _insert(list(drafts.values()), access=access)
    for index, each in drafts.items():
        if each.customer.pk in refused:
            outcomes[index] = refused[each.customer.pk]
    return outcomes


def _insert(drafts: Sequence[Draft], *, access: Access) -> dict[uuid.UUID, ApiError]:
    """Insert customers with their parts and events, and say of those that could not be why: by id.

    ON CONFLICT instead of an error: the transaction stays usable, without a savepoint, and two callers at the same
    moment are told apart by the unique indexes alone. Rows go in the order of their keys, so that two batches with
    the same people wait for each other instead of deadlocking.
    """
    pending = sorted(drafts, key=lambda each: (each.customer.email_key, each.customer.phone))
    refused: dict[uuid.UUID, ApiError] = {}
    for _ in range(NUMBER_DRAWS_MAX):
        if not pending:
            break
        done = _insert_new(pending, access=access)
        pending = [each for each in pending if each.customer.pk not in done]
        for each in list(pending):
            holder = _holder(each.customer)
            if holder is not None:
                refused[each.customer.pk] = holder
                pending.remove(each)
            else:
                each.customer.customer_number = new_customer_number()
                index_customer(each.customer, search_key=access.search_key)
    for each in pending:
        refused[each.customer.pk] = Conflict()
    return refused


def _insert_new(drafts: Sequence[Draft], *, access: Access) -> set[uuid.UUID]:
    """Insert what conflicts with nothing, with all that hangs on it, in one statement. The ids that are in."""
    statement = Statement()
    statement.insert(
        _CUSTOMERS,
        [{**_CUSTOMERS.row(each.customer), "search": tsvector(each.customer.search)} for each in drafts],
        name="made",
        ending="ON CONFLICT DO NOTHING RETURNING id",
    )
    statement.only_if = "made"
    parts: list[tuple[Table, list[Any]]] = [
        (_ADDRESSES, [address for each in drafts for address in each.addresses]),
        (_CONSENTS, [consent for each in drafts for consent in each.consents]),
        (_PREFERENCES, [each.preferences for each in drafts if each.preferences is not None]),
    ]
    for table, rows in parts:
        statement.insert(table, [table.row(row) for row in rows], of="customer_id")
    happened = [happened for each in drafts for happened in _created_events(each, access)]
    add_events(statement, happened, of="customer_id")
    (ids,) = statement.execute("SELECT array(SELECT id FROM made)")
    done = set(ids)
    for each in drafts:
        if each.customer.pk in done:
            each.customer._state.adding = False
            each.customer._state.db = DEFAULT_DB_ALIAS
    return done


def _holder(customer: Customer) -> Conflict | None:
    """Who has this customer's e-mail or phone, as the error to raise; None when nobody has."""
    same = Q()
    if customer.email_key:
        same |= Q(email_key=customer.email_key)
    if customer.phone:
        same |= Q(phone=customer.phone)
    if not same:
        return None
    other = (
        Customer.objects.for_merchant(customer.merchant_id)
        .visible()
        .filter(same)
        .exclude(pk=customer.pk)
        .values_list("pk", "email_key")
        .first()
    )
    if other is None:
        return None
    holder_id, email_key = other
    has_email = bool(customer.email_key) and email_key == customer.email_key
    return taken(field="email" if has_email else "phone", customer_id=holder_id)


def _write_addresses(customer: Customer, data: Mapping[str, Any], *, access: Access) -> bool:
    if data.get("addresses") is not None:
        changed, errors = replace_addresses(customer, data["addresses"], country=access.country)
    elif data.get("address"):
        changed, errors = merge_default_address(customer, data["address"], country=access.country)
    else:
        return False
    if errors:
        raise InvalidCustomer(errors=errors)
    return changed


def _address_rows(data: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], str]:
    """The nested addresses and the path to one of them."""
    if data.get("addresses"):
        return list(data["addresses"]), "addresses.{}."
    if data.get("address"):
        return [data["address"]], "address."
    return [], ""


def _below(path: str, exc: ApiError) -> list[FieldError]:
    """The errors of a part, named as the caller of the whole wrote them."""
    return [FieldError(f"{path}.{error.field}", error.message, error.code) for error in exc.errors]


def _created_events(made: Draft, access: Access) -> list[Event]:
    customer = made.customer
    created = _event(customer, access, "customer.created", {"type": customer.type})
    return [created, *(consent_event(consent, store_id=access.store_id) for consent in made.consents)]


def _event(customer: Customer, access: Access, type: str, facts: dict[str, Any]) -> Event:
    return event(
        merchant_id=customer.merchant_id,
        customer_id=customer.pk,
        store_id=access.store_id,
        actor_id=access.user_id,
        type=type,
        data=facts,
        request_id=current_request_id(),
    )


def _today(access: Access) -> date:
    return now().astimezone(access.tz).date()
