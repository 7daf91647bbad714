"""What is to be done about each row of a chunk. The check and the import both ask this; only the import then does it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import orjson

from cloudpos.api.encoding import encode
from cloudpos.api.errors import FieldError
from cloudpos.tenancy.access import Access
from customers.identity import normal_tags
from customers.imports.matching import Found, Hit, Seen, find_customers, withdrawn_by_hidden
from customers.imports.rows import ReadRow, RowReader
from customers.imports.settings import KEYS, Settings
from customers.models import Address, ConsentState, Customer, ImportRow, Preferences, Purpose
from customers.models.customer import METADATA_BYTES_MAX
from customers.services.addresses import apply_address, build_address
from customers.services.bulk import add_statements
from customers.services.consents import build_consent
from customers.services.customers import Draft, prepare
from customers.services.profile import InvalidCustomer, apply_profile

Outcome = ImportRow.Outcome
COLUMNS_BEFORE = (
    "type",
    "status",
    "first_name",
    "last_name",
    "company_name",
    "tax_id",
    "email",
    "email_key",
    "phone",
    "date_of_birth",
    "gender",
    "language",
    "notes",
    "tags",
    "metadata",
    "home_store_id",
)


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


@dataclass(slots=True)
class Decision:
    """`draft` of who is created, `customer` of who is known, with what `changed` of it; `address` is new, or changed."""

    row: ReadRow
    outcome: str = Outcome.FAILED
    draft: Draft | None = None
    customer: Customer | None = None
    changed: set[str] = field(default_factory=set)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    address: Address | None = None
    address_changed: set[str] = field(default_factory=set)
    address_is_new: bool = False
    withdrawn: list[str] = field(default_factory=list)
    external_id: str = ""
    consents_ignored: int = 0

    @property
    def fields(self) -> list[str]:
        """What changed of a known customer, as their event says it."""
        said = self.changed - {"email_key"}
        if self.address is not None:
            said.add("addresses")
        if self.withdrawn:
            said.add("preferences")
        return sorted(said or {"externalId"})


def decide(rows: Sequence[ReadRow], context: Context, seen: Seen, *, locked: bool) -> list[Decision]:
    """One decision for each row. With `locked`, inside the caller's transaction, known customers are locked.

    A row with a problem is not imported at all: half a customer helps nobody.
    """
    earlier = seen.earlier(rows)
    for row in rows:
        if row.number in earlier:
            name, number = earlier[row.number]
            context.reader.say(row, name, f"The same stands in row {number} already.", "duplicate_in_file")
    merchant_id = context.access.merchant_id
    found = find_customers(merchant_id, rows)
    decisions = [Decision(row) for row in rows]
    known: dict[int, Hit] = {}
    for decision in decisions:
        hit = _match(decision.row, found, context)
        if hit is not None:
            known[decision.row.number] = hit
    again = seen.earlier_customers([(hit.id, number) for number, hit in known.items()])
    customers, addresses, said = _read(
        merchant_id, {hit.id for number, hit in known.items() if number not in again}, context, locked=locked
    )
    refused = _refused([row for row in rows if row.number not in known and not row.problems], context)
    for decision in decisions:
        row = decision.row
        hit = known.get(row.number)
        if row.number in again and not row.problems:
            message = f"Row {again[row.number]} means the same customer."
            context.reader.say(row, None, message, "same_customer_twice")
        if row.problems:
            continue
        if hit is None:
            _decide_new(decision, context, refused, indexed=locked)
        elif hit.id in customers:
            customer = customers[hit.id]
            _decide_known(decision, customer, addresses.get(hit.id), said.get(hit.id, {}), found, context)
        else:
            # Merged or deleted since it was looked for: the chunk is begun again.
            raise ChangedMeanwhile
        if row.problems:
            decision.outcome = Outcome.FAILED
    return decisions


class ChangedMeanwhile(Exception):
    """Somebody else changed a customer between our look at it and our lock."""


def _match(row: ReadRow, found: Found, context: Context) -> Hit | None:
    """The customer that a row means. Two of them are a problem of the row."""
    hits = found.of(row)
    settings = context.settings
    if row.customer_number and "customerNumber" not in hits and not row.problems:
        message = "No customer has this number. Leave the cell empty to add a new one."
        context.reader.say(row, "customerNumber", message, "number_unknown")
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


def _read(
    merchant_id: uuid.UUID, ids: set[uuid.UUID], context: Context, *, locked: bool
) -> tuple[dict[uuid.UUID, Customer], dict[uuid.UUID, Address], dict[uuid.UUID, dict[str, Any]]]:
    """(the known customers, their default addresses, what they have said) of a chunk, the last two where a row needs them."""
    if not ids:
        return {}, {}, {}
    rows = (
        Customer.objects.for_merchant(merchant_id).visible().filter(pk__in=ids).defer("search").order_by("pk")
    )
    if locked:
        rows = rows.select_for_update(no_key=True)
    customers = {customer.pk: customer for customer in rows}
    addresses: dict[uuid.UUID, Address] = {}
    targets = [target or "" for target in context.settings.targets]
    if any(target.startswith("address.") for target in targets):
        defaults = Address.objects.for_merchant(merchant_id).filter(customer_id__in=ids, is_default=True)
        addresses = {address.customer_id: address for address in defaults}
    said: dict[uuid.UUID, dict[str, Any]] = {}
    if any(target.startswith("consent.") for target in targets):
        preferences = Preferences.objects.for_merchant(merchant_id).filter(customer_id__in=ids)
        said = dict(preferences.values_list("customer_id", "consents"))
    return customers, addresses, said


def _refused(rows: Sequence[ReadRow], context: Context) -> Mapping[str, set[str]]:
    """By e-mail key or phone of new rows that say yes: the channels on which that person had said no before they were hidden."""
    asked = [row for row in rows if any(row.consents.values())]
    if not asked or not context.settings.consent_source:
        return {}
    return withdrawn_by_hidden(context.access.merchant_id, asked)


def _decide_new(
    decision: Decision, context: Context, refused: Mapping[str, set[str]], *, indexed: bool
) -> None:
    row, settings = decision.row, context.settings
    if settings.mode == "update":
        decision.outcome = Outcome.SKIPPED
        return
    data = dict(row.values)
    if row.metadata:
        data["metadata"] = dict(row.metadata)
    if row.address:
        data["address"] = row.address
    if (
        "type" not in data
        and data.get("company_name")
        and not (data.get("first_name") or data.get("last_name"))
    ):
        data["type"] = Customer.Type.BUSINESS.value
    try:
        draft = prepare(
            data, access=context.access, today=context.today, stores=context.stores, indexed=indexed
        )
    except InvalidCustomer as invalid:
        _say(context, row, invalid.errors)
        return
    if not _metadata_fits(row, draft.customer.metadata, context):
        return
    draft.customer.created_at = draft.customer.updated_at = context.at
    statements = []
    said_no = refused.get(row.email_key, set()) | refused.get(row.phone, set())
    for channel, granted in row.consents.items():
        if granted and (not settings.consent_source or channel in said_no):
            # Nobody could say later where this yes came from; or it is older than a no, for all that anybody knows.
            decision.consents_ignored += 1
            continue
        statements.append(
            build_consent(
                draft.customer,
                channel=channel,
                purpose=Purpose.MARKETING.value,
                state=(ConsentState.GRANTED if granted else ConsentState.WITHDRAWN).value,
                source=context.source,
                wording_version=settings.consent_wording if granted else "",
                actor_id=context.access.user_id,
                occurred_at=context.at,
            )
        )
    add_statements(draft, statements)
    decision.draft, decision.external_id = draft, row.external_id
    decision.outcome = Outcome.CREATED


def _decide_known(
    decision: Decision,
    customer: Customer,
    default: Address | None,
    said: Mapping[str, Any],
    found: Found,
    context: Context,
) -> None:
    row, settings = decision.row, context.settings
    decision.customer = customer
    if settings.mode == "create":
        decision.outcome = Outcome.SKIPPED
        return
    data = dict(row.values)
    if settings.empty_cells == "erase":
        data |= dict.fromkeys(row.emptied, None)
    if row.email_key and row.email_key == customer.email_key:
        # Known under this address already, however it is written.
        del data["email"]
    if "tags" in data:
        data["tags"] = normal_tags([*customer.tags, *data["tags"]])
    if row.metadata:
        said_anew = {
            key: text for key, text in row.metadata.items() if not _says(text, customer.metadata.get(key))
        }
        data["metadata"] = {**customer.metadata, **said_anew}
    old = {column: getattr(customer, column) for column in COLUMNS_BEFORE}
    changed, errors = apply_profile(
        customer, data, access=context.access, today=context.today, stores=context.stores
    )
    if errors:
        _say(context, row, errors)
        return
    if "metadata" in changed and not _metadata_fits(row, customer.metadata, context):
        return
    decision.changed = changed
    decision.before = {column: _plain(old[column]) for column in changed}
    decision.after = {column: _plain(getattr(customer, column)) for column in changed}
    if row.address:
        _decide_address(decision, customer, default, context)
        if row.problems:
            return
    for channel, granted in row.consents.items():
        now_said = said.get(channel, {}).get(Purpose.MARKETING.value)
        if not granted and now_said is not False:
            decision.withdrawn.append(channel)
        elif granted and now_said is not True:
            decision.consents_ignored += 1
    if decision.withdrawn:
        decision.after["withdrawn"] = decision.withdrawn
    if row.external_id and row.external_id not in found.by_external_id:
        decision.external_id = decision.after["external_id"] = row.external_id
    anything = changed or decision.address is not None or decision.withdrawn or decision.external_id
    decision.outcome = Outcome.UPDATED if anything else Outcome.UNCHANGED


def _decide_address(
    decision: Decision, customer: Customer, default: Address | None, context: Context
) -> None:
    """The default address is changed, or made when there is none."""
    row = decision.row
    if default is None:
        address, errors = build_address(
            customer, row.address, country=context.access.country, path="address."
        )
        address.is_default = decision.address_is_new = True
        changed: set[str] = set()
    else:
        address = default
        old = {name: getattr(default, name) for name in row.address}
        changed, errors = apply_address(address, row.address, path="address.")
        decision.before["address"] = {name: _plain(old[name]) for name in changed}
    if errors:
        _say(context, row, errors)
        return
    if decision.address_is_new or changed:
        decision.address, decision.address_changed = address, changed
        decision.after["address"] = {
            "id": str(address.pk),
            **{name: _plain(getattr(address, name)) for name in (changed or row.address)},
        }
    else:
        decision.before.pop("address", None)


def _says(text: str, known: Any) -> bool:
    """Whether a cell says what is known: our own exports write a number, a yes, or a list as its JSON."""
    if known is None or isinstance(known, str):
        return text == known
    try:
        return bool(orjson.loads(text) == known)
    except orjson.JSONDecodeError:
        return False


def _metadata_fits(row: ReadRow, metadata: dict[str, Any], context: Context) -> bool:
    if len(encode(metadata)) <= METADATA_BYTES_MAX:
        return True
    message = f"A customer's own fields may have {METADATA_BYTES_MAX:,} bytes together."
    context.reader.say(row, None, message, "metadata_too_large")
    return False


def _say(context: Context, row: ReadRow, errors: Sequence[FieldError]) -> None:
    for error in errors:
        context.reader.say(row, error.field, error.message, error.code)


def _plain(value: Any) -> Any:
    """As JSON keeps it."""
    if isinstance(value, uuid.UUID | date):
        return str(value)
    return value


__all__ = ["ChangedMeanwhile", "Context", "Decision", "Outcome", "decide"]
