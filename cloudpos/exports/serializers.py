"""What is sent to and shown of exports."""

from collections.abc import Iterator
from typing import Any

from django.db.models import F
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cloudpos.api.parameters import Choices
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Column, RowShape
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import CamelSerializer, CleanCharField, StrictChoiceField, StrictListField
from cloudpos.exports.kinds import SOURCES
from cloudpos.exports.models import FILE_KEPT_FOR, Export
from cloudpos.jobs.models import Job

COLUMNS_MAX = 200
COLUMN_NAME_CHARS_MAX = 100
FILTERS_MAX = 50

STATES = [
    *(state for state in Job.State.values if state != Job.State.DONE),
    "ready",
    *filter(None, Export.Gone.values),
]
_COUNT_OR_NULL = {"type": ["integer", "null"]}
_TIME = {"type": "string", "format": "date-time"}
_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}

EXPORT = RowShape(
    "Export",
    [
        "id",
        "kind",
        "format",
        Column("columns", schema={"type": "array", "items": {"type": "string"}}),
        Column.json(
            "filters",
            schema={
                "type": "object",
                "additionalProperties": True,
                "description": "As they were sent; empty when the file is gone",
            },
        ),
        Column("timezone", schema={"type": "string", "description": "Of its days and times"}),
        "file_name",
        Column(
            "state",
            schema={
                "type": "string",
                "enum": STATES,
                "description": "`ready`: the file can be fetched. `expired` and `erasure`: it is gone.",
            },
        ),
        Column("done", schema={**_COUNT_OR_NULL, "description": "Rows that are done with"}),
        Column("total", schema={**_COUNT_OR_NULL, "description": "Empty: not known yet"}),
        Column("error_code", schema={"type": ["string", "null"]}),
        Column("error", schema={"type": ["string", "null"]}),
        Column(
            "rows", schema={**_COUNT_OR_NULL, "description": "Of the file, without the names of its columns"}
        ),
        Column("file_bytes", schema=_COUNT_OR_NULL),
        "job_id",
        "actor_id",
        "created_at",
        Column(
            "as_of",
            schema={**_TIME_OR_NULL, "description": "The instant at which it was decided who is in it"},
        ),
        "ready_at",
        Column(
            "created_at",
            "expiresAt",
            expression=F("created_at"),
            convert=lambda at: at + FILE_KEPT_FOR,
            schema={**_TIME, "description": "When the file is deleted"},
        ),
    ],
    model=Export,
    description="A file that a merchant takes out.",
)
_TEXT = {"type": "string"}
_COLUMN = Fields(
    "ExportColumn",
    {
        "name": _TEXT,
        "title": {**_TEXT, "description": "What stands above it in the file"},
        "group": _TEXT,
        "holds": {"type": "string", "enum": ["text", "integer", "money", "number", "day", "instant", "flag"]},
        "isDefault": {"type": "boolean", "description": "It is in the file unless columns are chosen"},
    },
)
_KIND = Fields(
    "ExportOffer",
    {
        "kind": _TEXT,
        "title": _TEXT,
        "columns": Many(_COLUMN),
        "filters": {"type": "array", "items": _TEXT, "description": "Names that `filters` may have"},
    },
)
KINDS = Fields("ExportKinds", {"kinds": Many(_KIND)})

_FILTERS_SCHEMA = {
    "type": "object",
    "additionalProperties": {
        "oneOf": [
            {"type": "string"},
            {"type": "number"},
            {"type": "boolean"},
            {"type": "array", "items": {"type": "string"}},
        ]
    },
    "description": "Of customers, those of GET /customers, and `segmentId` for the members of a segment; of the others "
    "`occurredFrom`, `occurredTo` (days of the store, both included, or instants), `storeId`, `customerId`, and some of "
    "their own; GET /exports/kinds lists them. Lists may be arrays.",
    "examples": [{"segment": ["vip", "at_risk"], "tags": "wine", "lastVisitTo": "2026-06-30"}],
}


@extend_schema_field(_FILTERS_SCHEMA)
class FiltersField(serializers.DictField):
    """Read by the filters of the kind, which name what is wrong by its path."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=serializers.JSONField(), **kwargs)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            self.fail("not_a_dict", input_type=type(data).__name__)
        return data


class ExportInput(CamelSerializer):
    ignored_fields = EXPORT.all_names - {"kind", "format", "columns", "filters"}

    kind = StrictChoiceField(choices=Export.Kind.choices)
    format = StrictChoiceField(choices=Export.Format.choices, required=False)
    columns = StrictListField(
        child=CleanCharField(max_length=COLUMN_NAME_CHARS_MAX), max_length=COLUMNS_MAX, required=False
    )
    filters = FiltersField(required=False)


class ExportFilters(StrictFilterSet):
    sortable = {"createdAt": "created_at"}
    default_sort = "createdAt"
    default_descending = True

    kind = Choices(Export.Kind.values)
    state = Choices(STATES)


def kinds_json() -> dict[str, Any]:
    """What can be exported: kinds, their columns, and what narrows them."""
    return {"kinds": list(_kinds())}


def _kinds() -> Iterator[dict[str, Any]]:
    for kind, source in SOURCES.items():
        sorts = ["sortBy", "sortOrder"] if source.filters.sortable else []
        yield {
            "kind": kind,
            "title": source.title,
            "columns": [
                {
                    "name": column.name,
                    "title": column.title,
                    "group": column.group,
                    "holds": column.holds.name.lower(),
                    "isDefault": column.default,
                }
                for column in source.columns.values()
            ],
            "filters": [*source.filters.parameters(), *sorts],
        }
