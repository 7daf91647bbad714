"""The sample API instead of the service's own routes."""

from collections.abc import Iterator

import pytest
from django.test import Client

from cloudpos.api.throttling import limiter


@pytest.fixture(autouse=True)
def _sample_urls(settings) -> None:
    settings.ROOT_URLCONF = "tests.api.sample"


@pytest.fixture(autouse=True)
def _own_limiter() -> Iterator[None]:
    """Each test counts from zero."""
    limiter.cache_clear()
    yield
    limiter.cache_clear()


@pytest.fixture
def anonymous() -> Client:
    """Lets the service answer its own crashes, as a server does."""
    return Client(raise_request_exception=False)
