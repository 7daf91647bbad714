"""Promotions."""

import uuid

from django.http import HttpResponse
from rest_framework.request import Request

from cloudpos.api import envelope
from cloudpos.api.etags import etag, expected_version
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged
from cloudpos.api.views import ApiView
from cloudpos.jobs.models import Job
from cloudpos.jobs.serializers import JOB
from cloudpos.tenancy.roles import Role
from loyalty import reading_promotions as reading
from loyalty.dry_runs.jobs import try_out
from loyalty.models import Promotion
from loyalty.serializers_promotions import (
    DRY_RUN,
    PROMOTION,
    PROMOTION_WITH_USAGE,
    DryRunInput,
    PromotionFilters,
    PromotionInput,
)
from loyalty.services.promotions import create_promotion, delete_promotion, find_promotion, update_promotion


class PromotionsView(ApiView):
    roles = {"get": Role.CASHIER, "post": Role.MANAGER}
    inputs = {"post": PromotionInput}
    outputs = {
        "get": Paged("promotions", PROMOTION),
        "post": Output(PROMOTION_WITH_USAGE, status=201, etag=True),
    }
    filters = {"get": PromotionFilters}
    summaries = {"get": "Promotions, newest first", "post": "Add a promotion: a draft, or active at once"}

    def get(self, request: Request) -> HttpResponse:
        filters = PromotionFilters(self.request)
        merchant_id = self.request.access.merchant_id
        rows = reading.promotions_shown(
            merchant_id=merchant_id,
            statuses=filters.values.get("status"),
            at=filters.values.get("at"),
            zone=filters.zone,
        )
        words = reading.vocabulary_of(merchant_id)
        page = rows[filters.offset : filters.offset + filters.limit]
        shown = [reading.describe_promotion(promotion, words) for promotion in page]
        return envelope.page("promotions", shown, rows.count(), filters.page, filters.limit)

    def post(self, request: Request) -> HttpResponse:
        access = self.request.access
        promotion = create_promotion(
            merchant_id=access.merchant_id, values=self.input(PromotionInput), actor_id=access.user_id
        )
        return envelope.created(
            reading.with_usage(promotion),
            f"/api/v1/loyalty/promotions/{promotion.pk}",
            "Promotion added",
            {"ETag": etag(promotion.version)},
        )


class PromotionView(ApiView):
    roles = {"get": Role.CASHIER, "patch": Role.MANAGER, "delete": Role.MANAGER}
    inputs = {"patch": PromotionInput}
    outputs = {
        "get": Output(PROMOTION_WITH_USAGE, etag=True),
        "patch": Output(PROMOTION_WITH_USAGE, etag=True),
        "delete": None,
    }
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read a promotion with what it has given so far",
        "patch": "Change a promotion for purchases from now on, or make it active, pause or end it",
        "delete": "Delete a draft",
    }

    def get(self, request: Request, promotion_id: uuid.UUID) -> HttpResponse:
        NoParameters(self.request)
        promotion = find_promotion(merchant_id=self.request.access.merchant_id, promotion_id=promotion_id)
        return self._shown(promotion)

    def patch(self, request: Request, promotion_id: uuid.UUID) -> HttpResponse:
        access = self.request.access
        promotion = update_promotion(
            merchant_id=access.merchant_id,
            promotion_id=promotion_id,
            changes=self.input(PromotionInput, partial=True),
            expected_version=expected_version(self.request),
            actor_id=access.user_id,
        )
        return self._shown(promotion, "Promotion changed")

    def delete(self, request: Request, promotion_id: uuid.UUID) -> HttpResponse:
        delete_promotion(
            merchant_id=self.request.access.merchant_id,
            promotion_id=promotion_id,
            expected_version=expected_version(self.request),
        )
        return envelope.success(None, "Draft deleted")

    def _shown(self, promotion: Promotion, message: str = "") -> HttpResponse:
        return envelope.success(
            reading.with_usage(promotion), message, headers={"ETag": etag(promotion.version)}
        )


class DryRunsView(ApiView):
    """Real purchases replayed with a promotion, or with changes of the program, beside what really happened.

    A period with many purchases is replayed by a job: `GET /jobs/{id}` tells how far it is, and then has the same as `result`.
    """

    roles = {"post": Role.MANAGER}
    inputs = {"post": DryRunInput}
    outputs = {"post": [DRY_RUN, Output(JOB, status=202)]}
    summaries = {"post": "Try a promotion or a change of the program on past purchases; nothing is written"}

    def post(self, request: Request) -> HttpResponse:
        access = self.request.access
        found = try_out(merchant_id=access.merchant_id, actor_id=access.user_id, **self.input(DryRunInput))
        if isinstance(found, Job):
            return envelope.accepted(
                JOB.instance(found), f"/api/v1/jobs/{found.pk}", "The dry run is under way"
            )
        return envelope.success(found)
