"""Customers over HTTP."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now
from rest_framework.exceptions import ValidationError

from cloudpos.api import envelope
from cloudpos.api.errors import ApiError, flatten
from cloudpos.api.etags import etag, expected_version, not_modified
from cloudpos.api.pagination import encode_cursor
from cloudpos.api.schema import Fields, Many, Output, Paged
from cloudpos.api.throttling import client_address
from cloudpos.api.views import ApiView, batch_body_bytes_max
from cloudpos.tenancy.roles import Role
from customers.filters import CustomerFilters, LookupFilters
from customers.listing import list_customers
from customers.models import Customer
from customers.reading import customer_stats, look_up, read_customer
from customers.serializers import CustomerBatchInput, CustomerInput, CustomerRowsInput
from customers.serializers_events import BATCH_ERROR
from customers.services import (
    InvalidCustomer,
    create_customers,
    create_with_parts,
    delete_customer,
    update_customer,
)
from customers.shapes import CUSTOMER, customers_json, new_customer_json

BATCH = Fields(
    "CustomerBatch",
    {
        "results": Many(
            Fields(
                "CustomerBatchResult",
                {
                    "index": {"type": "integer", "description": "Position in the batch, from 0."},
                    "status": {"type": "string", "enum": ["created", "failed"]},
                    "customer": CUSTOMER,
                    "error": BATCH_ERROR,
                },
                optional=frozenset({"customer", "error"}),
            )
        ),
        "created": {"type": "integer"},
        "failed": {"type": "integer"},
    },
)
_COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}
STATS = Fields(
    "CustomerStats",
    {
        "total": {"type": "integer"},
        "byStatus": _COUNTS,
        "byType": _COUNTS,
        "bySegment": _COUNTS,
        "byTier": {**_COUNTS, "description": "`none`: not in the loyalty program."},
        "createdLast30Days": {"type": "integer"},
        "visitedLast30Days": {"type": "integer"},
    },
)


def path_of(customer_id: Any) -> str:
    return f"/api/v1/customers/{customer_id}"


def shown(request: Any, customer_id: uuid.UUID) -> tuple[dict[str, Any], dict[str, str]]:
    """A customer as they are now, and the headers that go with it."""
    row = read_customer(merchant_id=request.access.merchant_id, customer_id=customer_id)
    return row, {"ETag": etag(row["version"])}


class CustomersView(ApiView):
    roles = {"get": Role.CASHIER, "post": Role.CASHIER}
    inputs = {"post": CustomerInput}
    outputs = {"get": Paged("customers", CUSTOMER), "post": Output(CUSTOMER, status=201, etag=True)}
    filters = {"get": CustomerFilters}
    summaries = {"get": "Search and list customers", "post": "Create a customer"}

    def get(self, request: Any) -> HttpResponse:
        filters = CustomerFilters(request)
        listing = list_customers(access=request.access, filters=filters)
        following = listing.next_cursor
        return envelope.page(
            "customers",
            listing.rows,
            listing.total,
            filters.page,
            filters.limit,
            exact=listing.exact,
            next_cursor=encode_cursor(filters.cursor_purpose, following) if following else None,
        )

    def post(self, request: Any) -> HttpResponse:
        made = create_with_parts(
            access=request.access, data=self.input(CustomerInput), ip=client_address(request.META)
        )
        row = new_customer_json(made.customer, made.addresses, made.preferences)
        return envelope.created(
            row, path_of(made.customer.pk), "Customer created", {"ETag": etag(made.customer.version)}
        )


class CustomerView(ApiView):
    roles = {"get": Role.CASHIER, "put": Role.CASHIER, "patch": Role.CASHIER, "delete": Role.MANAGER}
    inputs = {"put": CustomerInput, "patch": CustomerInput}
    outputs = {
        "get": Output(CUSTOMER, etag=True),
        "put": Output(CUSTOMER, etag=True),
        "patch": Output(CUSTOMER, etag=True),
        "delete": None,
    }
    summaries = {
        "get": "Read a customer",
        "put": "Replace a customer's profile",
        "patch": "Change some fields of a customer",
        "delete": "Hide a customer; the books are kept",
    }

    def get(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        row, headers = shown(request, customer_id)
        return not_modified(request, row["version"]) or envelope.success(row, headers=headers)

    def put(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        """The profile fields that are left out return to their defaults; type, status, home store, addresses and
        preferences stay unless sent."""
        return self._change(request, customer_id, self.input(CustomerInput), replace=True)

    def patch(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        return self._change(request, customer_id, self.input(CustomerInput, partial=True), replace=False)

    def _change(
        self, request: Any, customer_id: uuid.UUID, data: dict[str, Any], *, replace: bool
    ) -> HttpResponse:
        customer = update_customer(
            access=request.access,
            customer_id=customer_id,
            data=data,
            replace=replace,
            expected_version=expected_version(request),
            ip=client_address(request.META),
        )
        row, headers = shown(request, customer.pk)
        return envelope.success(row, "Customer updated", headers=headers)

    def delete(self, request: Any, customer_id: uuid.UUID) -> HttpResponse:
        delete_customer(
            access=request.access, customer_id=customer_id, expected_version=expected_version(request)
        )
        return envelope.success(None, "Customer deleted")


class StatsView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": STATS}
    summaries = {"get": "Count customers by kind"}

    def get(self, request: Any) -> HttpResponse:
        return envelope.success(customer_stats(merchant_id=request.access.merchant_id, at=now()))


class LookupView(ApiView):
    """Exactly one of `phone`, `email`, `number` and `externalId`: for a till, while the customer waits."""

    roles = {"get": Role.CASHIER}
    outputs = {"get": Output(CUSTOMER, etag=True)}
    filters = {"get": LookupFilters}
    summaries = {"get": "Find the customer with exactly this phone, e-mail, number or ID of another system"}

    def get(self, request: Any) -> HttpResponse:
        row = look_up(access=request.access, **LookupFilters(request).values)
        return envelope.success(row, headers={"ETag": etag(row["version"])})


class BatchView(ApiView):
    """Each row is created or refused by itself."""

    body_bytes_max = batch_body_bytes_max()
    roles = {"post": Role.CASHIER}
    inputs = {"post": CustomerBatchInput}
    outputs = {"post": BATCH}
    summaries = {"post": "Create up to 100 customers"}

    def post(self, request: Any) -> HttpResponse:
        rows = [_read(row) for row in self.input(CustomerRowsInput)["customers"]]
        outcomes = create_customers(access=request.access, rows=rows, ip=client_address(request.META))
        made = [outcome.pk for outcome in outcomes if isinstance(outcome, Customer)]
        found = customers_json(merchant_id=request.access.merchant_id, ids=made, sort_sql="NULL")
        by_id = {row["id"]: row for row, _ in found}
        results = [_rendered(index, outcome, by_id) for index, outcome in enumerate(outcomes)]
        return envelope.success(
            {"results": results, "created": len(made), "failed": len(results) - len(made)}
        )


def _read(row: Any) -> dict[str, Any] | ApiError:
    try:
        return CustomerInput.parse(row)
    except ValidationError as invalid:
        return InvalidCustomer(errors=list(flatten(invalid.detail)))


def _rendered(
    index: int, outcome: Customer | ApiError, by_id: dict[uuid.UUID, dict[str, Any]]
) -> dict[str, Any]:
    if isinstance(outcome, ApiError):
        errors = [
            {"field": each.field, "message": each.message, "code": each.code} for each in outcome.errors
        ]
        error = {
            **outcome.extra,
            "code": outcome.error_code,
            "message": outcome.detail,
            "errors": errors,
        }
        return {"index": index, "status": "failed", "error": error}
    return {"index": index, "status": "created", "customer": by_id[outcome.pk]}
