"""The till's routes: sell, quote, sell many, take back; and what a customer bought."""

import uuid
from typing import Any

from django.http import HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from cloudpos.api import envelope
from cloudpos.api.errors import Problem, describe
from cloudpos.api.schema import Paged, once
from cloudpos.api.views import ApiView, batch_body_bytes_max
from cloudpos.checkout.history import past_purchases
from cloudpos.checkout.returns import return_purchase
from cloudpos.checkout.sales import Taken, quote_purchase, take_purchase, take_purchases
from cloudpos.checkout.serializers import (
    BATCH,
    PAST_PURCHASE,
    QUOTE,
    RECEIPT,
    RETURN_RECEIPT,
    PurchaseBatchInput,
    PurchaseFilters,
    PurchaseInput,
    QuoteFilters,
    QuoteInput,
    ReturnInput,
)
from cloudpos.tenancy.roles import Role


class PurchasesView(ApiView):
    roles = {"post": Role.CASHIER}
    inputs = {"post": PurchaseInput}
    outputs = {"post": once(RECEIPT, "The same purchase again: the receipt as first given.")}
    summaries = {"post": "Record a purchase; its transactionId may be sent again any number of times"}

    def post(self, request: Request) -> HttpResponse:
        taken = take_purchase(access=self.request.access, sale=self.input(PurchaseInput))
        customer_id = taken.receipt["purchase"]["customerId"]
        return envelope.once(taken.receipt, f"/api/v1/customers/{customer_id}/purchases", is_new=taken.is_new)


class QuoteView(ApiView):
    roles = {"post": Role.CASHIER}
    inputs = {"post": QuoteInput}
    outputs = {"post": QUOTE}
    filters = {"post": QuoteFilters}
    summaries = {"post": "What a purchase would earn now, without recording it"}

    def post(self, request: Request) -> HttpResponse:
        explain_all = "explain" in QuoteFilters(self.request).values
        sale = self.input(QuoteInput)
        return envelope.success(
            quote_purchase(access=self.request.access, sale=sale, explain_all=explain_all)
        )


class PurchaseBatchView(ApiView):
    roles = {"post": Role.CASHIER}
    inputs = {"post": PurchaseBatchInput}
    outputs = {"post": BATCH}
    summaries = {"post": "Record up to 500 purchases, each by itself: a result for each, in order"}
    body_bytes_max = batch_body_bytes_max()

    def post(self, request: Request) -> HttpResponse:
        sales = [_parsed(row) for row in self.input(PurchaseBatchInput)["purchases"]]
        results = take_purchases(access=self.request.access, sales=sales)
        return envelope.success(_tally(results))


def _parsed(row: object) -> Any:
    try:
        return PurchaseInput.parse(row)
    except ValidationError as exc:
        return describe(exc)


def _tally(results: list[Taken | Problem]) -> dict[str, object]:
    rows: list[dict[str, object]] = []
    for index, result in enumerate(results):
        if isinstance(result, Taken):
            rows.append({"index": index, "status": 201 if result.is_new else 200, "receipt": result.receipt})
        else:
            error = {"message": result.message, "errors": result.errors, "code": result.code, **result.extra}
            rows.append({"index": index, "status": result.status, "error": error})
    statuses = [row["status"] for row in rows]
    created, repeated = statuses.count(201), statuses.count(200)
    return {
        "results": rows,
        "created": created,
        "repeated": repeated,
        "failed": len(rows) - created - repeated,
    }


class ReturnsView(ApiView):
    roles = {"post": Role.CASHIER}
    inputs = {"post": ReturnInput}
    outputs = {"post": once(RETURN_RECEIPT, "The same return again: the receipt as first given.")}
    summaries = {"post": "Take back a purchase: wholly, an amount, or items"}

    def post(self, request: Request, transaction_id: str) -> HttpResponse:
        taken = return_purchase(
            access=self.request.access,
            purchase_transaction_id=transaction_id,
            back=self.input(ReturnInput),
        )
        customer_id = taken.receipt["return"]["customerId"]
        return envelope.once(taken.receipt, f"/api/v1/customers/{customer_id}/purchases", is_new=taken.is_new)


class CustomerPurchasesView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": Paged("purchases", PAST_PURCHASE)}
    filters = {"get": PurchaseFilters}
    summaries = {"get": "What a customer bought and brought back, newest first"}

    def get(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        filters = PurchaseFilters(self.request)
        rows, total, following = past_purchases(
            access=self.request.access, customer_id=customer_id, filters=filters
        )
        return envelope.page("purchases", rows, total, filters.page, filters.limit, next_cursor=following)
