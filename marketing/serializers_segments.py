"""What is sent to and shown of segments."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from cloudpos.api.errors import BadRequest
from cloudpos.api.parameters import Choices, Identifier
from cloudpos.api.query import NoParameters, StrictFilterSet
from cloudpos.api.rendering import Column, RowShape
from cloudpos.api.schema import Fields, Many
from cloudpos.api.serializers import (
    CamelSerializer,
    CleanCharField,
    StrictChoiceField,
    StrictIntegerField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.tables import Table, format_parameter
from marketing.models import Segment, SegmentMember
from marketing.segment_reading import SAMPLE_MAX, Explanation, Preview
from marketing.segment_services import MEMBERS_PER_CALL_MAX
from marketing.segments.openapi import RULE_REFERENCE

MEMBERS_IN_FILE_MAX = 50_000

_OR_NULL = {"oneOf": [RULE_REFERENCE, {"type": "null"}]}
SEGMENT = RowShape(
    "Segment",
    [
        "id",
        "name",
        "description",
        "kind",
        Column.json("rule", schema=_OR_NULL),
        Column("size", schema={"type": "integer", "description": "Members, as of the last change of any"}),
        Column("built_at"),
        Column(
            "build_ms",
            schema={"type": ["integer", "null"], "description": "How long the last full build took"},
        ),
        "build_error",
        Column("version", schema={"type": "integer", "description": "Of the rule"}),
        Column(
            "built_version",
            schema={
                "type": "integer",
                "description": "Of the rule whose members these are; less than `version` until it is built",
            },
        ),
        "created_at",
        "updated_at",
    ],
    model=Segment,
)
MEMBER = RowShape(
    "SegmentMember",
    [
        "customer_id",
        Column("customer__customer_number", "customerNumber"),
        Column("customer__first_name", "firstName"),
        Column("customer__last_name", "lastName"),
        Column("customer__company_name", "companyName"),
        Column("customer__email", "email"),
        Column("customer__phone", "phone"),
        "entered_at",
    ],
    model=SegmentMember,
)
_PERSON = Fields(
    "SegmentSample",
    {
        "customerId": {"type": "string", "format": "uuid"},
        "customerNumber": {"type": "string"},
        "name": {"type": "string"},
    },
)
_DIFFERENCE = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"entering": {"type": "integer"}, "leaving": {"type": "integer"}},
            "required": ["entering", "leaving"],
        },
        {"type": "null"},
    ],
    "description": "Against the members of the saved segment",
}
PREVIEW = Fields(
    "SegmentRulePreview",
    {
        "count": {"type": "integer"},
        "customers": {"type": "integer", "description": "Of the merchant altogether"},
        "share": {"type": "number", "description": "0 to 1"},
        "sample": Many(_PERSON),
        "difference": _DIFFERENCE,
        "ms": {"type": "integer", "description": "What it took"},
    },
)
_ANSWER = Fields(
    "SegmentAnswer",
    {
        "pointer": {"type": "string", "description": "JSON pointer to the condition in the rule"},
        "text": {"type": "string"},
        "value": {"description": "What the customer has"},
        "met": {"type": ["boolean", "null"]},
    },
)
EXPLANATION = Fields(
    "SegmentExplanation",
    {
        "segmentId": {"type": "string", "format": "uuid"},
        "customerId": {"type": ["string", "null"], "format": "uuid"},
        "isMember": {"type": ["boolean", "null"], "description": "As it was written down last"},
        "matches": {"type": ["boolean", "null"], "description": "What the rule says now; null for a list"},
        "conditions": Many(_ANSWER),
    },
)
CHANGED = Fields("SegmentMembersChanged", {"changed": {"type": "integer"}, "size": {"type": "integer"}})


@extend_schema_field(RULE_REFERENCE)
class RuleField(serializers.Field[Any, Any, Any, Any]):
    """JSON as it is: `marketing.segments.parsing` reads it and names what is wrong by its pointer."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class SegmentInput(CamelSerializer):
    """With a `rule` it is one; without, a list made by hand."""

    ignored_fields = SEGMENT.all_names - {"name", "description", "kind", "rule"}

    name = CleanCharField(max_length=100)
    description = CleanCharField(max_length=300, required=False, allow_blank=True)
    kind = StrictChoiceField(choices=Segment.Kind.choices)
    rule = RuleField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("kind") == Segment.Kind.RULE and attrs.get("rule") is None:
            raise ValidationError({"rule": [_problem("A rule is missing.", "required")]})
        if attrs.get("kind") == Segment.Kind.LIST and attrs.get("rule") is not None:
            raise ValidationError({"rule": [_problem("A list has no rule.", "unexpected_value")]})
        return attrs


class SegmentChange(CamelSerializer):
    """What is left out stays."""

    ignored_fields = SEGMENT.all_names - {"name", "description", "rule"}

    name = CleanCharField(max_length=100)
    description = CleanCharField(max_length=300, allow_blank=True)
    rule = RuleField()


def _problem(message: str, code: str) -> ErrorDetail:
    return ErrorDetail(message, code=code)


class PreviewInput(CamelSerializer):
    rule = RuleField()
    segment_id = StrictUuidField(required=False, allow_null=True)
    sample_size = StrictIntegerField(min_value=0, max_value=SAMPLE_MAX, required=False)


class MembersInput(CamelSerializer):
    customer_ids = StrictListField(
        child=StrictUuidField(), max_length=MEMBERS_PER_CALL_MAX, allow_empty=False
    )


class SegmentFilters(StrictFilterSet):
    sortable = {"name": "name", "createdAt": "created_at", "size": "size"}
    default_sort = "name"

    kind = Choices(Segment.Kind.values)


class MemberFilters(StrictFilterSet):
    """In order of the customers' ids, which stays the same while members come and go."""

    unique_column = "customer_id"
    limit_max = 1_000

    format = format_parameter()


class ExplainFilters(NoParameters):
    customer_id = Identifier(method="", description="Whom to explain")


def render_preview(preview: Preview) -> dict[str, Any]:
    difference = None
    if preview.entering is not None:
        difference = {"entering": preview.entering, "leaving": preview.leaving}
    return {
        "count": preview.count,
        "customers": preview.customers,
        "share": preview.share,
        "sample": [
            {
                "customerId": customer.pk,
                "customerNumber": customer.customer_number,
                "name": customer.display_name,
            }
            for customer in preview.sample
        ],
        "difference": difference,
        "ms": preview.ms,
    }


def render_explanation(found: Explanation) -> dict[str, Any]:
    return {
        "segmentId": found.segment.pk,
        "customerId": found.customer and found.customer.pk,
        "isMember": found.is_member,
        "matches": found.matches,
        "conditions": [
            {"pointer": answer.pointer, "text": answer.text, "value": answer.value, "met": answer.met}
            for answer in found.answers
        ],
    }


class SegmentTooLarge(BadRequest):
    code = "segment_too_large"
    message = (
        f"A list at once has {MEMBERS_IN_FILE_MAX:,} members at most. Ask for a file of any size: "
        'POST /exports {"kind": "customers", "filters": {"segmentId": ...}}'
    )


def members_table(segment: Segment, members: Any) -> Table:
    """All members as a table. Raises SegmentTooLarge."""
    if segment.size > MEMBERS_IN_FILE_MAX:
        raise SegmentTooLarge()
    rows = MEMBER.values(members.order_by("customer_id"))[: MEMBERS_IN_FILE_MAX + 1]
    return Table(MEMBER.names, rows)
