"""One customer's figures."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from analytics.behaviour import behaviour
from analytics.serializers.customers import CUSTOMER_ANALYTICS, render_behaviour
from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role


class CustomerAnalyticsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": CUSTOMER_ANALYTICS}
    filters = {"get": NoParameters}
    summaries = {"get": "Read how a customer buys"}

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        access = request.access
        found = behaviour(merchant_id=access.merchant_id, customer_id=customer_id, at=now())
        return envelope.success(render_behaviour(found, access))
