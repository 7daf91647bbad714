"""What a caller may do at a store: one cached look-up per process, forgotten after seconds."""

import threading
import time
import uuid
import zoneinfo
from dataclasses import dataclass

from cachetools import TTLCache
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


_cache: TTLCache[tuple[uuid.UUID, uuid.UUID], Access] = TTLCache(
    maxsize=ACCESS_CACHE_ENTRIES_MAX, ttl=settings.ACCESS_CACHE_SECONDS, timer=lambda: _seconds()
)
_lock = threading.Lock()


def access_for(*, user_id: uuid.UUID, store_id: uuid.UUID) -> Access | None:
    """The caller's access to a store, or None. Cached ACCESS_CACHE_SECONDS; refusals are never cached.

    A person's role is the highest of their memberships that cover the store.
    """
    key = (user_id, store_id)
    with _lock:
        access = _cache.get(key)
    if access is None:
        access = _load(user_id, store_id)
        if access is not None:
            with _lock:
                _cache[key] = access
    return access


def forget_access() -> None:
    """Drop this process's cache; other processes follow within ACCESS_CACHE_SECONDS."""
    with _lock:
        _cache.clear()


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
