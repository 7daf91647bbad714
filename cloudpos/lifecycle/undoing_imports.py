"""Taking a whole import back: who came by it goes, and what it changed returns, unless somebody has touched it since."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.api.errors import Conflict
from cloudpos.jobs.running import Work, chunk_transaction
from cloudpos.lifecycle.erasing import erase_imported
from cloudpos.tenancy.models import Merchant
from customers.events import emit, event
from customers.imports.running import access_of
from customers.models import Address, Customer, Event, ExternalId, Import, ImportRow
from customers.services import index_customer, keep_one_default
from customers.services.copying import copy_in, copy_lines, update_in
from marketing.segment_membership import recount

CHUNK_ROWS = 1_000
CHUNK_MS_MAX = 60_000
CHUNK_TRIES_MAX = 10
# What this service works out by itself is no sign that somebody has to do with a customer.
DERIVED_EVENTS = ("segment.entered", "segment.exited", "segment.changed", "customer.exported")

State, Outcome, Undo = Import.State, ImportRow.Outcome, ImportRow.Undo

TOUCHED = "Something has happened with this customer since."
GONE = {
    "erased": "This customer was erased since.",
    "merged": "This customer was merged into another one since.",
    "deleted": "This customer was removed since.",
}
LABELS = {
    "first_name": "first name",
    "last_name": "last name",
    "company_name": "company",
    "tax_id": "tax number",
    "email": "e-mail",
    "date_of_birth": "date of birth",
    "home_store_id": "home store",
    "metadata": "own fields",
}


class UndoBusy(Conflict):
    code = "import_interrupted"
    message = "Customers were changed by others again and again meanwhile. Go on in a while."


def undo(work: Work) -> dict[str, Any]:
    """Take back row after row, from where an earlier job was stopped; what cannot be taken back says why."""
    source = Import.objects.for_merchant(work.merchant_id).get(pk=work.parameters["importId"])
    if source.state == State.UNDONE:
        return dict(source.undo_counts)
    changed = (
        ImportRow.objects.for_merchant(work.merchant_id)
        .filter(
            source_id=source.pk, phase=ImportRow.Phase.RUN, outcome__in=[Outcome.CREATED, Outcome.UPDATED]
        )
        .order_by("number")
    )
    counts: dict[str, int] = dict(source.undo_counts)
    work.expect(changed.filter(number__gt=source.position).count())
    position = source.position
    while True:
        rows = list(changed.filter(number__gt=position)[:CHUNK_ROWS])
        if not rows:
            break
        position = rows[-1].number
        found = _undo_chunk(work, source, rows, counts)
        counts = {name: counts.get(name, 0) + found.get(name, 0) for name in {*counts, *found}}
    at = now()
    with transaction.atomic():
        mine = Import.objects.for_merchant(source.merchant_id).filter(pk=source.pk)
        mine.update(state=State.UNDONE, undone_at=at)
        recount(merchant_id=source.merchant_id)
        names = (Undo.UNDONE.value, Undo.PARTLY.value, Undo.KEPT.value)
        emit(
            event(
                merchant_id=source.merchant_id,
                actor_id=source.actor_id,
                type="import.undone",
                data={"importId": str(source.pk), **{name: counts.get(name, 0) for name in names}},
                occurred_at=at,
            )
        )
        work.checkpoint(position, done=0)
    return counts


def _undo_chunk(
    work: Work, source: Import, rows: list[ImportRow], counts: Mapping[str, int]
) -> dict[str, int]:
    for _ in range(CHUNK_TRIES_MAX):
        try:
            with chunk_transaction(ms_max=CHUNK_MS_MAX):
                _Chunk(source, rows, at=now()).undo()
                found: dict[str, int] = {}
                for row in rows:
                    found[str(row.undo)] = found.get(str(row.undo), 0) + 1
                total = {name: counts.get(name, 0) + found.get(name, 0) for name in {*counts, *found}}
                Import.objects.for_merchant(source.merchant_id).filter(pk=source.pk).update(
                    position=rows[-1].number, undo_counts=total
                )
                work.checkpoint(rows[-1].number, done=len(rows), **found)
            return found
        except IntegrityError:
            # An e-mail or phone that somebody has taken since we looked.
            for row in rows:
                row.undo, row.undo_notes = Undo.NOT_YET, []
    raise UndoBusy()


class _Chunk:
    """Some rows of an import, with their customers locked."""

    def __init__(self, source: Import, rows: list[ImportRow], *, at: datetime) -> None:
        self.source, self.rows, self.at = source, rows, at
        self.merchant_id = source.merchant_id
        self.access = access_of(source, Merchant.objects.get(pk=source.merchant_id))
        ids = {row.customer_id for row in rows if row.customer_id}
        self.customers: dict[uuid.UUID, Customer] = {
            customer.pk: customer
            for customer in Customer.objects.for_merchant(self.merchant_id)
            .filter(pk__in=ids)
            .order_by("pk")
            .select_for_update(no_key=True)
        }
        self.touched = self._touched(ids)
        self.holders = self._holders()
        self.addresses = self._addresses()
        self.external_ids = self._external_ids()
        self.events: list[Event] = []
        self.addresses_back: list[Address] = []
        self.address_columns: set[str] = set()
        self.addresses_gone: list[Address] = []
        self.external_ids_gone: list[ExternalId] = []

    def undo(self) -> None:
        gone: list[Customer] = []
        restored: list[Customer] = []
        columns: set[str] = set()
        for row in self.rows:
            customer = self.customers.get(row.customer_id) if row.customer_id else None
            state = "erased" if customer is None else _gone(customer)
            if customer is None or state:
                _mark(row, Undo.KEPT, [GONE[state]])
            elif row.outcome == Outcome.CREATED:
                if customer.pk in self.touched:
                    _mark(row, Undo.KEPT, [TOUCHED])
                else:
                    gone.append(customer)
                    _mark(row, Undo.UNDONE, [])
            else:
                back = self._give_back(row, customer)
                columns |= back
                restored.append(customer)
        # Before an e-mail returns to whom it was taken from by somebody who goes now.
        erase_imported(gone, import_id=self.source.pk, actor_id=self.source.actor_id, at=self.at)
        update_in(Customer, restored, sorted({*columns, "search", "sort_name", "version", "updated_at"}))
        self._write_parts()
        copy_in(Event, [copy_lines(Event, self.events)])
        update_in(ImportRow, self.rows, ["undo", "undo_notes"])

    def _touched(self, ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        """With whom something has happened besides this import."""
        happened = (
            Event.objects.for_merchant(self.merchant_id)
            .filter(customer_id__in=ids)
            .exclude(type__in=DERIVED_EVENTS)
            .filter(Q(data__importId__isnull=True) | ~Q(data__importId=str(self.source.pk)))
            .order_by()
        )
        return set(happened.values_list("customer_id", flat=True).distinct())

    def _holders(self) -> set[tuple[str, str]]:
        """E-mails and phones, to which changed customers are to return, that somebody has by now."""
        emails = {row.before.get("email_key") for row in self.rows} - {None, ""}
        phones = {row.before.get("phone") for row in self.rows} - {None, ""}
        visible = Customer.objects.for_merchant(self.merchant_id).visible()
        found = {
            ("email_key", key)
            for key in visible.filter(email_key__in=emails).values_list("email_key", flat=True)
        }
        return found | {
            ("phone", key) for key in visible.filter(phone__in=phones).values_list("phone", flat=True)
        }

    def _addresses(self) -> dict[uuid.UUID, Address]:
        """Those that the import made or changed, as they are now."""
        ids = [row.after["address"]["id"] for row in self.rows if "address" in row.after]
        if not ids:
            return {}
        return {each.pk: each for each in Address.objects.for_merchant(self.merchant_id).filter(pk__in=ids)}

    def _external_ids(self) -> dict[tuple[uuid.UUID, str], ExternalId]:
        """By (customer, external ID) those that the import gave, as far as they are there."""
        given = [row.after["external_id"] for row in self.rows if "external_id" in row.after]
        if not given:
            return {}
        found = ExternalId.objects.for_merchant(self.merchant_id).filter(external_id__in=given)
        return {(each.customer_id, each.external_id): each for each in found}

    def _give_back(self, row: ImportRow, customer: Customer) -> set[str]:
        """Put on the instance what the import took from it: the columns that it has again."""
        notes: list[str] = []
        before = {name: value for name, value in row.before.items() if name != "address"}
        back = _restored(customer, before, row.after, notes)
        for column in ("email_key", "phone"):
            if back.get(column) and (column, back[column]) in self.holders:
                notes.append(
                    f"Another customer has the earlier {'phone' if column == 'phone' else 'e-mail'} by now."
                )
                for name in ("phone",) if column == "phone" else ("email", "email_key"):
                    back.pop(name, None)
        for column, value in back.items():
            setattr(customer, column, _typed(column, value))
        did = bool(back)
        if "address" in row.after:
            did = self._give_back_address(row, customer, notes) or did
        if "external_id" in row.after:
            named = self.external_ids.get((customer.pk, row.after["external_id"]))
            if named is not None:
                self.external_ids_gone.append(named)
                did = True
        for channel in row.after.get("withdrawn", ()):
            notes.append(f"The withdrawal of consent ({channel}) stays.")
        _mark(row, Undo.UNDONE if not notes else Undo.PARTLY if did else Undo.KEPT, notes)
        index_customer(customer, search_key=self.access.search_key)
        if did:
            customer.version += 1
            customer.updated_at = self.at
            self._log(customer, back, address="address" in row.after)
        return set(back)

    def _give_back_address(self, row: ImportRow, customer: Customer, notes: list[str]) -> bool:
        made = row.after["address"]
        address = self.addresses.get(uuid.UUID(made["id"]))
        after = {name: value for name, value in made.items() if name != "id"}
        if (
            address is None
            or address.customer_id != customer.pk
            or any(getattr(address, name) != value for name, value in after.items())
        ):
            notes.append("The address was changed since.")
            return False
        if "address" in row.before:
            for name, value in row.before["address"].items():
                setattr(address, name, value)
            address.updated_at = self.at
            self.addresses_back.append(address)
            self.address_columns |= row.before["address"].keys()
        else:
            self.addresses_gone.append(address)
        return True

    def _write_parts(self) -> None:
        """The addresses and external IDs of those that were changed."""
        update_in(Address, self.addresses_back, sorted({*self.address_columns, "updated_at"}))
        mine = Address.objects.for_merchant(self.merchant_id)
        if self.addresses_gone:
            mine.filter(pk__in=[each.pk for each in self.addresses_gone]).delete()
            # Most have no other one.
            left = mine.filter(customer_id__in=[each.customer_id for each in self.addresses_gone])
            for customer_id in set(left.values_list("customer_id", flat=True)):
                keep_one_default(self.customers[customer_id])
        if self.external_ids_gone:
            gone = [each.pk for each in self.external_ids_gone]
            ExternalId.objects.for_merchant(self.merchant_id).filter(pk__in=gone).delete()

    def _log(self, customer: Customer, back: Iterable[str], *, address: bool) -> None:
        fields = {name for name in back if name != "email_key"} | ({"addresses"} if address else set())
        made = event(
            merchant_id=self.merchant_id,
            customer_id=customer.pk,
            actor_id=self.source.actor_id,
            type="customer.updated",
            data={"fields": sorted(fields or {"externalId"}), "importId": str(self.source.pk)},
            occurred_at=self.at,
        )
        made.dispatched_at = self.at
        self.events.append(made)


def _gone(customer: Customer) -> str:
    if customer.erased_at is not None:
        return "erased"
    if customer.merged_into_id is not None:
        return "merged"
    return "deleted" if customer.deleted_at is not None else ""


def _restored(
    customer: Customer, before: Mapping[str, Any], after: Mapping[str, Any], notes: list[str]
) -> dict[str, Any]:
    """What each column becomes. Tags and own fields lose what the import added, and keep what was added since."""
    back: dict[str, Any] = {}
    for column, old in before.items():
        made, current = after[column], _plain(getattr(customer, column))
        if current == made:
            back[column] = old
        elif column == "tags":
            added = set(made) - set(old)
            back[column] = [tag for tag in current if tag not in added]
        elif column == "metadata":
            back[column] = {
                key: old.get(key, value) if made.get(key) == value else value
                for key, value in current.items()
                if key in old or made.get(key) != value
            }
        elif current != old and column != "email_key":
            notes.append(f"The {LABELS.get(column, column)} was changed since.")
    if "email" in before and "email" not in back:
        back.pop("email_key", None)
    return back


def _mark(row: ImportRow, undo: str, notes: Sequence[str]) -> None:
    row.undo, row.undo_notes = undo, list(notes)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, uuid.UUID | date) else value


def _typed(column: str, value: Any) -> Any:
    if value is not None and column == "date_of_birth":
        return date.fromisoformat(value)
    return uuid.UUID(value) if value is not None and column == "home_store_id" else value
