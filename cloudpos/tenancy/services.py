"""Sessions of people and machines: log in, refresh, log out; and opening a merchant."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import authenticate
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import transaction
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from cloudpos.api.errors import Unauthenticated
from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User, email_key
from cloudpos.tenancy.roles import rank
from cloudpos.tenancy.tokens import ACCESS_SECONDS_MAX, mint_access_token

STORES_LISTED_MAX = 200


class LoginFailed(Unauthenticated):
    code = "login_failed"
    message = "The e-mail address or the password is not right"


class RefreshFailed(Unauthenticated):
    code = "invalid_refresh_token"
    message = "The refresh token is not valid any more. Log in again."


@dataclass(frozen=True, slots=True)
class Session:
    """A pair of tokens; the refresh token works once. Times in seconds."""

    user: User
    access: str
    refresh: str
    expires_in: int = ACCESS_SECONDS_MAX


def log_in(*, email: str, password: str) -> Session:
    """Raises LoginFailed, the same for an unknown address, a wrong password and a closed account."""
    user = authenticate(username=email_key(email), password=password)
    if not isinstance(user, User):
        raise LoginFailed()
    return _session(user)


def refresh_session(*, refresh: str) -> Session:
    """A new pair for a refresh token, which is used up by it. Of two simultaneous calls one wins.

    Raises RefreshFailed.
    """
    with transaction.atomic():
        token = _read_refresh(refresh)
        _use_up(token)
        try:
            user = User.objects.get(pk=token["sub"], is_active=True)
        except (ObjectDoesNotExist, ValidationError, ValueError):
            raise RefreshFailed() from None
        return _session(user)


def log_out(*, refresh: str) -> None:
    """End a session: its refresh token is refused from now on. Raises RefreshFailed."""
    with transaction.atomic():
        _use_up(_read_refresh(refresh))


def _session(user: User) -> Session:
    refresh = RefreshToken.for_user(user)
    return Session(user=user, access=mint_access_token(user_id=user.pk), refresh=str(refresh))


def _read_refresh(refresh: str) -> RefreshToken:
    try:
        token = RefreshToken(refresh)  # type: ignore[arg-type]  # its annotation says Token; it decodes text
        _ = token["sub"]
    except (TokenError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        raise RefreshFailed() from None
    return token


def _use_up(token: RefreshToken) -> None:
    used_up_now: bool = token.blacklist()[1]  # type: ignore[index]  # it returns get_or_create's pair
    if not used_up_now:
        raise RefreshFailed()


def stores_of(user: User) -> list[dict[str, Any]]:
    """The stores where `user` may work, with the highest role at each: [{id, name, code, merchantId, ...}]."""
    roles: dict[Any, str] = {}
    merchant_roles: dict[Any, str] = {}
    for membership in Membership.objects.filter(user=user, merchant__is_active=True):
        place, found = (
            (membership.store_id, roles) if membership.store_id else (membership.merchant_id, merchant_roles)
        )
        found[place] = max(found.get(place, membership.role), membership.role, key=rank)
    stores = (
        Store.objects.filter(is_active=True, merchant_id__in=merchant_roles)
        | Store.objects.filter(is_active=True, pk__in=roles)
    ).select_related("merchant")
    return [
        {
            "id": store.pk,
            "name": store.name,
            "code": store.code,
            "merchantId": store.merchant_id,
            "merchantName": store.merchant.name,
            "currency": store.merchant.currency,
            "timezone": store.timezone or store.merchant.timezone,
            "role": max(filter(None, (roles.get(store.pk), merchant_roles.get(store.merchant_id))), key=rank),
        }
        for store in stores.order_by("merchant__name", "name")[:STORES_LISTED_MAX]
    ]


def open_merchant(
    *,
    name: str,
    slug: str,
    store_name: str,
    owner: User,
    timezone: str = "UTC",
    currency: str = "USD",
    country: str = "US",
) -> Store:
    """A merchant with its first store and its owner; returns the store. Raises ValidationError."""
    with transaction.atomic():
        merchant = Merchant(name=name, slug=slug, timezone=timezone, currency=currency, country=country)
        merchant.full_clean()
        merchant.save(force_insert=True)
        store = Store(merchant=merchant, name=store_name, code="1")
        store.full_clean()
        store.save(force_insert=True)
        Membership.objects.create(merchant=merchant, user=owner, role=Role.OWNER)
    return store
