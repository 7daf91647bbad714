"""What is sent to and shown of imports."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework.exceptions import ErrorDetail, ValidationError

from cloudpos.api.parameters import Choices
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Column, RowShape
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    CamelSerializer,
    CleanCharField,
    StrictBooleanField,
    StrictChoiceField,
    StrictIntegerField,
    StrictListField,
)
from customers.imports.fields import CONSENT, METADATA_KEY_CHARS_MAX
from customers.imports.reading import columns_of
from customers.imports.settings import (
    DAY_ORDERS,
    KEYS,
    MODES,
    SOURCE_CHARS_MAX,
    WORDING_CHARS_MAX,
    settings_of,
)
from customers.imports.tables import COLUMNS_MAX, DELIMITERS, ENCODINGS
from customers.models import Import, ImportRow
from customers.models.customer import TAG_CHARS_MAX, TAGS_MAX

FILE_NAME_CHARS_MAX = 200
_COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}
_OUTCOMES = {
    "rows": 1200,
    "created": 930,
    "updated": 240,
    "failed": 30,
    "granted": 610,
    "consentsIgnored": 85,
}

IMPORT = RowShape(
    "CustomerImport",
    [
        "id",
        "file_name",
        "file_bytes",
        "state",
        Column.json(
            "check_counts",
            schema={**_COUNTS, "description": "What the import would do", "examples": [_OUTCOMES]},
        ),
        Column.json(
            "run_counts", schema={**_COUNTS, "description": "What it did so far", "examples": [_OUTCOMES]}
        ),
        Column.json(
            "undo_counts", schema={**_COUNTS, "examples": [{"undone": 1150, "partly": 15, "kept": 5}]}
        ),
        "job_id",
        "actor_id",
        "created_at",
        "finished_at",
        "undone_at",
        Column(
            "forgotten_at",
            schema={
                "type": ["string", "null"],
                "format": "date-time",
                "description": "When the file, its rows and the way back were deleted",
            },
        ),
    ],
    model=Import,
)
_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_COLUMN = Fields(
    "ImportColumn",
    {
        "index": {"type": "integer"},
        "header": {**_TEXT, "examples": ["Vorname"]},
        "samples": {"type": "array", "items": _TEXT, "examples": [["Ann", "Bob"]]},
        "field": {
            **_TEXT_OR_NULL,
            "description": "What the column is; null: it is left out",
            "examples": ["firstName", "metadata.shoe_size", None],
        },
        "title": {**_TEXT_OR_NULL, "examples": ["First name"]},
        "suggestion": {
            **_TEXT_OR_NULL,
            "description": "The field of `metadata` that it could be kept as",
            "examples": ["metadata.vorname"],
        },
    },
)
_LAYOUT = Fields(
    "ImportLayout",
    {
        "format": {"type": "string", "enum": ["csv", "xlsx"]},
        "encoding": _TEXT,
        "delimiter": _TEXT,
        "sheet": _TEXT,
        "sheets": {"type": "array", "items": _TEXT},
        "lines": {"type": "integer", "description": "About so many rows; 0: not known"},
        "note": {**_TEXT, "description": "What to look at, where the encoding was guessed"},
        "dayNote": {**_TEXT, "description": "What to look at, where days can be read in two ways"},
    },
)
_SETTINGS = Fields(
    "ImportSettings",
    {
        "mode": {"type": "string", "enum": list(MODES)},
        "matchBy": {"type": "array", "items": {"type": "string", "enum": list(KEYS)}},
        "emptyCells": {"type": "string", "enum": ["keep", "erase"]},
        "dayOrder": {"type": "string", "enum": list(DAY_ORDERS)},
        "phoneCountry": _TEXT,
        "hasHeader": {"type": "boolean"},
        "addTags": {"type": "array", "items": _TEXT},
        "consentSource": _TEXT,
        "consentWording": _TEXT,
    },
)
IMPORT_WITH_COLUMNS = RowShape(
    "CustomerImportWithColumns",
    list(IMPORT.columns),
    model=Import,
    extra={
        "layout": _LAYOUT,
        "settings": _SETTINGS,
        "columns": Many(_COLUMN),
        "keptUntil": {
            "type": "string",
            "format": "date-time",
            "description": "When the file, its rows and the way back are deleted; what was never imported, as a whole",
        },
    },
)
PROBLEM = {
    "type": "object",
    "properties": {
        "column": _TEXT_OR_NULL,
        "field": _TEXT_OR_NULL,
        "code": _TEXT,
        "message": _TEXT,
        "value": {**_TEXT, "description": "The beginning of what stands there"},
    },
    "required": ["column", "field", "code", "message", "value"],
    "examples": [
        {
            "column": "E-Mail",
            "field": "email",
            "code": "invalid_email",
            "message": "The part after the @-sign is not valid. It should have a period.",
            "value": "ann@example",
        }
    ],
}
ROW = RowShape(
    "CustomerImportRow",
    [
        Column("number", schema={"type": "integer", "description": "As a spreadsheet counts it, from 1"}),
        "outcome",
        "customer_id",
        Column.json("problems", schema={"type": "array", "items": PROBLEM}),
        "undo",
        Column("undo_notes", schema={"type": "array", "items": _TEXT}),
    ],
    model=ImportRow,
)
FIELD = Fields("ImportField", {"name": _TEXT, "title": _TEXT, "group": _TEXT, "note": _TEXT})
FIELDS = Fields("ImportFields", {"fields": Many(FIELD)})


def describe_import(source: Import) -> dict[str, Any]:
    """An import with its columns, for whoever says what they are."""
    shown = IMPORT.instance(source)
    stored = source.layout
    shown["layout"] = {
        "format": stored.get("format", "csv"),
        "encoding": stored.get("encoding", ""),
        "delimiter": stored.get("delimiter", ""),
        "sheet": stored.get("sheet", ""),
        "sheets": stored.get("sheets", []),
        "lines": stored.get("lines", 0),
        "note": stored.get("note", ""),
        "dayNote": stored.get("dayNote", ""),
    }
    settings = settings_of({"targets": [], **source.settings})
    shown["settings"] = {
        "mode": settings.mode,
        "matchBy": list(settings.match_by),
        "emptyCells": settings.empty_cells,
        "dayOrder": settings.day_order,
        "phoneCountry": settings.phone_country,
        "hasHeader": settings.has_header,
        "addTags": list(settings.add_tags),
        "consentSource": settings.consent_source,
        "consentWording": settings.consent_wording,
    }
    shown["columns"] = columns_of(source)
    shown["keptUntil"] = source.kept_until
    return shown


@extend_schema_serializer(
    examples=[OpenApiExample("A file", value={"fileName": "customers.csv"}, request_only=True)]
)
class ImportInput(CamelSerializer):
    ignored_fields = IMPORT_WITH_COLUMNS.all_names - {"fileName"}

    file_name = CleanCharField(max_length=FILE_NAME_CHARS_MAX)


class ColumnInput(CamelSerializer):
    ignored_fields = ("header", "samples", "title", "suggestion")

    index = StrictIntegerField(min_value=0, max_value=COLUMNS_MAX - 1)
    field = CleanCharField(max_length=METADATA_KEY_CHARS_MAX + 20, allow_null=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "What the columns are",
            value={
                "columns": [
                    {"index": 0, "field": "email"},
                    {"index": 1, "field": "firstName"},
                    {"index": 2, "field": "metadata.shoe_size"},
                    {"index": 3, "field": f"{CONSENT}email"},
                    {"index": 4, "field": None},
                ],
                "matchBy": ["email", "phone"],
                "mode": "both",
                "addTags": ["imported 2026"],
                "consentSource": "paper forms in Leeds, 2024 to 2026",
            },
            request_only=True,
        ),
        OpenApiExample(
            "How the file is read",
            value={"encoding": "windows-1252", "delimiter": ";", "hasHeader": True},
            request_only=True,
        ),
    ]
)
class ImportSettingsInput(CamelSerializer):
    """What is left out stays. `encoding`, `delimiter`, `sheet` and `hasHeader` say how the file is read: changing one of them
    guesses the columns anew."""

    columns = ColumnInput(many=True, max_length=COLUMNS_MAX, required=False)  # type: ignore[call-arg]
    mode = StrictChoiceField(choices=list(MODES), required=False)
    match_by = StrictListField(
        child=StrictChoiceField(choices=list(KEYS)), max_length=len(KEYS), allow_empty=False, required=False
    )
    empty_cells = StrictChoiceField(choices=["keep", "erase"], required=False)
    day_order = StrictChoiceField(choices=list(DAY_ORDERS), required=False)
    phone_country = CleanCharField(max_length=2, min_length=2, required=False)
    has_header = StrictBooleanField(required=False)
    add_tags = StrictListField(
        child=CleanCharField(max_length=TAG_CHARS_MAX), max_length=TAGS_MAX, required=False
    )
    consent_source = CleanCharField(max_length=SOURCE_CHARS_MAX, allow_blank=True, required=False)
    consent_wording = CleanCharField(max_length=WORDING_CHARS_MAX, allow_blank=True, required=False)
    encoding = StrictChoiceField(choices=list(ENCODINGS), required=False)
    delimiter = StrictChoiceField(choices=list(DELIMITERS), required=False)
    sheet = CleanCharField(max_length=100, required=False, trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        chosen: dict[int, str | None] = {}
        for place, column in enumerate(attrs.get("columns", ())):
            for name in ("index", "field"):
                if name not in column:
                    message = ErrorDetail("This field is required.", code="required")
                    raise ValidationError({"columns": {str(place): {name: [message]}}})
            if column["index"] in chosen:
                message = ErrorDetail("This column is named twice.", code="repeated_column")
                raise ValidationError({"columns": {str(place): {"index": [message]}}})
            chosen[column["index"]] = column["field"]
        if "columns" in attrs:
            attrs["columns"] = chosen
        for name in ("match_by", "add_tags"):
            if name in attrs:
                attrs[name] = tuple(dict.fromkeys(attrs[name]))
        if "phone_country" in attrs:
            attrs["phone_country"] = attrs["phone_country"].upper()
        return attrs


class ImportFilters(StrictFilterSet):
    sortable = {"createdAt": "created_at"}
    default_sort = "createdAt"
    default_descending = True

    state = Choices(Import.State.values)


class ImportRowFilters(StrictFilterSet):
    sortable = {"number": "number"}
    default_sort = "number"
    unique_column = "number"

    outcome = Choices(ImportRow.Outcome.values)
    undo = Choices([value for value in ImportRow.Undo.values if value])
