"""Named people and stores, made the way users make them."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from django.db import connections
from django.test import Client

from cloudpos.tenancy.access import Access, access_for, forget_access
from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User
from cloudpos.tenancy.tokens import mint_access_token

T = TypeVar("T")


class ApiClient(Client):
    """A client at one store with one token. Paths are given below /api/v1."""

    def __init__(self, *, user_id: uuid.UUID, store_id: uuid.UUID) -> None:
        super().__init__(
            headers={
                "authorization": f"Bearer {mint_access_token(user_id=user_id)}",
                "x-store-id": str(store_id),
            }
        )
        self.user_id = user_id
        self.store_id = store_id

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        if path.startswith("/") and not path.startswith(
            ("/api/", "/health", "/metrics", "/admin", "/static")
        ):
            path = f"/api/v1{path}"
        return super().generic(method, path, *args, **kwargs)

    def post(self, path: str, data: Any = None, content_type: str = "application/json", **kwargs: Any) -> Any:
        return super().post(path, {} if data is None else data, content_type, **kwargs)

    def put(self, path: str, data: Any = None, content_type: str = "application/json", **kwargs: Any) -> Any:
        return super().put(path, {} if data is None else data, content_type, **kwargs)

    def patch(
        self, path: str, data: Any = None, content_type: str = "application/json", **kwargs: Any
    ) -> Any:
        return super().patch(path, {} if data is None else data, content_type, **kwargs)

    @property
    def access(self) -> Access:
        found = access_for(user_id=self.user_id, store_id=self.store_id)
        assert found is not None
        return found


@dataclass(frozen=True)
class Shop:
    """A merchant with one store and a client for each role."""

    merchant: Merchant
    store: Store
    cashier: ApiClient
    manager: ApiClient
    owner: ApiClient
    service: ApiClient

    @property
    def access(self) -> Access:
        return self.manager.access


def make_shop(
    name: str, *, timezone: str = "Europe/London", currency: str = "GBP", country: str = "GB"
) -> Shop:
    slug = name.lower().replace(" ", "-")
    merchant = Merchant.objects.create(
        name=name, slug=slug, timezone=timezone, currency=currency, country=country
    )
    store = Store.objects.create(merchant=merchant, name=f"{name} High Street", code="HIGH")
    people = [User(email=f"{role}@{slug}.example", name=f"{role} of {name}") for role in Role]
    for user in people:
        user.set_unusable_password()
    User.objects.bulk_create(people)
    Membership.objects.bulk_create(
        Membership(merchant=merchant, user=user, role=role) for user, role in zip(people, Role, strict=True)
    )
    clients = {
        role.value: ApiClient(user_id=user.pk, store_id=store.pk)
        for user, role in zip(people, Role, strict=True)
    }
    return Shop(merchant=merchant, store=store, **clients)


def meanwhile(call: Callable[[], T]) -> T:
    """Somebody else's `call`, on a connection of their own and committed when this returns."""

    def run() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(20)


def make_foreign_shop() -> Shop:
    """Another merchant, whose bytes must never appear."""
    return make_shop("Far Away Traders", timezone="America/New_York", currency="USD", country="US")


@pytest.fixture(autouse=True)
def _fresh_access_cache() -> None:
    forget_access()


@pytest.fixture
def shop(db: None) -> Shop:
    """The merchant under test."""
    return make_shop("Corner Shop")


@pytest.fixture
def foreign_shop(db: None) -> Shop:
    return make_foreign_shop()
