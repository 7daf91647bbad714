"""How a customer's tier came about, and tiers given by hand."""

import uuid

from django.http import HttpResponse
from rest_framework.request import Request

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from loyalty import reading_tiers
from loyalty.serializers_tiers import TIER_CHANGES, TIER_OVERRIDE, TierOverrideInput
from loyalty.services.overrides import end_tier, give_tier


class TierChangesView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": TIER_CHANGES}
    filters = {"get": NoParameters}
    summaries = {"get": "How a customer's tier changed, newest first"}

    def get(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(self.request)
        changes = reading_tiers.tier_changes(access=self.request.access, customer_id=customer_id)
        return envelope.success({"changes": changes})


class TierOverrideView(ApiView):
    roles = {"post": Role.MANAGER, "delete": Role.MANAGER}
    inputs = {"post": TierOverrideInput}
    outputs = {"post": Output(TIER_OVERRIDE, status=201), "delete": TIER_OVERRIDE}
    summaries = {
        "post": "Give a customer a tier, from now on and instead of one that was given before",
        "delete": "Take back the tier that was given to a customer",
    }

    def post(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        given = give_tier(
            access=self.request.access, customer_id=customer_id, **self.input(TierOverrideInput)
        )
        return envelope.created(
            reading_tiers.describe_override(given), f"/api/v1/customers/{customer_id}/loyalty"
        )

    def delete(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        ended = end_tier(access=self.request.access, customer_id=customer_id)
        return envelope.success(
            reading_tiers.describe_override(ended), "The tier follows the purchases again"
        )
