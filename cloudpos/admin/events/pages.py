"""The list of event types, and the form of one that a merchant describes."""

import uuid
from typing import Any

import orjson
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse
from rest_framework.exceptions import ValidationError

from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.api.errors import ApiError, BadRequest, FieldError, flatten
from cloudpos.api.parsing import parse_json
from cloudpos.tenancy.models import Merchant
from customers.event_catalogue import CATALOGUE
from customers.models import CustomEventType
from customers.serializers_event_types import SCHEMA_BYTES_MAX, EventTypeChange, EventTypeInput
from customers.services.event_types import (
    EventTypeNotFound,
    create_event_type,
    delete_event_type,
    event_types_of,
    find_event_type,
    update_event_type,
)

# Shown to whoever describes the first one.
EXAMPLE = """{
  "type": "object",
  "properties": {
    "page": {"type": "string"},
    "seconds": {"type": "number", "minimum": 0}
  },
  "required": ["page"]
}"""


@analytics_page("Event types", "list", folder="events")
def event_types_page(request: HttpRequest, merchant: Merchant) -> Shown:
    ours = [
        {"type": name, "description": each.description, "schema": _text(each.schema)}
        for name, each in sorted(CATALOGUE.items())
    ]
    return {"custom": list(event_types_of(merchant.pk)), "ours": ours}


@analytics_page("New event type", "form", folder="events")
def new_event_type_page(request: HttpRequest, merchant: Merchant) -> Shown:
    return _form(request, merchant, None)


@analytics_page("Event type", "form", folder="events")
def event_type_page(request: HttpRequest, merchant: Merchant, event_type_id: uuid.UUID) -> Shown:
    try:
        found = find_event_type(merchant_id=merchant.pk, event_type_id=event_type_id)
    except EventTypeNotFound:
        raise Http404 from None
    if request.POST.get("act") == "delete":
        delete_event_type(merchant_id=merchant.pk, event_type_id=found.pk)
        messages.success(request, f"{found.type} is no longer described. Its events are still there.")
        return _to_list()
    return _form(request, merchant, found)


def _form(request: HttpRequest, merchant: Merchant, found: CustomEventType | None) -> Shown:
    problems: list[FieldError] = []
    typed = {
        "type": found.type if found else "",
        "description": found.description if found else "",
        "schema": _text(found.schema) if found and found.schema is not None else "",
    }
    if request.method == "POST":
        typed |= {name: request.POST.get(name, "").strip() for name in typed if name in request.POST}
        try:
            saved = _save(merchant, found, typed)
        except ApiError as refusal:
            problems = refusal.errors or [FieldError(None, refusal.detail)]
        else:
            messages.success(request, f"{saved.type} is saved. Events that come in from now on are checked.")
            return _to_list()
    return {"found": found, "typed": typed, "problems": problems, "example": EXAMPLE}


def _save(merchant: Merchant, found: CustomEventType | None, typed: dict[str, str]) -> CustomEventType:
    """The API's own reading of the same fields."""
    if len(typed["schema"].encode()) > SCHEMA_BYTES_MAX:
        raise BadRequest(errors=[FieldError("schema", f"A schema has at most {SCHEMA_BYTES_MAX} bytes.")])
    said: dict[str, Any] = {
        "description": typed["description"],
        "schema": parse_json(typed["schema"].encode()) if typed["schema"] else None,
    }
    try:
        if found is not None:
            return update_event_type(
                merchant_id=merchant.pk, event_type_id=found.pk, changes=EventTypeChange.parse(said)
            )
        return create_event_type(
            merchant_id=merchant.pk, **EventTypeInput.parse({"type": typed["type"], **said})
        )
    except ValidationError as invalid:
        raise BadRequest(errors=list(flatten(invalid.detail))) from None


def _text(schema: Any) -> str:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode()


def _to_list() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("event_types_page"))
