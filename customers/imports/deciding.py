"""What is to be done about each row of a chunk. The check and the import both ask this; only the import then does it."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import orjson

from cloudpos.api.encoding import encode
from cloudpos.api.errors import FieldError
from customers.identity import normal_tags
from customers.imports.knowing import Context, Known
from customers.imports.rows import ReadRow
from customers.models import Address, ConsentState, Customer, ImportRow, Purpose
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


def decide(
    rows: Sequence[ReadRow], known: Known, context: Context, *, draw: Callable[[], str] | None
) -> list[Decision]:
    """One decision for each row, without a statement: what the database knows of them was looked up before.

    A row with a problem is not imported at all: half a customer helps nobody. `draw` gives the numbers of new customers; without
    it nobody who is created may be saved: for the check.
    """
    decisions = [Decision(row) for row in rows]
    for decision in decisions:
        row = decision.row
        if row.problems:
            continue
        hit = known.hits.get(row.number)
        if hit is None:
            _decide_new(decision, context, known.refused, draw)
        else:
            _decide_known(decision, known.customers[hit.id], known, context)
        if row.problems:
            decision.outcome = Outcome.FAILED
    return decisions


def _decide_new(
    decision: Decision,
    context: Context,
    refused: Mapping[str, set[str]],
    draw: Callable[[], str] | None,
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
            data,
            access=context.access,
            today=context.today,
            stores=context.stores,
            indexed=draw is not None,
            number=draw() if draw is not None else "",
            email_key=row.email_key,
            at=context.at,
        )
    except InvalidCustomer as invalid:
        _say(context, row, invalid.errors)
        return
    if not _metadata_fits(row, draft.customer.metadata, context):
        return
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
                at=context.at,
            )
        )
    add_statements(draft, statements)
    decision.draft, decision.external_id = draft, row.external_id
    decision.outcome = Outcome.CREATED


def _decide_known(decision: Decision, customer: Customer, known: Known, context: Context) -> None:
    row, settings = decision.row, context.settings
    said = known.said.get(customer.id, {})
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
        customer,
        data,
        access=context.access,
        today=context.today,
        stores=context.stores,
        email_key=row.email_key,
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
        _decide_address(decision, customer, known.addresses.get(customer.id), context)
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
    if row.external_id and row.external_id not in known.found.by_external_id:
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
            customer, row.address, country=context.access.country, path="address.", at=context.at
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
            "id": str(address.id),
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


__all__ = ["Decision", "Outcome", "decide"]
