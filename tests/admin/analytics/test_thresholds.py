"""The rules of the segments: what a change would do, and changing them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from analytics.models import AnalyticsSettings
from analytics.thresholds import rules_of
from cloudpos.jobs.models import Job
from customers.models import Customer
from tests.admin.conftest import person, sell, staff_client
from tests.analytics.conftest import new_customer, recalculate
from tests.fixtures import Shop

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
TYPED = {
    "new_days": "30",
    "vip_share": "10",
    "active_days": "180",
    "churned_probability": "90",
    "churned_gaps": "4",
    "churned_days": "180",
    "at_risk_probability": "60",
    "at_risk_purchase_days": "2",
    "horizon_days": "90",
}


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def client(shop: Shop) -> Client:
    return staff_client(person(shop, "owner"))


@pytest.fixture
def alice(shop: Shop) -> Customer:
    """She came every ten days until she stopped three months ago."""
    customer = new_customer(shop, "Alice")
    for number in range(9):
        sell(shop, customer, "10.00", id=f"a-{number}", at=NOW - timedelta(days=85 + 10 * number))
    recalculate(shop)
    return customer


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


def preview(client: Client, **typed: str) -> str:
    answer = client.post(reverse("thresholds_page") + "?part=1", {**TYPED, **typed})
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    return plain(answer.content.decode())


def save(client: Client, **typed: str) -> str:
    answer = client.post(reverse("thresholds_page"), {**TYPED, **typed}, follow=True)
    assert answer.status_code == 200
    return plain(answer.content.decode())


def test_the_rules_that_hold_are_in_the_form(client: Client, shop: Shop) -> None:
    page = client.get(reverse("thresholds_page")).content.decode()
    for name, value in TYPED.items():
        field = re.search(rf'<input[^>]*name="{name}"[^>]*>', page)
        assert field is not None and f'value="{value}"' in field[0], name


def test_the_form_itself_changes_nothing(client: Client, shop: Shop, alice: Customer) -> None:
    assert "Nobody would move" in preview(client)
    assert "These are the rules that hold already" in save(client)
    assert not AnalyticsSettings.objects.exists()


def test_a_preview_says_who_would_move_and_saves_nothing(client: Client, alice: Customer) -> None:
    shown = preview(client, at_risk_probability="80")
    assert "At risk 1 0 -1" in shown and "Regular 0 1 +1" in shown
    assert re.search(r"At risk → Regular 1", shown)
    assert not AnalyticsSettings.objects.exists()


def test_saving(client: Client, shop: Shop, alice: Customer) -> None:
    assert "Saved." in save(client, at_risk_probability="80", churned_gaps="4.5", vip_share="12.5")
    rules = rules_of(shop.merchant.pk)
    assert (rules.at_risk_probability, rules.churned_gaps) == (0.8, 4.5)
    assert str(rules.vip_share) == "0.125"
    assert AnalyticsSettings.objects.get().actor_id == shop.owner.user_id
    assert Job.objects.filter(kind="analytics.settle_segments", actor_id=shop.owner.user_id).count() == 1


def test_rules_that_contradict_each_other(client: Client, shop: Shop) -> None:
    for shown in (preview(client, at_risk_probability="95"), save(client, at_risk_probability="95")):
        assert "Nobody could be at risk" in shown
    assert not AnalyticsSettings.objects.exists()


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("new_days", "0"),
        ("new_days", "1.5"),
        ("vip_share", "51"),
        ("vip_share", "NaN"),
        ("churned_probability", "101"),
        ("churned_gaps", "1e400"),
        ("horizon_days", "6"),
        ("active_days", "99999999999999999999"),
        ("at_risk_purchase_days", ""),
    ],
)
def test_numbers_that_are_refused(client: Client, shop: Shop, field: str, typed: str) -> None:
    assert "Nothing is written" not in preview(client, **{field: typed})
    assert "Who is in which segment" in save(client, **{field: typed})
    assert not AnalyticsSettings.objects.exists()


def test_a_manager_looks_and_an_owner_changes(shop: Shop, alice: Customer) -> None:
    manager = staff_client(person(shop, "manager"))
    page = manager.get(reverse("thresholds_page")).content.decode()
    assert ">Save</button>" not in page and "Saving one is for owners" in page
    assert "At risk 1 0 -1" in preview(manager, at_risk_probability="80")
    answer = manager.post(reverse("thresholds_page"), {**TYPED, "at_risk_probability": "80"})
    assert answer.status_code == 403
    assert not AnalyticsSettings.objects.exists()
