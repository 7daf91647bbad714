"""Receipts of programs where points make tiers are what the document says, too."""

from decimal import Decimal

import jsonschema
import pytest
from django.test import Client

from customers.models import Customer
from loyalty.rules import TierRule
from loyalty.services import create_program
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("rate", "missing"), [(Decimal(1), "90.00"), (Decimal(0), None)])
def test_a_receipt(shop: Shop, alice: Customer, rate: Decimal, missing: str | None) -> None:
    tiers = [TierRule("gold", "Gold", 100_00, Decimal(2))]
    create_program(merchant_id=shop.merchant.pk, tiers=tiers, points_per_unit=rate, tier_metric="points")
    response = shop.cashier.post(
        "/purchases", {"customerId": str(alice.pk), "transactionId": "T-1", "amount": "10.00"}
    )
    receipt = response.json()["data"]
    assert receipt["nextTier"]["spendToReach"] == missing
    document = Client().get("/api/schema").json()
    described = document["paths"]["/api/v1/purchases"]["post"]["responses"]["201"]
    schema = {**described["content"]["application/json"]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(response.json())
