"""Customers that the tests know by name."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer
from customers.services import create_customer
from tests.fixtures import Shop

Make = Callable[..., Customer]

ABSENT = uuid.UUID("018f0000-0000-7000-8000-000000000000")

NO_CONSENT = {"marketing": False, "transactional": True, "analytics": False}
DEFAULT_PREFERENCES = {
    **dict.fromkeys(("email", "sms", "push", "phone", "mail"), NO_CONSENT),
    "language": None,
    "quietHours": None,
    "maxMessagesPerWeek": None,
}

HOME: dict[str, Any] = {
    "street1": "1 High Street",
    "city": "London",
    "postal_code": "N1 9GU",
    "country": "GB",
}


@contextmanager
def statements(exactly: int) -> Iterator[None]:
    """The block runs so many SQL statements; savepoints, which stand for BEGIN and COMMIT here, are not counted."""
    with CaptureQueriesContext(connection) as captured:
        yield
    ran = [query["sql"] for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(ran) == exactly, "\n".join(ran)


@pytest.fixture
def make(shop: Shop) -> Make:
    """make("Alice", email=...): a customer of the shop, by Python names."""

    def made(first_name: str = "Alice", **data: Any) -> Customer:
        return create_customer(access=shop.access, data={"first_name": first_name, **data})

    return made


@pytest.fixture
def alice(make: Make) -> Customer:
    return make(
        "Alice", last_name="Archer", email="alice@example.com", phone="+442071838750", addresses=[HOME]
    )


@pytest.fixture
def bob(make: Make) -> Customer:
    return make("Bob", last_name="Baker", email="bob@example.com")


@pytest.fixture
def mallory(foreign_shop: Shop) -> Customer:
    """A customer of another merchant."""
    return create_customer(
        access=foreign_shop.access,
        data={
            "first_name": "Mallory",
            "email": "mallory@example.com",
            "phone": "+12125550100",
            "addresses": [HOME],
        },
    )
