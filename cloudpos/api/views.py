"""Base classes of every API view."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from cloudpos.api import availability, idempotency, throttling
from cloudpos.api.errors import ApiError, NotAcceptable, Unavailable, UnsupportedMediaType, exception_handler
from cloudpos.api.headers import put
from cloudpos.api.parsing import StrictJsonParser, read_body
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import EnvelopeRenderer, RowShape
from cloudpos.api.roles import PUBLIC, SIGNED_IN
from cloudpos.api.serializers import CamelSerializer
from cloudpos.api.tables import CSV, accepts_csv

NO_TENANT = uuid.UUID(int=0)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_PARSER = StrictJsonParser()
_RENDERER = EnvelopeRenderer()
_NEGOTIATOR = DefaultContentNegotiation()


class ApiRequest(Request):
    """DRF's request with one parser, nothing negotiated, and its caller found when the view begins."""

    # Here, so that DRF's `hasattr` finds them instead of searching the Django request as well.
    _user: Any = None
    _auth: Any = None
    _authenticator: Any = None
    _full_data: Any
    _files: Any
    # The tenant facts of the caller, set by the authenticator.
    access: Any

    def __init__(self, request: HttpRequest, view: ApiView, authenticators: Sequence[Any]) -> None:
        context = {"view": view, "request": request}
        super().__init__(request, (_PARSER,), authenticators, _NEGOTIATOR, context)

    def identify(self) -> None:
        """Set `user`, `auth` and whatever the authenticators set. Raises what they raise."""
        for authenticator in self.authenticators or ():
            found = authenticator.authenticate(self)
            if found is not None:
                self._authenticator = authenticator
                self._request.user = found[0]  # type: ignore[assignment]
                self._user, self._auth = found
                return

    def _load_data_and_files(self) -> None:
        self._full_data = self._data = self._parsed_body()
        self._files = {}

    def _parsed_body(self) -> Any:
        meta = self._request.META
        if meta.get("CONTENT_LENGTH") in (None, "", "0") and not meta.get("HTTP_TRANSFER_ENCODING"):
            return {}
        content_type = meta.get("CONTENT_TYPE", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType()
        return _PARSER.parse(self._request, content_type, self.parser_context)


class ApiView(APIView):
    """A view of this API.

    `roles` maps each action (of a viewset) or lower-case method (of a view) to its least role, SIGNED_IN or PUBLIC; what
    is not listed is denied. `inputs`, `outputs`, `filters` and `summaries`, by the same keys, document the operation
    in OpenAPI; see cloudpos.api.schema.
    """

    roles: ClassVar[Mapping[str, Any]] = {}
    inputs: ClassVar[Mapping[str, type[CamelSerializer]]] = {}
    outputs: ClassVar[Mapping[str, Any]] = {}
    filters: ClassVar[Mapping[str, type[StrictFilterSet]]] = {}
    summaries: ClassVar[Mapping[str, str]] = {}
    # Operations whose list can be had as CSV too: see cloudpos.api.tables.
    tables: ClassVar[frozenset[str]] = frozenset()
    # Those of them that answer with a file and nothing else.
    files: ClassVar[frozenset[str]] = frozenset()
    # Media types that those may have.
    file_types: ClassVar[tuple[str, ...]] = (CSV,)
    # Those of them of which a part can be fetched: Range and If-Range.
    ranges: ClassVar[frozenset[str]] = frozenset()
    # Bodies by a name, to be shown in OpenAPI.
    examples: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    # Operations whose body are the bytes of a file: see `upload`.
    uploads: ClassVar[frozenset[str]] = frozenset()
    # Batch views raise it to settings.BATCH_BODY_BYTES_MAX.
    body_bytes_max: ClassVar[int | None] = None
    # Off for routes whose answers hold secrets, such as tokens: those must not be stored.
    idempotent: ClassVar[bool] = True
    throttle_scope: ClassVar[str | None] = None
    metadata_class = None
    renderer_classes = (EnvelopeRenderer,)
    parser_classes = (StrictJsonParser,)

    request: ApiRequest

    @property
    def operation(self) -> str:
        """The key into `roles`: the viewset's action, else the method in lower case (HEAD counts as GET)."""
        action = getattr(self, "action", None)
        if action:
            return str(action)
        # Schema generation makes views without a request.
        method = (getattr(self.request, "method", None) or "").lower()
        return "get" if method == "head" else method

    @property
    def least_role(self) -> Any:
        """The least role of this request's operation; None denies it to everybody."""
        return self.roles.get(self.operation)

    def get_authenticators(self) -> list[Any]:
        return [] if self.least_role == PUBLIC else super().get_authenticators()

    def get_permissions(self) -> Any:
        return [] if self.least_role == PUBLIC else super().get_permissions()

    def dispatch(self, http_request: Any, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        self.args = args
        self.kwargs = kwargs
        self.headers = {}
        self.request = http_request
        actions = getattr(self, "action_map", None)
        if actions is not None:
            self.action = actions.get(http_request.method.lower())
        request = ApiRequest(http_request, self, self.get_authenticators())
        request.accepted_renderer = _RENDERER
        request.accepted_media_type = _RENDERER.media_type
        self.request = request
        try:
            handler = self._handler(http_request.method)
            if availability.database.rests():
                raise Unavailable()
            self.initial(request)
            response = self._answer(handler)
        except Exception as exc:
            response = self.handle_exception(exc)
        if response.status_code != Unavailable.status:
            availability.database.worked()
        if isinstance(response, Response):
            response.accepted_renderer = _RENDERER
            response.accepted_media_type = _RENDERER.media_type
            response.renderer_context = {"view": self, "request": request}  # type: ignore[attr-defined]
        put(response, self.headers)
        self.response = response  # type: ignore[assignment]
        return response

    def _handler(self, method: str) -> Callable[..., HttpResponse]:
        name = method.lower()
        handler = getattr(self, name, None) if name in self.http_method_names else None
        if handler is None or (name == "options" and self.metadata_class is None):
            raise exceptions.MethodNotAllowed(method)
        found: Callable[..., HttpResponse] = handler
        return found

    def initial(self, request: ApiRequest) -> None:  # type: ignore[override]
        accept = request._request.META.get("HTTP_ACCEPT")
        if (
            accept
            and "json" not in accept
            and "*/*" not in accept
            and "application/*" not in accept
            and not (accepts_csv(accept) and self.operation in self.tables)
            and not (self.operation in self.files and any(type in accept for type in self.file_types))
        ):
            raise NotAcceptable()
        try:
            request.identify()
        except (exceptions.APIException, ApiError):
            # Guessing tokens and stores is limited too; who has used up the limit learns that, not why it failed.
            self.headers = throttling.throttle(request._request)
            raise
        self.headers = throttling.throttle(request, scope=self.throttle_scope)
        self.check_permissions(request)

    def _answer(self, handler: Callable[..., HttpResponse]) -> HttpResponse:
        request = self.request
        if request.method in SAFE_METHODS or not self.idempotent:
            return handler(request, *self.args, **self.kwargs)
        key = idempotency.read_key(request._request.META)
        access = getattr(request, "access", None)
        if key is None or access is None:
            return handler(request, *self.args, **self.kwargs)
        return idempotency.perform(
            merchant_id=access.merchant_id,
            subject=str(access.user_id),
            method=str(request.method),
            path=request._request.path,
            key=key,
            body_hash=idempotency.content_hash(
                access.store_id, request._request.META.get("QUERY_STRING", ""), request.data
            ),
            work=lambda: handler(request, *self.args, **self.kwargs),
        )

    def handle_exception(self, exc: Exception) -> HttpResponse:
        response = exception_handler(exc, {"view": self, "request": self.request})
        if isinstance(exc, exceptions.MethodNotAllowed):
            response.headers["Allow"] = ", ".join(self.allowed_methods)
        return response

    @property
    def allowed_methods(self) -> list[str]:
        return [method for method in super().allowed_methods if method != "OPTIONS"]

    def input(
        self,
        serializer: type[CamelSerializer],
        *,
        partial: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The body's validated values by their Python names. Raises ValidationError."""
        return serializer.parse(self.request.data, partial=partial, context=context)

    def upload(self) -> bytes:
        """The body of an operation that is named in `uploads`, `body_bytes_max` bytes at most."""
        bytes_max = self.body_bytes_max or settings.REQUEST_BODY_BYTES_MAX
        return read_body(self.request._request, self.request._request.META, bytes_max=bytes_max)


class ApiViewSet(ViewSetMixin, ApiView):
    """A viewset of this API: `roles` by action."""


def batch_body_bytes_max() -> int:
    return int(settings.BATCH_BODY_BYTES_MAX)


__all__ = ["PUBLIC", "SIGNED_IN", "ApiRequest", "ApiView", "ApiViewSet", "RowShape", "batch_body_bytes_max"]
