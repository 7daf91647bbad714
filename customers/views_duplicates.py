"""GET /customers/duplicates."""

import re
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from cloudpos.api.envelope import success
from cloudpos.api.errors import BadRequest
from cloudpos.api.pagination import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, encode_cursor
from cloudpos.api.parameters import Identifier, Integer, Parameter, ParameterError, Text
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import RowShape
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from customers.duplicates import SCORE_MIN_DEFAULT, Group, Position, find_alike, find_duplicates
from customers.models import Customer
from customers.shapes import optional

CURSOR = "duplicates"
# A longer key is cut: the next page then reads a few customers twice instead of losing one.
CURSOR_KEY_CHARS_MAX = 120

CANDIDATE = RowShape(
    "DuplicateCandidate",
    [
        "id",
        "customer_number",
        optional("first_name"),
        optional("last_name"),
        optional("company_name"),
        optional("email"),
        optional("phone"),
        "date_of_birth",
        "total_spent",
        "visit_count",
        "points",
        "last_visit_at",
        "created_at",
    ],
    model=Customer,
    extra={"postalCode": {"type": ["string", "null"]}},
)
GROUP = Fields(
    "DuplicateGroup",
    {
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "reasons": {"type": "array", "items": {"type": "string"}},
        "size": {"type": "integer", "description": "Customers in the group; at most 10 are listed."},
        "customers": Many(CANDIDATE),
    },
)


class Score(Parameter):
    """From 0 to 1."""

    schema = {"type": "number", "minimum": 0, "maximum": 1}

    def parse(self, text: str) -> float:
        if re.fullmatch(r"0(\.[0-9]{1,4})?|1(\.0{1,4})?", text) is None:
            raise ParameterError("This must be a number from 0 to 1, such as 0.75.")
        return float(text)


class DuplicateFilters(StrictFilterSet):
    paged = False
    cursors = False

    customer_id = Identifier(method="", description="Only who is like this customer; without a cursor.")
    min_score = Score(
        method="", description=f"Leave out what is less alike. {SCORE_MIN_DEFAULT} when absent."
    )
    limit = Integer(method="", minimum=1, maximum=LIMIT_MAX)
    cursor = Text(method="", max_length=1024, description="`nextCursor` of the answer before.")


class DuplicatesView(ApiView):
    """Customers who may be the same person, in groups with a score and the reasons.

    The first customer of a group is the one to merge the others into. Walk with `cursor` until `nextCursor` is
    null; a page may be short or empty with more to come.
    """

    roles = {"get": Role.MANAGER}
    filters = {"get": DuplicateFilters}
    outputs = {
        "get": Fields(
            "DuplicatePage",
            {
                "duplicates": Many(GROUP),
                "limit": {"type": "integer"},
                "nextCursor": nullable({"type": "string"}),
            },
        )
    }
    summaries = {"get": "Find duplicates"}

    def get(self, request: Request) -> HttpResponse:
        values = DuplicateFilters(request).values
        merchant_id = request.access.merchant_id  # type: ignore[attr-defined]
        limit = values.get("limit", LIMIT_DEFAULT)
        score_min = values.get("min_score", SCORE_MIN_DEFAULT)
        following = None
        if "customer_id" in values and "cursor" in values:
            raise BadRequest("Give either customerId or cursor.", field="cursor", code="invalid_cursor")
        if "customer_id" in values:
            groups = find_alike(
                merchant_id=merchant_id, customer_id=values["customer_id"], limit=limit, score_min=score_min
            )
        else:
            groups, following = find_duplicates(
                merchant_id=merchant_id,
                limit=limit,
                score_min=score_min,
                start=_position(values.get("cursor")),
            )
        return success(
            {
                "duplicates": [_rendered(group) for group in groups],
                "limit": limit,
                "nextCursor": _cursor(following),
            }
        )


def _position(cursor: str | None) -> Position | None:
    if not cursor:
        return None
    walk, key, done, inclusive = decode_cursor(CURSOR, cursor)
    return Position(walk=walk, key=key, done=done, inclusive=inclusive)


def _cursor(position: Position | None) -> str | None:
    if position is None:
        return None
    key, done, inclusive = position.key, position.done, position.inclusive
    if key is not None and len(key) > CURSOR_KEY_CHARS_MAX:
        key, done, inclusive = key[:CURSOR_KEY_CHARS_MAX], 0, True
    return encode_cursor(CURSOR, [position.walk, key, done, inclusive])


def _rendered(group: Group) -> dict[str, Any]:
    return {
        "score": group.likeness.score,
        "reasons": group.likeness.reasons,
        "size": group.size,
        "customers": [
            {
                "id": candidate.traits.id,
                "customerNumber": candidate.customer_number,
                "firstName": candidate.traits.first_name or None,
                "lastName": candidate.traits.last_name or None,
                "companyName": candidate.traits.company_name or None,
                "email": candidate.email or None,
                "phone": candidate.phone or None,
                "dateOfBirth": candidate.traits.birth,
                "totalSpent": candidate.total_spent,
                "visitCount": candidate.visit_count,
                "points": candidate.points,
                "lastVisitAt": candidate.last_visit_at,
                "createdAt": candidate.created_at,
                "postalCode": candidate.postal_code or None,
            }
            for candidate in group.customers
        ],
    }
