"""A program and two customers."""

import pytest

from customers.models import Customer
from loyalty.models import Program
from loyalty.services import create_program
from tests.fixtures import Shop
from tests.tills import register


@pytest.fixture
def program(shop: Shop) -> Program:
    """One point per pound; silver from 500 (x1.25), gold from 2,000 (x1.5), platinum from 5,000 (x2)."""
    return create_program(merchant_id=shop.merchant.pk)


@pytest.fixture
def alice(shop: Shop) -> Customer:
    return register(shop, "Alice", email="alice@example.org", phone="+447400123456")


@pytest.fixture
def bob(shop: Shop) -> Customer:
    return register(shop, "Bob", email="bob@example.org")
