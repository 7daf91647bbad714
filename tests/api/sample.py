"""A small API over stores, so that the HTTP layer is tested through whole requests without any domain."""

import uuid
from decimal import Decimal
from typing import Any, ClassVar

from django.contrib import admin
from django.db import OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from django.utils import timezone
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cloudpos.api import envelope
from cloudpos.api.errors import ApiError, Conflict, FieldError, NotFound
from cloudpos.api.etags import etag, expected_version, not_modified, require_version
from cloudpos.api.fields import LIST_ITEMS_MAX
from cloudpos.api.parameters import Amount, Choices, Flag, Identifier, Integer, Text, Words
from cloudpos.api.query import DayFrom, DayTo, NoParameters, SortKey, StrictFilterSet
from cloudpos.api.rendering import Column, RowShape
from cloudpos.api.schema import Fields, Many, Output, Paged
from cloudpos.api.serializers import (
    AwareDateTimeField,
    CamelSerializer,
    CleanCharField,
    CoordinateField,
    MetadataField,
    MoneyField,
    QuantityField,
    StrictBooleanField,
    StrictChoiceField,
    StrictDateField,
    StrictIntegerField,
    StrictListField,
    StrictUuidField,
)
from cloudpos.api.transactions import use_case
from cloudpos.api.views import PUBLIC, ApiView, ApiViewSet
from cloudpos.tenancy.models import Store

STORE = RowShape(
    "SampleStore",
    [
        "id",
        "name",
        "code",
        "postal_code",
        "latitude",
        "is_active",
        "created_at",
        Column("merchant__name", "owner"),
    ],
    model=Store,
)


class AddressInput(CamelSerializer):
    postal_code = CleanCharField(max_length=20)
    street1 = CleanCharField(max_length=200, required=False, allow_blank=True)


class LineInput(CamelSerializer):
    sku = CleanCharField(max_length=40)
    quantity = QuantityField()
    unit_price = MoneyField()


class EverythingInput(CamelSerializer):
    """One field of each kind."""

    ignored_fields: ClassVar[Any] = ("createdAt", "id")

    first_name = CleanCharField(max_length=20)
    notes = CleanCharField(max_length=2000, multiline=True, required=False, allow_blank=True)
    points = StrictIntegerField(required=False, min_value=-5)
    is_default = StrictBooleanField(required=False)
    total_spent = MoneyField(required=False, allow_null=True)
    change = MoneyField(required=False, min_value=None)
    latitude = CoordinateField(bound=90, required=False)
    store_id = StrictUuidField(required=False)
    kind = StrictChoiceField(["individual", "business"], default="individual")
    born_on = StrictDateField(required=False)
    occurred_at = AwareDateTimeField(required=False)
    metadata = MetadataField(required=False)
    tags = StrictListField(child=CleanCharField(max_length=10), required=False, max_length=3)
    address = AddressInput(required=False)
    line_items = LineInput(many=True, required=False, max_length=4)
    version = serializers.IntegerField(read_only=True)

    def validate_first_name(self, value: str) -> str:
        if value == "root":
            raise serializers.ValidationError("This name is taken.", code="taken")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("points") == 4:
            raise serializers.ValidationError("Four is unlucky here.", code="unlucky")
        if self.context.get("closed"):
            raise serializers.ValidationError({"firstName": "The list is closed."})
        return attrs


class StoreInput(CamelSerializer):
    ignored_fields: ClassVar[Any] = STORE.all_names
    name = CleanCharField(max_length=200)
    code = CleanCharField(max_length=40)
    postal_code = CleanCharField(max_length=20, required=False)


