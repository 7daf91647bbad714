"""What a caller may do at a store: one cached look-up per process, forgotten after seconds."""

import time
import uuid
import zoneinfo
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.db.models import Q

from cloudpos.tenancy.models import Membership, Store
from cloudpos.tenancy.roles import at_least, rank

ACCESS_CACHE_ENTRIES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Access:
    """The tenant context of a request. `timezone` is the store's, else the merchant's."""

    user_id: uuid.UUID
    merchant_id: uuid.UUID
    store_id: uuid.UUID
    role: str
    timezone: str
    currency: str
    country: str
    language: str
    search_key: str

    @property
    def tz(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.timezone)

    def may(self, least: str) -> bool:
        return at_least(self.role, least)


def _seconds() -> float:
    """Never set back, unlike the time of day."""
    return time.monotonic()


def access_for(*, user_id: uuid.UUID, store_id: uuid.UUID) -> Access | None:
    """The caller's access to a store, or None. Cached ACCESS_CACHE_SECONDS at most; refusals are never cached.

    A person's role is the highest of their memberships that cover the store.
    """
    try:
        return _known(user_id.int, store_id.int, _seconds() // settings.ACCESS_CACHE_SECONDS)
    except _NoAccess:
        return None


def forget_access() -> None:
    """Drop this process's cache; other processes follow within ACCESS_CACHE_SECONDS."""
    _known.cache_clear()


class _NoAccess(Exception):
    """A refusal: what is raised is not cached."""


@lru_cache(maxsize=ACCESS_CACHE_ENTRIES_MAX)
def _known(user: int, store: int, period: float) -> Access:
    """`period`: the number of this stretch of ACCESS_CACHE_SECONDS. Raises _NoAccess."""
    access = _load(uuid.UUID(int=user), uuid.UUID(int=store))
    if access is None:
        raise _NoAccess
    return access


def _load(user_id: uuid.UUID, store_id: uuid.UUID) -> Access | None:
    store = (
        Store.objects.filter(pk=store_id, is_active=True, merchant__is_active=True)
        .select_related("merchant")
        .only("id", "timezone", "merchant")
        .first()
    )
    if store is None:
        return None
    merchant = store.merchant
    roles = list(
        Membership.objects.for_merchant(merchant)
        .filter(Q(store_id=store_id) | Q(store_id=None), user_id=user_id, user__is_active=True)
        .values_list("role", flat=True)
    )
    if not roles:
        return None
    return Access(
        user_id=user_id,
        merchant_id=merchant.pk,
        store_id=store.pk,
        role=max(roles, key=rank),
        timezone=store.timezone or merchant.timezone,
        currency=merchant.currency,
        country=merchant.country,
        language=merchant.language,
        search_key=merchant.search_key,
    )
