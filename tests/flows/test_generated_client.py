"""A client generated from /api/schema by openapi-python-client: what the schema promises is what the service answers."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from cloudpos.tenancy.models import Membership, Role, User
from loyalty.services import create_program
from tests.fixtures import make_shop

PACKAGE = "generated_till_client"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the importable, freshly generated package."""
    folder = tmp_path_factory.mktemp("generated")
    schema = folder / "schema.json"
    schema.write_bytes(Client().get("/api/schema").content)
    settings = folder / "settings.yml"
    settings.write_text("post_hooks: []\n")
    command = [str(Path(sys.executable).parent / "openapi-python-client"), "generate", "--meta", "none"]
    command += ["--path", str(schema), "--config", str(settings), "--output-path", str(folder / PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # The generator leaves out what it does not understand, and says so.
    assert "WARNING" not in done.stdout.upper() + done.stderr.upper(), done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield PACKAGE
    sys.path.remove(str(folder))


@pytest.mark.django_db(transaction=True)
def test_a_generated_client_logs_in_makes_a_customer_sells_and_reads_the_receipt(
    generated: str, live_server: Any
) -> None:
    shop = make_shop("Corner Shop")
    create_program(merchant_id=shop.merchant.pk)
    alice = User.objects.create_user("alice@corner.example", PASSWORD, name="Alice Archer")
    Membership.objects.create(merchant=shop.merchant, user=alice, role=Role.CASHIER)

    def module(name: str) -> Any:
        return importlib.import_module(f"{generated}.{name}")

    client_module, models = module("client"), module("models")
    anonymous = client_module.Client(base_url=live_server.url)
    login = module("api.auth.auth_token_create").sync(
        client=anonymous, body=models.LoginInputRequest(email="alice@corner.example", password=PASSWORD)
    )
    assert login.data.user.name == "Alice Archer"
    store = login.data.stores[0]
    assert store.name == "Corner Shop High Street"

    till = client_module.AuthenticatedClient(
        base_url=live_server.url, token=login.data.access, headers={"x-store-id": str(store.id)}
    )
    made = module("api.customers.customers_create").sync(
        client=till,
        body=models.CustomerInputRequest(first_name="Bob", last_name="Baker", email="bob@example.com"),
    )
    assert made.success is True
    assert (made.data.first_name, made.data.email, made.data.points) == ("Bob", "bob@example.com", 0)

    sale = models.PurchaseInputRequest(
        transaction_id="T-1",
        amount="20.00",
        email="bob@example.com",
        items=[models.ItemInputRequest(quantity="2", unit_price="10.00", sku="MUG", name="Mug")],
    )
    receipt = module("api.purchases.purchases_create").sync(client=till, body=sale)
    assert receipt.success is True
    assert (receipt.data.points_earned, receipt.data.balance, receipt.data.tier) == (20, 20, "bronze")
    assert receipt.data.purchase.transaction_id == "T-1"

    again = module("api.purchases.purchases_create").sync_detailed(client=till, body=sale)
    assert (again.status_code, again.parsed.data.points_earned) == (200, 20)

    found = module("api.customers.customers_retrieve").sync(client=till, customer_id=made.data.id)
    assert (found.data.total_spent, found.data.visit_count, found.data.points) == ("20.00", 1, 20)

    refused = module("api.purchases.purchases_create").sync(
        client=till,
        body=models.PurchaseInputRequest(transaction_id="T-2", amount="-1", email="bob@example.com"),
    )
    assert refused.success is False
    assert [(error.field, error.code) for error in refused.errors] == [("amount", "min_value")]
