"""Addresses, preferences and consents of a customer over HTTP."""

import uuid
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.etags import etag, expected_version
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged
from cloudpos.api.throttling import client_address
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from customers.filters import ConsentFilters
from customers.reading import consents_of, read_address, read_addresses, read_customer
from customers.serializers import AddressInput, ConsentInput, PreferencesInput
from customers.services import (
    add_address,
    change_address,
    change_preferences,
    delete_address,
    record_consent,
)
from customers.services.addresses import ADDRESSES_MAX
from customers.shapes import ADDRESS, CONSENT, PREFERENCES_SCHEMA


class AddressesView(ApiView):
    roles = {"get": Role.CASHIER, "post": Role.CASHIER}
    inputs = {"post": AddressInput}
    outputs = {"get": Paged("addresses", ADDRESS), "post": Output(ADDRESS, status=201)}
    summaries = {"get": "List a customer's addresses, the default first", "post": "Add an address"}

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(request)
        rows = read_addresses(merchant_id=request.access.merchant_id, customer_id=customer_id)
        return envelope.page("addresses", rows, len(rows), 1, ADDRESSES_MAX)

    def post(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        """The first becomes the default."""
        address = add_address(
            access=request.access,
            customer_id=customer_id,
            data=self.input(AddressInput),
            expected_version=expected_version(request),
        )
        return envelope.created(
            _address(request, address.customer_id, address.pk),
            f"/api/v1/customers/{address.customer_id}/addresses/{address.pk}",
            "Address added",
        )


class AddressView(ApiView):
    roles = {"get": Role.CASHIER, "put": Role.CASHIER, "patch": Role.CASHIER, "delete": Role.CASHIER}
    inputs = {"put": AddressInput, "patch": AddressInput}
    outputs = {"get": ADDRESS, "put": ADDRESS, "patch": ADDRESS, "delete": None}
    summaries = {
        "get": "Read an address",
        "put": "Replace an address",
        "patch": "Change some fields of an address",
        "delete": "Delete an address; the default is handed to the oldest that stays",
    }

    def get(self, request: Any, customer_id: uuid.UUID, address_id: uuid.UUID) -> HttpResponse:
        return envelope.success(_address(request, customer_id, address_id))

    def put(self, request: Any, customer_id: uuid.UUID, address_id: uuid.UUID) -> HttpResponse:
        return self._change(request, customer_id, address_id, self.input(AddressInput), replace=True)

    def patch(self, request: Any, customer_id: uuid.UUID, address_id: uuid.UUID) -> HttpResponse:
        data = self.input(AddressInput, partial=True)
        return self._change(request, customer_id, address_id, data, replace=False)

    def _change(
        self,
        request: Any,
        customer_id: uuid.UUID,
        address_id: uuid.UUID,
        data: dict[str, Any],
        *,
        replace: bool,
    ) -> HttpResponse:
        change_address(
            access=request.access,
            customer_id=customer_id,
            address_id=address_id,
            data=data,
            replace=replace,
            expected_version=expected_version(request),
        )
        return envelope.success(_address(request, customer_id, address_id), "Address updated")

    def delete(self, request: Any, customer_id: uuid.UUID, address_id: uuid.UUID) -> HttpResponse:
        delete_address(
            access=request.access,
            customer_id=customer_id,
            address_id=address_id,
            expected_version=expected_version(request),
        )
        return envelope.success(None, "Address deleted")


class PreferencesView(ApiView):
    roles = {"get": Role.CASHIER, "put": Role.CASHIER, "patch": Role.CASHIER}
    inputs = {"put": PreferencesInput, "patch": PreferencesInput}
    outputs = dict.fromkeys(("get", "put", "patch"), Output(PREFERENCES_SCHEMA, etag=True))
    summaries = {
        "get": "Read how a customer wants to be spoken to",
        "put": "Replace language, quiet hours and frequency cap; say which consents change",
        "patch": "Change some preferences",
    }

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        return self._shown(request, customer_id)

    def put(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        """Consent that was said stays said unless it is sent: it cannot be unsaid, only withdrawn."""
        return self._change(request, customer_id, self.input(PreferencesInput), replace=True)

    def patch(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        return self._change(request, customer_id, self.input(PreferencesInput, partial=True), replace=False)

    def _change(
        self, request: Any, customer_id: uuid.UUID, data: dict[str, Any], *, replace: bool
    ) -> HttpResponse:
        change_preferences(
            access=request.access,
            customer_id=customer_id,
            data=data,
            replace=replace,
            ip=client_address(request.META),
            expected_version=expected_version(request),
        )
        return self._shown(request, customer_id, "Preferences updated")

    def _shown(self, request: Any, customer_id: uuid.UUID, message: str = "") -> HttpResponse:
        row = read_customer(merchant_id=request.access.merchant_id, customer_id=customer_id)
        return envelope.success(row["preferences"], message, headers={"ETag": etag(row["version"])})


class ConsentsView(ApiView):
    roles = {"get": Role.CASHIER, "post": Role.CASHIER}
    inputs = {"post": ConsentInput}
    outputs = {"get": Paged("consents", CONSENT), "post": Output(CONSENT, status=201)}
    filters = {"get": ConsentFilters}
    summaries = {"get": "Read what a customer agreed to and when", "post": "Append a statement of consent"}

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        filters = ConsentFilters(request)
        said = filters.filter_queryset(
            consents_of(merchant_id=request.access.merchant_id, customer_id=customer_id)
        )
        return filters.respond("consents", CONSENT, said, total=said.count)

    def post(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        """Preferences follow what was said last, by `occurredAt`."""
        statement = record_consent(
            access=request.access,
            customer_id=customer_id,
            data=self.input(ConsentInput),
            ip=client_address(request.META),
        )
        return envelope.created(
            CONSENT.instance(statement),
            f"/api/v1/customers/{statement.customer_id}/consents",
            "Consent recorded",
        )


def _address(request: Any, customer_id: uuid.UUID, address_id: uuid.UUID) -> dict[str, Any]:
    return read_address(
        merchant_id=request.access.merchant_id, customer_id=customer_id, address_id=address_id
    )
