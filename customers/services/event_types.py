"""Event types that a merchant describes, and what they let in."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from cloudpos.api.errors import BadRequest, Conflict, FieldError, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.tenancy.models import Merchant
from customers.event_schemas import problems
from customers.models import CustomEventType

EVENT_TYPES_PER_MERCHANT_MAX = 200

Schemas = Mapping[str, dict[str, Any]]


class EventTypeNotFound(NotFound):
    code = "event_type_not_found"
    message = "There is no such event type"


class EventTypeExists(Conflict):
    code = "event_type_exists"
    message = "This event type is described already"


class TooManyEventTypes(Conflict):
    code = "too_many_event_types"
    message = f"A merchant describes at most {EVENT_TYPES_PER_MERCHANT_MAX} event types. Delete one first."


def event_types_of(merchant_id: uuid.UUID) -> QuerySet[Any]:
    return CustomEventType.objects.for_merchant(merchant_id).order_by("type")


def find_event_type(*, merchant_id: uuid.UUID, event_type_id: uuid.UUID) -> CustomEventType:
    """Raises EventTypeNotFound."""
    found: CustomEventType | None = event_types_of(merchant_id).filter(pk=event_type_id).first()
    if found is None:
        raise EventTypeNotFound()
    return found


@use_case
def create_event_type(
    *, merchant_id: uuid.UUID, type: str, description: str = "", schema: dict[str, Any] | None = None
) -> CustomEventType:
    """Raises EventTypeExists and TooManyEventTypes."""
    # The merchant's row is the lock: two managers must not both make the last one.
    Merchant.objects.select_for_update(no_key=True).get(pk=merchant_id)
    if event_types_of(merchant_id).count() >= EVENT_TYPES_PER_MERCHANT_MAX:
        raise TooManyEventTypes()
    try:
        with transaction.atomic():
            return CustomEventType.objects.create(
                merchant_id=merchant_id, type=type, description=description, schema=schema
            )
    except IntegrityError:
        raise EventTypeExists(field="type") from None


@use_case
def update_event_type(
    *, merchant_id: uuid.UUID, event_type_id: uuid.UUID, changes: dict[str, Any]
) -> CustomEventType:
    """Change the description or the schema; what was taken in stays. Raises EventTypeNotFound."""
    found = find_event_type(merchant_id=merchant_id, event_type_id=event_type_id)
    for name, value in changes.items():
        setattr(found, name, value)
    found.updated_at = now()
    found.save(update_fields=[*changes, "updated_at"])
    return found


@use_case
def delete_event_type(*, merchant_id: uuid.UUID, event_type_id: uuid.UUID) -> None:
    """Its events stay, and more of them may come: nobody checks them any more. Raises EventTypeNotFound."""
    find_event_type(merchant_id=merchant_id, event_type_id=event_type_id).delete()


def schemas_of(*, merchant_id: uuid.UUID, types: Iterable[str]) -> Schemas:
    """The schemas of those of `types` that have one. One query."""
    described = event_types_of(merchant_id).filter(type__in=set(types), schema__isnull=False)
    return dict(described.values_list("type", "schema"))


def check_data(schemas: Schemas, *, type: str, data: dict[str, Any]) -> None:
    """Raises BadRequest that names what does not fit the type's schema."""
    schema = schemas.get(type)
    if schema is None:
        return
    errors = [
        FieldError(f"data.{path}" if path else "data", message, "schema_mismatch")
        for path, message in problems(schema, data)
    ]
    if errors:
        raise BadRequest("The data do not fit the schema of this event type.", errors=errors)