class StoreFilters(StrictFilterSet):
    sortable: ClassVar[Any] = {
        "createdAt": "created_at",
        "name": "name",
        "latitude": SortKey("latitude", nullable=True),
    }
    default_sort = "name"

    query = Text(method="search", max_length=20)
    code = Choices(["HIGH", "LOW", "MID"])
    is_active = Flag("is_active")
    latitude_min = Amount("latitude", "gte")
    floor = Integer(method="", maximum=10)
    store_id = Identifier("id")
    names = Words("name", lookup_expr="in")
    created_from = DayFrom("created_at")
    created_to = DayTo("created_at")

    def search(self, queryset: Any, value: str) -> Any:
        return queryset.filter(name__icontains=value)


class CodeTaken(Conflict):
    code = "code_taken"
    message = "Another store has this code."


@use_case
def open_store(*, merchant_id: uuid.UUID, name: str, code: str, postal_code: str = "") -> Store:
    if Store.objects.for_merchant(merchant_id).filter(code=code).exists():
        raise CodeTaken(field="code", extra={"taken": code})
    return Store.objects.create(merchant_id=merchant_id, name=name, code=code, postal_code=postal_code)


class StoreViewSet(ApiViewSet):
    roles: ClassVar[Any] = {
        "list": "cashier",
        "create": "manager",
        "retrieve": "cashier",
        "update": "manager",
        "destroy": "owner",
    }
    inputs: ClassVar[Any] = {"create": StoreInput, "update": StoreInput}
    outputs: ClassVar[Any] = {
        "list": Paged("stores", STORE),
        "create": Output(STORE, status=201),
        "retrieve": Output(STORE, etag=True),
        "update": STORE,
    }
    filters: ClassVar[Any] = {"list": StoreFilters}
    summaries: ClassVar[Any] = {"list": "Search stores"}
    calls: ClassVar[list[str]] = []

    def list(self, request: Request) -> HttpResponse:
        filters = StoreFilters(request)
        stores = filters.filter_queryset(Store.objects.for_merchant(request.access.merchant_id))
        return filters.respond("stores", STORE, stores, total=stores.count)

    def create(self, request: Request) -> HttpResponse:
        self.calls.append("create")
        store = open_store(merchant_id=request.access.merchant_id, **self.input(StoreInput))
        return envelope.created(STORE.instance(store), f"/api/v1/stores/{store.pk}", "Store opened")

    def retrieve(self, request: Request, store_id: uuid.UUID) -> HttpResponse:
        row = STORE.one(Store.objects.for_merchant(request.access.merchant_id).filter(pk=store_id))
        if row is None:
            raise NotFound()
        return not_modified(request, 7) or envelope.success(row, headers={"ETag": etag(7)})

    def update(self, request: Request, store_id: uuid.UUID) -> HttpResponse:
        require_version(expected_version(request), 7)
        if "refuse" in request.query_params:
            open_store(merchant_id=request.access.merchant_id, name="n", code="LEFTOVER")
            return HttpResponse(b"{}", status=409, content_type="application/json")
        self.input(StoreInput)
        return envelope.success({"id": store_id})

    def destroy(self, request: Request, store_id: uuid.UUID) -> HttpResponse:
        return envelope.success()


class EchoView(ApiView):
    """What the input layer makes of a body."""

    roles: ClassVar[Any] = {"post": "cashier", "patch": "cashier", "get": "cashier"}
    inputs: ClassVar[Any] = {"post": EverythingInput, "patch": EverythingInput}
    filters: ClassVar[Any] = {"get": NoParameters}
    outputs: ClassVar[Any] = {
        "get": Fields("Sampled", {"rows": Many(STORE), "at": {"type": "string"}}, optional=frozenset({"at"}))
    }

    def get(self, request: Request) -> HttpResponse:
        NoParameters(request)
        return envelope.success(
            {"uuid": uuid.UUID(int=1), "money": Decimal("12.50"), "at": timezone.now(), "no": None, "ü": "€"}
        )

    def post(self, request: Request) -> HttpResponse:
        return envelope.success(
            self.input(EverythingInput, context={"closed": "closed" in request.query_params})
        )

    def patch(self, request: Request) -> HttpResponse:
        return envelope.success(self.input(EverythingInput, partial=True))


