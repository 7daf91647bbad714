"""What the database knows of a chunk's rows, looked up together: deciding about them then needs no statement."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from cloudpos.tenancy.access import Access
from cloudpos.tenancy.drafting import stored
from customers.imports.matching import Found, Hit, Seen, find_customers, withdrawn_by_hidden
from customers.imports.rows import ReadRow, RowReader
from customers.imports.settings import KEYS, Settings
from customers.models import Address, Customer, Preferences

# Whoever changes is indexed anew, whatever they were found by.
_COLUMNS = [field.attname for field in Customer._meta.concrete_fields if field.attname != "search"]


@dataclass(frozen=True, slots=True)
class Context:
    """What is the same for all rows of an import."""

    access: Access
    settings: Settings
    reader: RowReader
    stores: frozenset[uuid.UUID]
    today: date
    at: datetime
    import_id: uuid.UUID

    @property
    def source(self) -> str:
        """Where a consent was said."""
        said = self.settings.consent_source
        return f"import: {said}" if said else "import"


class ChangedMeanwhile(Exception):
    """Somebody else changed a customer between our look at it and our lock."""


@dataclass(slots=True)
class Known:
    """Of a chunk's rows: whom each means, by its number, and what of these customers and of people who are hidden matters.

    `versions` of the customers as they were read. `is_certain`: no row has a problem because of who is known.
    """

    found: Found
    hits: dict[int, Hit]
    is_certain: bool
    customers: dict[uuid.UUID, Customer] = field(default_factory=dict)
    versions: dict[uuid.UUID, int] = field(default_factory=dict)
    addresses: dict[uuid.UUID, Address] = field(default_factory=dict)
    said: dict[uuid.UUID, dict[str, Any]] = field(default_factory=dict)
    refused: Mapping[str, set[str]] = field(default_factory=dict)


def look_up(rows: Sequence[ReadRow], context: Context, seen: Seen, *, locked: bool) -> Known:
    """Look at what a chunk's rows mean, and tell the rows what is wrong with that. Remembers them in `seen`.

    With `locked` the customers are locked, inside the caller's transaction; raises ChangedMeanwhile when one is gone by then.
    """
    earlier = seen.earlier(rows)
    for row in rows:
        if row.number in earlier:
            name, number = earlier[row.number]
            context.reader.say(row, name, f"The same stands in row {number} already.", "duplicate_in_file")
    problems = sum(len(row.problems) for row in rows)
    merchant_id = context.access.merchant_id
    found = find_customers(merchant_id, rows)
    matched = {row.number: _match(row, found, context) for row in rows}
    hits = {number: hit for number, hit in matched.items() if hit is not None}
    again = seen.earlier_customers([(hit.id, number) for number, hit in hits.items()])
    for row in rows:
        if row.number in again and not row.problems:
            message = f"Row {again[row.number]} means the same customer."
            context.reader.say(row, None, message, "same_customer_twice")
    is_certain = not again and sum(len(row.problems) for row in rows) == problems
    known = Known(found, hits, is_certain)
    _read(
        known,
        {hits[row.number].id for row in rows if row.number in hits and not row.problems},
        context,
        locked,
    )
    known.refused = _refused([row for row in rows if row.number not in hits and not row.problems], context)
    return known


def lock_as_known(known: Known, context: Context) -> None:
    """Lock the customers of a chunk that was looked up before the last one was written, inside the caller's transaction.

    Raises ChangedMeanwhile when one is not what it was then, or when what was seen then decided that a row is wrong.
    """
    if not known.is_certain:
        raise ChangedMeanwhile
    if known.versions:
        rows = _customers(set(known.versions), context, locked=True)
        if dict(rows.values_list("pk", "version")) != known.versions:
            raise ChangedMeanwhile


def _match(row: ReadRow, found: Found, context: Context) -> Hit | None:
    """The customer that a row means. Two of them are a problem of the row."""
    hits = found.of(row)
    settings = context.settings
    if row.customer_number and "customerNumber" not in hits and not row.problems:
        message = "No customer has this number. Leave the cell empty to add a new one."
        context.reader.say(row, "customerNumber", message, "number_unknown")
        return None
    if not hits:
        return None
    meant = {key: hits[key] for key in settings.match_by if key in hits}
    if len({hit.id for hit in meant.values()}) > 1:
        said = ", ".join(f"{KEYS[key]} is of customer {hit.number}" for key, hit in meant.items())
        context.reader.say(row, None, f"This row means different customers: {said}.", "two_customers")
        return None
    hit = next(iter(meant.values()), None)
    for key, other in hits.items():
        if hit is None or other.id != hit.id:
            message = f"Customer {other.number} has this already."
            context.reader.say(row, key, message, f"{_snake(key)}_taken")
            return None
    return hit


def _snake(key: str) -> str:
    return {"externalId": "external_id", "customerNumber": "number"}.get(key, key)


def _customers(ids: set[uuid.UUID], context: Context, *, locked: bool) -> Any:
    """In order of id, so that two who lock the same wait for each other."""
    rows = _among(Customer.objects.for_merchant(context.access.merchant_id).visible(), "id", ids).order_by(
        "pk"
    )
    return rows.select_for_update(no_key=True) if locked else rows


def _among(rows: Any, column: str, ids: set[uuid.UUID]) -> Any:
    """`filter(column__in=ids)` with the ids as one parameter: a thousand take longer to be written down than to be found."""
    return rows.extra(where=[f"{column} = ANY(%s)"], params=[list(ids)])  # noqa: S610 - a column of ours


def _read(known: Known, ids: set[uuid.UUID], context: Context, locked: bool) -> None:
    """The customers, their default addresses and what they have said, the last two where the file has a column for it."""
    if not ids:
        return
    rows = _customers(ids, context, locked=locked).values(*_COLUMNS)
    known.customers = {row["id"]: stored(Customer, row) for row in rows}
    if len(known.customers) < len(ids):
        # Merged or deleted since it was looked for.
        raise ChangedMeanwhile
    known.versions = {id: customer.version for id, customer in known.customers.items()}
    merchant_id = context.access.merchant_id
    targets = [target or "" for target in context.settings.targets]
    if any(target.startswith("address.") for target in targets):
        defaults = _among(Address.objects.for_merchant(merchant_id), "customer_id", ids).filter(
            is_default=True
        )
        known.addresses = {row["customer_id"]: stored(Address, row) for row in defaults.values()}
    if any(target.startswith("consent.") for target in targets):
        preferences = _among(Preferences.objects.for_merchant(merchant_id), "customer_id", ids)
        known.said = dict(preferences.values_list("customer_id", "consents"))


def _refused(rows: Sequence[ReadRow], context: Context) -> Mapping[str, set[str]]:
    """By e-mail key or phone of new rows that say yes: the channels on which that person had said no before they were hidden."""
    asked = [row for row in rows if any(row.consents.values())]
    if not asked or not context.settings.consent_source:
        return {}
    return withdrawn_by_hidden(context.access.merchant_id, asked)


__all__ = ["ChangedMeanwhile", "Context", "Known", "lock_as_known", "look_up"]
