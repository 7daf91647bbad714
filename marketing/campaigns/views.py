"""Campaigns: written, tried out, started and stopped."""

import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.etags import etag, expected_version
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from marketing.campaigns import services
from marketing.campaigns.audience import audience_of
from marketing.campaigns.previews import PREVIEW, TESTED, preview, send_test
from marketing.campaigns.serializers import (
    AUDIENCE,
    CAMPAIGN,
    CAMPAIGN_ROW,
    MESSAGE,
    RESENT,
    RUN,
    CampaignFilters,
    CampaignInput,
    CampaignPreviewInput,
    CopyInput,
    MessageFilters,
    RunFilters,
    TestInput,
    render_audience,
)
from marketing.models import Campaign, CampaignMessage, CampaignRun


def _found(request: Any, campaign_id: uuid.UUID) -> Campaign:
    return services.find_campaign(merchant_id=request.access.merchant_id, campaign_id=campaign_id)


def _shown(campaign: Campaign, message: str = "") -> HttpResponse:
    answer = envelope.success(CAMPAIGN.instance(campaign), message)
    answer["ETag"] = etag(campaign.version)
    return answer


class CampaignsView(ApiView):
    roles = {"get": Role.MANAGER, "post": Role.MANAGER}
    inputs = {"post": CampaignInput}
    outputs = {"get": Paged("campaigns", CAMPAIGN_ROW), "post": Output(CAMPAIGN, status=201, etag=True)}
    filters = {"get": CampaignFilters}
    summaries = {"get": "List campaigns", "post": "Write a campaign, as a draft"}

    def get(self, request: Any) -> HttpResponse:
        filters = CampaignFilters(request)
        campaigns = filters.filter_queryset(Campaign.objects.for_merchant(request.access.merchant_id))
        return filters.respond("campaigns", CAMPAIGN_ROW, campaigns, total=campaigns.count)

    def post(self, request: Any) -> HttpResponse:
        campaign = services.create_campaign(access=request.access, **self.input(CampaignInput))
        answer = envelope.created(CAMPAIGN.instance(campaign), location=f"/api/v1/campaigns/{campaign.pk}")
        answer["ETag"] = etag(campaign.version)
        return answer


class CampaignView(ApiView):
    roles = {"get": Role.MANAGER, "patch": Role.MANAGER, "delete": Role.MANAGER}
    inputs = {"patch": CampaignInput}
    outputs = {"get": Output(CAMPAIGN, etag=True), "patch": Output(CAMPAIGN, etag=True), "delete": None}
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read a campaign",
        "patch": "Change a campaign; of one that has begun only its name, its end and, while it is paused, its texts",
        "delete": "Delete a draft",
    }

    def get(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        return _shown(_found(request, campaign_id))

    def patch(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        campaign = services.update_campaign(
            access=request.access,
            campaign_id=campaign_id,
            changes=self.input(CampaignInput, partial=True),
            expected_version=expected_version(request),
        )
        return _shown(campaign, "Campaign changed")

    def delete(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        services.delete_campaign(merchant_id=request.access.merchant_id, campaign_id=campaign_id)
        return envelope.success(None, "Campaign deleted")


class CampaignCopyView(ApiView):
    roles = {"post": Role.MANAGER}
    inputs = {"post": CopyInput}
    outputs = {"post": Output(CAMPAIGN, status=201)}
    summaries = {"post": "Make a draft of the same content"}

    def post(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        name = self.input(CopyInput)["name"]
        copy = services.copy_campaign(access=request.access, campaign_id=campaign_id, name=name)
        return envelope.created(CAMPAIGN.instance(copy), location=f"/api/v1/campaigns/{copy.pk}")


class CampaignAudienceView(ApiView):
    """Counted now: by segments, consent, address and suppression, as when it is sent."""

    roles = {"get": Role.MANAGER}
    outputs = {"get": AUDIENCE}
    filters = {"get": NoParameters}
    summaries = {"get": "Count whom a campaign would reach, and why not the others"}

    def get(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        return envelope.success(render_audience(audience_of(_found(request, campaign_id))))


class CampaignPreviewView(ApiView):
    """Reads only. Of a text message its links are as short as what customers get, and lead nowhere."""

    roles = {"post": Role.MANAGER}
    inputs = {"post": CampaignPreviewInput}
    outputs = {"post": PREVIEW}
    summaries = {"post": "Show what a customer would get"}

    def post(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        return envelope.success(
            preview(campaign=_found(request, campaign_id), **self.input(CampaignPreviewInput))
        )


class CampaignTestView(ApiView):
    """Nothing of it is counted: its links are as they were written."""

    # It leaves the process: never inside a transaction.
    idempotent = False
    roles = {"post": Role.MANAGER}
    inputs = {"post": TestInput}
    outputs = {"post": TESTED}
    summaries = {"post": "Send a campaign to addresses of one's own, to look at it"}

    def post(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        return envelope.success(send_test(campaign=_found(request, campaign_id), **self.input(TestInput)))


class _StepView(ApiView):
    """A step of a campaign's life."""

    roles = {"post": Role.MANAGER}
    outputs = {"post": CAMPAIGN}
    step: Callable[..., Campaign]
    done: str

    def post(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        return _shown(self.step(access=request.access, campaign_id=campaign_id), self.done)


class CampaignScheduleView(_StepView):
    summaries = {"post": "Send a draft at its time, which may be now"}
    step = staticmethod(services.schedule_campaign)
    done = "Campaign scheduled"


class CampaignPauseView(_StepView):
    summaries = {"post": "Begin no message any more until it is resumed"}
    step = staticmethod(services.pause_campaign)
    done = "Campaign paused"


class CampaignResumeView(_StepView):
    summaries = {"post": "Go on where it was paused"}
    step = staticmethod(services.resume_campaign)
    done = "Campaign resumed"


class CampaignCancelView(_StepView):
    summaries = {"post": "Stop for good"}
    step = staticmethod(services.cancel_campaign)
    done = "Campaign cancelled"


class CampaignResendView(ApiView):
    """Of a message whose sender died nobody knows whether it arrived: whoever calls this accepts that some get it twice."""

    roles = {"post": Role.MANAGER}
    outputs = {"post": RESENT}
    summaries = {"post": "Send again what is unknown"}

    def post(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        sent = services.resend_unknown(access=request.access, campaign_id=campaign_id)
        return envelope.success({"messages": sent})


class CampaignRunsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": Paged("runs", RUN)}
    filters = {"get": RunFilters}
    summaries = {"get": "List the runs of a campaign, the latest first"}

    def get(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        filters = RunFilters(request)
        campaign = _found(request, campaign_id)
        runs = CampaignRun.objects.for_merchant(campaign.merchant_id).filter(campaign=campaign)
        return filters.respond("runs", RUN, runs, total=runs.count)


class CampaignMessagesView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": Paged("messages", MESSAGE)}
    filters = {"get": MessageFilters}
    summaries = {"get": "List the messages of a campaign, also the control group"}

    def get(self, request: Any, campaign_id: uuid.UUID) -> HttpResponse:
        filters = MessageFilters(request)
        campaign = _found(request, campaign_id)
        messages = filters.filter_queryset(
            CampaignMessage.objects.for_merchant(campaign.merchant_id).filter(campaign=campaign)
        )
        return filters.respond("messages", MESSAGE, messages, total=messages.count)
