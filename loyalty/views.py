"""Points, standing and the program itself."""

import uuid

from django.http import HttpResponse
from rest_framework.request import Request

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged, once
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from loyalty import reading
from loyalty.reading_preview import preview
from loyalty.serializers import (
    ENTRY,
    POINTS,
    PROGRAM,
    PROGRAM_PREVIEW,
    STANDING,
    EntryFilters,
    PointsInput,
    ProgramInput,
    ProgramPreviewInput,
)
from loyalty.services import post_points, put_program
from loyalty.services.programs import ProgramNotFound


class PointsView(ApiView):
    """Cashiers give and take points; an adjustment is a manager's."""

    roles = {"post": Role.CASHIER}
    inputs = {"post": PointsInput}
    outputs = {"post": once(POINTS, "The same request again: the answer as first given.")}
    summaries = {"post": "Earn, redeem, adjust or reverse points, once per store, type and transactionId"}

    def post(self, request: Request) -> HttpResponse:
        answer = post_points(access=self.request.access, **self.input(PointsInput))
        customer_id = answer.transaction["customerId"]
        return envelope.once(
            answer.transaction,
            f"/api/v1/customers/{customer_id}/loyalty/transactions",
            is_new=answer.is_new,
        )


class StandingView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": STANDING}
    filters = {"get": NoParameters}
    summaries = {"get": "A customer's balance, tier, and when points expire"}

    def get(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(self.request)
        return envelope.success(reading.standing(access=self.request.access, customer_id=customer_id))


class EntriesView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": Paged("transactions", ENTRY)}
    filters = {"get": EntryFilters}
    summaries = {"get": "Every change of a customer's balance, newest first"}

    def get(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        filters = EntryFilters(self.request)
        entries = reading.entries_of(access=self.request.access, customer_id=customer_id)
        rows = filters.filter_queryset(entries)
        return filters.respond("transactions", ENTRY, rows, total=rows.count)


class ProgramPreviewView(ApiView):
    roles = {"post": Role.MANAGER}
    inputs = {"post": ProgramPreviewInput}
    outputs = {"post": PROGRAM_PREVIEW}
    summaries = {"post": "What a change of the program would do; nothing is written"}

    def post(self, request: Request) -> HttpResponse:
        changes = self.input(ProgramPreviewInput)
        return envelope.success(preview(merchant_id=self.request.access.merchant_id, **changes))


class ProgramView(ApiView):
    roles = {"get": Role.CASHIER, "put": Role.MANAGER}
    inputs = {"put": ProgramInput}
    outputs = {"get": PROGRAM, "put": [Output(PROGRAM, status=200), Output(PROGRAM, status=201)]}
    filters = {"get": NoParameters}
    summaries = {
        "get": "The loyalty program with its tiers",
        "put": "Start or change the program, for purchases from now on",
    }

    def get(self, request: Request) -> HttpResponse:
        NoParameters(self.request)
        program = reading.program_of(self.request.access.merchant_id)
        if program is None:
            raise ProgramNotFound()
        return envelope.success(program)

    def put(self, request: Request) -> HttpResponse:
        program, is_new = put_program(access=self.request.access, **self.input(ProgramInput))
        described = reading.describe_program(program)
        if is_new:
            return envelope.created(described, "/api/v1/loyalty/program")
        return envelope.success(described, "Takes effect from now on")
