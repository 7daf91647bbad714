"""Schemathesis: requests made from the OpenAPI document, answers checked against it.

Real ids stand in most paths, so that requests get behind the 404; a fixed seed and few examples per operation keep it short and
the same for everybody (`--hypothesis-seed` and SCHEMA_EXAMPLES look further).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cloudpos.api import docs
from tests.fixtures import Shop
from tests.routes import World
from tests.worlds import make_world

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "12"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def document() -> Any:
    """The document as the service serves it."""
    docs._document.cache_clear()
    yield schemathesis.openapi.from_wsgi(reverse("schema"), get_wsgi_application())
    docs._document.cache_clear()


@contextmanager
def kept_connection() -> Iterator[None]:
    """Requests through WSGI would close the connection in which the test's transaction is open.

    Django's own test client does the same around each of its requests.
    """
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def no_limits(settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**9)


def real_ids(world: World) -> dict[str, str]:
    return {
        "customerId": str(world.customer),
        "addressId": str(world.address),
        "mergeId": str(world.merge),
        "webhookId": str(world.webhook),
        "deliveryId": str(world.delivery),
        "eventTypeId": str(world.event_type),
        "holdId": str(world.hold),
        "rewardId": str(world.reward),
        "redemptionId": str(world.redemption),
        "promotionId": str(world.promotion),
        "segmentId": str(world.segment),
        "transactionId": world.transaction,
    }


def operations(document: Any) -> list[Any]:
    return [found.ok() for found in document.get_all_operations()]


def test_every_operation(document: Any, shop: Shop, no_limits: None, subtests: Any) -> None:
    world = make_world(shop, "Ourscorner")
    token = shop.owner.defaults["HTTP_AUTHORIZATION"]
    headers = {"Authorization": token, "x-store-id": str(shop.store.pk), "Accept-Encoding": "identity"}
    known = real_ids(world)
    looked_at = 0
    for operation in operations(document):
        looked_at += 1
        with subtests.test(operation.label), kept_connection():
            _try(operation, headers=headers, known=known)
    assert looked_at >= 50


def _try(operation: Any, *, headers: dict[str, str], known: dict[str, str]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), is_real=st.integers(0, 3))
    def run(case: Any, is_real: int) -> None:
        if is_real and case.path_parameters:
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
        # No two requests with one key, and no version that nobody has: those have tests of their own.
        case.headers = {
            name: value for name, value in (case.headers or {}).items() if name.lower() != "idempotency-key"
        }
        before = transaction.savepoint()
        try:
            case.call_and_validate(headers=headers, checks=CHECKS)
        finally:
            transaction.savepoint_rollback(before)

    run()