class OpenView(ApiView):
    """Needs no token."""

    roles: ClassVar[Any] = {"get": PUBLIC, "post": PUBLIC}
    idempotent = False
    throttle_scope = "login"

    def get(self, request: Request) -> HttpResponse:
        return envelope.success({"hello": "world"})

    def post(self, request: Request) -> HttpResponse:
        return envelope.success({"bytes": len(str(request.data))})


class UndeclaredView(ApiView):
    def get(self, request: Request) -> HttpResponse:
        return envelope.success()


class DrfView(ApiView):
    """Returns DRF's own Response."""

    roles: ClassVar[Any] = {"get": PUBLIC}

    def get(self, request: Request) -> Response:
        return Response({"money": Decimal("1.50")})


class BatchView(ApiView):
    roles: ClassVar[Any] = {"post": PUBLIC}
    body_bytes_max = 1_048_576

    def post(self, request: Request) -> HttpResponse:
        return envelope.success(len(request.data["rows"]))


class Bent(ApiError):
    code = "bent"
    status = 409
    message = "The card is bent."


def _missing_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM no_such_table")


def _sleep() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 20")
        cursor.execute("SELECT pg_sleep(1)")


def _out_of_range() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT '99999999999'::text::int")


def _raiser(error: BaseException) -> Any:
    def run() -> None:
        raise error

    return run


FAILURES: dict[str, Any] = {
    "bent": _raiser(Bent(field="card", extra={"balance": 5, "success": True})),
    "paths": _raiser(Conflict(errors=[FieldError("items.3.quantity", "Too many.", "too_many")])),
    "http404": _raiser(Http404("secret detail")),
    "drf": _raiser(exceptions.PermissionDenied("No.")),
    "throttled": _raiser(exceptions.Throttled(wait=3)),
    "crash": _raiser(ZeroDivisionError("secret 4111111111111111")),
    "gone": _raiser(OperationalError("consuming input failed: server closed the connection unexpectedly")),
    "missing-table": _missing_table,
    "timeout": _sleep,
    "range": _out_of_range,
}


class FailView(ApiView):
    roles: ClassVar[Any] = {"get": PUBLIC, "post": PUBLIC}

    def get(self, request: Request, how: str) -> HttpResponse:
        FAILURES[how]()
        return envelope.success()

    def post(self, request: Request, how: str) -> HttpResponse:
        return envelope.success(request.data)


def plain_view(request: HttpRequest) -> HttpResponse:
    """A Django view under an API path."""
    if "fail" in request.GET:
        FAILURES[request.GET["fail"]]()
    if "status" in request.GET:
        return HttpResponse("<h1>plain</h1>", status=int(request.GET["status"]))
    return HttpResponse(_ := request.body[:0] or b"ok")


stores = {"get": "list", "post": "create"}
store = {"get": "retrieve", "put": "update", "delete": "destroy"}
urlpatterns = [
    path("api/v1/stores", StoreViewSet.as_view(stores)),
    path("api/v1/stores/<uuid:store_id>", StoreViewSet.as_view(store)),
    path("api/v1/echo", EchoView.as_view()),
    path("api/v1/open", OpenView.as_view()),
    path("api/v1/undeclared", UndeclaredView.as_view()),
    path("api/v1/drf", DrfView.as_view()),
    path("api/v1/batch", BatchView.as_view()),
    path("api/v1/fail/<str:how>", FailView.as_view()),
    path("api/v1/plain", plain_view),
    path("page", plain_view),
    path("", include("cloudpos.api.urls")),
    # Error pages link to it.
    path("admin/", admin.site.urls),
]
handler400 = "cloudpos.api.error_pages.bad_request"
handler403 = "cloudpos.api.error_pages.permission_denied"
handler404 = "cloudpos.api.error_pages.page_not_found"
handler500 = "cloudpos.api.error_pages.server_error"

assert LIST_ITEMS_MAX
