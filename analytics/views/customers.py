"""One customer's figures."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from analytics.reading.customers import customer_portrait
from analytics.serializers.customers import CUSTOMER_ANALYTICS, render_portrait
from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role


class CustomerAnalyticsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": CUSTOMER_ANALYTICS}
    filters = {"get": NoParameters}
    summaries = {"get": "Read how a customer buys, and what is expected of them"}

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        access = request.access
        found = customer_portrait(merchant_id=access.merchant_id, customer_id=customer_id, at=now())
        return envelope.success(render_portrait(found, access))
