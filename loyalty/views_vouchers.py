"""Vouchers at the till."""

import uuid
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import once
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from loyalty import reading_rewards as reading
from loyalty.serializers_vouchers import VOUCHER, VOUCHERS, VoucherLookupFilters, VoucherUseInput
from loyalty.services.vouchers import find_voucher, release_voucher, use_voucher


class CustomerVouchersView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": VOUCHERS}
    filters = {"get": NoParameters}
    summaries = {"get": "The vouchers that a customer can use now, the first to expire first"}

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        found = reading.open_vouchers_of(access=request.access, customer_id=customer_id)
        return envelope.success({"vouchers": found})


class VoucherLookupView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": VOUCHER}
    filters = {"get": VoucherLookupFilters}
    summaries = {"get": "What a voucher is for, by its code"}

    def get(self, request: Any) -> HttpResponse:
        code = VoucherLookupFilters(request).values["code"]
        voucher = find_voucher(merchant_id=request.access.merchant_id, code=code)
        return envelope.success(reading.describe_voucher(voucher))


class VoucherUseView(ApiView):
    """409 `voucher_used` once another sale took it, `voucher_lapsed` after its time."""

    roles = {"post": Role.CASHIER}
    inputs = {"post": VoucherUseInput}
    outputs = {"post": once(VOUCHER, "The same request again.")}
    summaries = {"post": "Take what a voucher is for, once, by its code"}

    def post(self, request: Any) -> HttpResponse:
        answer = use_voucher(access=request.access, **self.input(VoucherUseInput))
        location = f"/api/v1/customers/{answer.voucher.customer_id}/loyalty/vouchers"
        return envelope.once(reading.describe_voucher(answer.voucher), location, is_new=answer.is_new)


class VoucherReleaseView(ApiView):
    roles = {"post": Role.CASHIER}
    outputs = {"post": VOUCHER}
    summaries = {"post": "The sale did not come about: the voucher can be used again, until it expires"}

    def post(self, request: Any, voucher_id: uuid.UUID) -> HttpResponse:
        voucher = release_voucher(access=request.access, voucher_id=voucher_id)
        return envelope.success(reading.describe_voucher(voucher), "Voucher released")
