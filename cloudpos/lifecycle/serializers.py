"""Bodies of the lifecycle's routes, and what their answers look like."""

from typing import Any

from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    CamelSerializer,
    StrictBooleanField,
    StrictChoiceField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.shape_schema import nullable
from cloudpos.lifecycle.fields import BOTH, SOURCE, TARGET, UNITS
from cloudpos.lifecycle.merging import MergeReport
from cloudpos.lifecycle.tables import TABLES
from cloudpos.lifecycle.timeline import KINDS, Moment
from cloudpos.lifecycle.unmerging import UndoReport
from customers.models import Channel, Erasure, Purpose

UUID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
COUNTS: Schema = {"type": "object", "additionalProperties": {"type": "integer"}}
FREE: Schema = {"type": "object", "additionalProperties": True}
SENTENCES: Schema = {"type": "array", "items": {"type": "string"}}


class MergeInput(CamelSerializer):
    source_id = StrictUuidField(help_text="The customer that is merged into the one in the path.")
    preview = StrictBooleanField(default=False, help_text="Only say what would happen.")
    take_from_source = StrictListField(
        child=StrictChoiceField(choices=sorted(UNITS)),
        default=list,
        max_length=len(UNITS),
        help_text="Fields whose value of the source wins; else the target's wins where it has one.",
    )


class EmptyInput(CamelSerializer):
    """Routes that need nothing more than their path."""


MERGE = Fields(
    "Merge",
    {
        "preview": {"type": "boolean"},
        "mergeId": nullable(UUID),
        "customerId": UUID,
        "sourceId": UUID,
        "fields": Many(
            Fields(
                "MergedField",
                {
                    "field": {"type": "string"},
                    "target": {},
                    "source": {},
                    "result": {},
                    "takenFrom": {"type": "string", "enum": [TARGET, SOURCE, BOTH]},
                    "losesInformation": {"type": "boolean"},
                },
            )
        ),
        "moved": COUNTS,
        "consents": Many(
            Fields(
                "MergedConsent",
                {
                    "channel": {"type": "string", "enum": Channel.values},
                    "purpose": {"type": "string", "enum": Purpose.values},
                    "target": {"type": ["boolean", "null"]},
                    "source": {"type": ["boolean", "null"]},
                    "result": {"type": "boolean"},
                },
            )
        ),
        "points": COUNTS,
        "tier": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "totalSpent": {"type": "object", "additionalProperties": {"type": "string"}},
        "mergedAt": TIME,
    },
)
UNDONE = Fields(
    "MergeUndone",
    {
        "mergeId": UUID,
        "customerId": UUID,
        "sourceId": UUID,
        "moved": COUNTS,
        "points": COUNTS,
        "tier": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "notRestored": SENTENCES,
        "undoneAt": TIME,
    },
)
ERASURE = Fields(
    "Erasure",
    {
        "id": UUID,
        "customerId": UUID,
        "erasedAt": TIME,
        "erased": Many(
            Fields(
                "ErasedTable",
                {"table": {"type": "string"}, "rows": {"type": "integer"}, "what": {"type": "string"}},
            )
        ),
        "kept": Many(Fields("KeptTable", {"table": {"type": "string"}, "reason": {"type": "string"}})),
    },
)
EXPORT = Fields(
    "CustomerExport",
    {"customerId": UUID, **{table.key: {"type": "array", "items": FREE} for table in TABLES}},
)
TIMELINE = Fields(
    "Timeline",
    {
        "timeline": Many(
            Fields(
                "Moment",
                {
                    "id": UUID,
                    "kind": {"type": "string", "enum": list(KINDS)},
                    "occurredAt": TIME,
                    "storeId": nullable(UUID),
                    "facts": FREE,
                },
            )
        ),
        "limit": {"type": "integer"},
        "nextCursor": {"type": ["string", "null"]},
    },
)


def merge_json(report: MergeReport) -> dict[str, Any]:
    return {
        "preview": report.merge_id is None,
        "mergeId": report.merge_id,
        "customerId": report.customer_id,
        "sourceId": report.source_id,
        "fields": [
            {
                "field": choice.field,
                "target": _known(choice.target),
                "source": _known(choice.source),
                "result": _known(choice.result),
                "takenFrom": choice.taken_from,
                "losesInformation": choice.loses,
            }
            for choice in report.fields
        ],
        "moved": report.moved,
        "consents": [
            {
                "channel": consent.channel,
                "purpose": consent.purpose,
                "target": consent.target,
                "source": consent.source,
                "result": consent.result,
            }
            for consent in report.consents
        ],
        "points": report.points,
        "tier": {side: _known(tier) for side, tier in report.tier.items()},
        "totalSpent": report.total_spent,
        "mergedAt": report.merged_at,
    }


def undo_json(report: UndoReport) -> dict[str, Any]:
    return {
        "mergeId": report.merge_id,
        "customerId": report.customer_id,
        "sourceId": report.source_id,
        "moved": report.moved,
        "points": report.points,
        "tier": {side: _known(tier) for side, tier in report.tier.items()},
        "notRestored": report.not_restored,
        "undoneAt": report.undone_at,
    }


def erasure_json(erasure: Erasure) -> dict[str, Any]:
    return {
        "id": erasure.pk,
        "customerId": erasure.customer_id,
        "erasedAt": erasure.erased_at,
        "erased": erasure.receipt["erased"],
        "kept": erasure.receipt["kept"],
    }


def moment_json(moment: Moment) -> dict[str, Any]:
    return {
        "id": moment.id,
        "kind": moment.kind,
        "occurredAt": moment.at,
        "storeId": moment.store_id,
        "facts": {name: _known(value) for name, value in moment.facts.items()},
    }


def _known(value: Any) -> Any:
    """Outside, what is not known is null."""
    return None if value == "" else value
