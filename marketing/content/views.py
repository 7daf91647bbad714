"""The variables of campaign texts, for editors."""

from datetime import date
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Fields
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from marketing.content.filters import FILTERS
from marketing.content.language import TAGS
from marketing.content.variables import VARIABLES

_VARIABLE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "type": {"type": "string", "enum": ["text", "whole", "date", "url"]},
        "description": {"type": "string"},
        "example": {"type": "string", "description": "As it is written by {{ name }} alone."},
    },
    "required": ["name", "type", "description", "example"],
    "additionalProperties": False,
}
LANGUAGE = Fields(
    "CampaignLanguage",
    {
        "variables": {"type": "array", "items": _VARIABLE},
        "filters": {"type": "array", "items": {"type": "string"}},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
)


class CampaignVariablesView(ApiView):
    """Texts are Liquid. `trigger.` and a name reads what the event that set a message off holds."""

    roles = {"get": Role.MANAGER}
    outputs = {"get": LANGUAGE}
    filters = {"get": NoParameters}
    summaries = {"get": "List what campaign texts may use: variables, filters, tags"}

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        return envelope.success(
            {
                "variables": [
                    {
                        "name": each.name,
                        "type": each.type,
                        "description": each.description,
                        "example": each.example.isoformat()
                        if isinstance(each.example, date)
                        else str(each.example),
                    }
                    for each in VARIABLES.values()
                ],
                "filters": sorted(FILTERS),
                "tags": [tag for tag in TAGS if tag not in ("#",) and not tag.startswith("end")],
            }
        )
