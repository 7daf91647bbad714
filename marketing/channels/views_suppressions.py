"""Addresses that nothing is sent to. They are not shown: only whether a given one is among them."""

import uuid
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.parameters import Choices, Text
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import RowShape
from cloudpos.api.schema import Paged, once
from cloudpos.api.serializers import CamelSerializer, CleanCharField, StrictChoiceField
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from marketing.channels.suppressions import (
    CHANNELS,
    add_suppression,
    delete_suppression,
    suppressions_of,
)
from marketing.models_messaging import Suppression

SUPPRESSION = RowShape("Suppression", ["id", "channel", "reason", "created_at"], model=Suppression)


class SuppressionInput(CamelSerializer):
    """`address`: an e-mail address, or a phone number. Of it only a hash is kept."""

    ignored_fields = SUPPRESSION.all_names - {"channel"}

    channel = StrictChoiceField(choices=CHANNELS)
    address = CleanCharField(max_length=254)


class SuppressionFilters(StrictFilterSet):
    sortable = {"createdAt": "created_at"}
    default_sort = "createdAt"
    default_descending = True

    channel = Choices(CHANNELS, many=False, method="")
    address = Text(max_length=254, method="", description="Whether this one is among them")
    reason = Choices(Suppression.Reason.values)


class SuppressionsView(ApiView):
    roles = {"get": Role.MANAGER, "post": Role.MANAGER}
    inputs = {"post": SuppressionInput}
    outputs = {
        "get": Paged("suppressions", SUPPRESSION),
        "post": once(SUPPRESSION, "The address was suppressed before."),
    }
    filters = {"get": SuppressionFilters}
    summaries = {
        "get": "List suppressed addresses, or look whether one is",
        "post": "Send nothing to an address any more",
    }

    def get(self, request: Any) -> HttpResponse:
        filters = SuppressionFilters(request)
        values = filters.values
        rows = suppressions_of(
            request.access.merchant_id, channel=values.get("channel"), address=values.get("address")
        )
        rows = filters.filter_queryset(rows)
        return filters.respond("suppressions", SUPPRESSION, rows, total=rows.count)

    def post(self, request: Any) -> HttpResponse:
        row, is_new = add_suppression(merchant_id=request.access.merchant_id, **self.input(SuppressionInput))
        return envelope.once(SUPPRESSION.instance(row), f"/api/v1/suppressions/{row.pk}", is_new=is_new)


class SuppressionView(ApiView):
    roles = {"delete": Role.MANAGER}
    summaries = {"delete": "Send to an address again"}

    def delete(self, request: Any, suppression_id: uuid.UUID) -> HttpResponse:
        delete_suppression(merchant_id=request.access.merchant_id, suppression_id=suppression_id)
        return envelope.success(None, "The address is written to again")
