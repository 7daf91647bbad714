"""What came of a campaign."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters, zone_of
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from marketing.campaigns.results import results_of
from marketing.campaigns.serializers_results import RESULTS, render_results


class CampaignResultsView(ApiView):
    """Kept for a minute, and for a few seconds while it is sent. Hours and days are those of the store."""

    roles = {"get": Role.MANAGER}
    outputs = {"get": RESULTS}
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read what came of a campaign: how far messages got, purchases, uplift over the control group"
    }

    def get(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        found = results_of(
            merchant_id=request.access.merchant_id, campaign_id=campaign_id, zone=zone_of(request), at=now()
        )
        return envelope.success(render_results(found))
