"""The models of a merchant."""

from typing import Any

from django.http import HttpResponse

from analytics.reading.models import models_of
from analytics.serializers.models import MODELS, render_models
from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role


class ModelsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": MODELS}
    filters = {"get": NoParameters}
    summaries = {"get": "Read which models predict, and how right they were on this merchant's own customers"}

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        access = request.access
        return envelope.success(render_models(models_of(access.merchant_id), access))
