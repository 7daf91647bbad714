"""Who calls, and for which store: `Authorization: Bearer` and `x-store-id` become `request.access`."""

import uuid
from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from cloudpos.api.errors import BadRequest, FieldError, Forbidden, Unauthenticated
from cloudpos.tenancy.access import Access, access_for
from cloudpos.tenancy.models import User
from cloudpos.tenancy.tokens import InvalidToken, read_access_token


class NotAuthenticated(Unauthenticated):
    message = "Send an access token: Authorization: Bearer <token>"


class StoreHeaderInvalid(BadRequest):
    code = "invalid_store_id"
    message = "The x-store-id header must be the id of a store (a UUID)"


class StoreForbidden(Forbidden):
    code = "store_forbidden"
    message = "You have no access to this store"


class Caller(AnonymousUser):
    """`request.user` of an API request: an id and a role, without reading the user's row."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.pk = self.id = access.user_id  # type: ignore[assignment]

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_anonymous(self) -> bool:  # type: ignore[override]
        return False

    def __str__(self) -> str:
        return str(self.pk)


class TokenAuthentication(BaseAuthentication):
    """The person alone, for routes that are about no store. Reads the user's row: nothing else says they are active."""

    def authenticate(self, request: Request) -> tuple[Any, Any]:
        user = User.objects.filter(pk=read_access_token(bearer_token(request)), is_active=True).first()
        if user is None:
            raise InvalidToken()
        request.signed_in_id = user.pk  # type: ignore[attr-defined]
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class JwtAuthentication(BaseAuthentication):
    """401 for the token, then 400 and 403 for the store, in this order."""

    def authenticate(self, request: Request) -> tuple[Any, Any]:
        user_id = read_access_token(bearer_token(request))
        store_id = store_header(request)
        access = access_for(user_id=user_id, store_id=store_id)
        if access is None:
            raise StoreForbidden()
        request.access = access  # type: ignore[attr-defined]
        # Middleware writes the log line and the rate limit after the view: it sees the Django request.
        request._request.access = access  # type: ignore[attr-defined]
        return Caller(access), access

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def bearer_token(request: Request) -> str:
    """The token of the Authorization header. Raises NotAuthenticated."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token or not token.isascii():
        raise NotAuthenticated()
    return token


def store_header(request: Request) -> uuid.UUID:
    """The x-store-id header. Raises StoreHeaderInvalid."""
    raw = request.META.get("HTTP_X_STORE_ID", "")
    try:
        # UUID() also takes braces and urn: prefixes; a till sends the plain form.
        if len(raw) not in (32, 36):
            raise ValueError
        return uuid.UUID(raw)
    except ValueError:
        raise StoreHeaderInvalid(
            errors=[
                FieldError("x-store-id", "Required: the UUID of a store", "invalid" if raw else "required")
            ]
        ) from None
