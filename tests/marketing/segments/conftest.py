"""Segments that are made and kept up as in service."""

import uuid
from typing import Any

import orjson
import pytest

from cloudpos import outbox
from cloudpos.api.encoding import encode
from cloudpos.jobs.running import run_jobs
from customers.models import Customer
from marketing.models import SegmentMember
from marketing.segment_reading import find_segment
from marketing.segment_services import add_members, create_segment
from marketing.serializers_segments import SEGMENT
from tests.fixtures import Shop
from tests.tills import register

ANN = {"field": {"name": "firstName", "op": "starts_with", "value": "ann"}}
BOUGHT_ONCE = {"purchases": {"measure": "count", "op": "gte", "value": 1}}


def made(shop: Shop, rule: Any, name: str = "Segment") -> dict[str, Any]:
    """A rule that was saved and built."""
    segment = create_segment(access=shop.access, name=name, kind="rule", rule=rule)
    run_jobs()
    return read(shop, str(segment.pk))


def a_list(shop: Shop, *customers: Customer, name: str = "List") -> dict[str, Any]:
    segment = create_segment(access=shop.access, name=name, kind="list")
    if customers:
        ids = [customer.pk for customer in customers]
        add_members(access=shop.access, segment_id=segment.pk, customer_ids=ids)
    return read(shop, str(segment.pk))


def read(shop: Shop, segment_id: str) -> dict[str, Any]:
    segment = find_segment(merchant_id=shop.merchant.pk, segment_id=uuid.UUID(segment_id))
    found: dict[str, Any] = orjson.loads(encode(SEGMENT.instance(segment)))
    return found


def members(segment: dict[str, Any]) -> list[str]:
    """First names, in alphabetical order."""
    rows = SegmentMember.objects.filter(segment_id=segment["id"], customer__deleted_at=None)
    return sorted(rows.values_list("customer__first_name", flat=True))


def settle() -> None:
    """Let everything that is pending happen."""
    outbox.sweep()


@pytest.fixture
def people(shop: Shop) -> dict[str, Customer]:
    return {name: register(shop, name) for name in ("Ann", "Annika", "Bob")}
