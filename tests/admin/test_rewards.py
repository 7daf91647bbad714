"""The catalogue of rewards in the admin: managers shape it, with the service's own checks."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from loyalty.models import Redemption, Reward
from tests.admin.conftest import Regulars
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

FORM = {
    "name": "Free coffee",
    "description": "",
    "kind": "free_item",
    "value": "",
    "sku": "COFFEE",
    "points": "50",
    "limit_per_member": "",
    "stock": "3",
    "valid_from_0": "",
    "valid_from_1": "",
    "valid_until_0": "",
    "valid_until_1": "",
    "is_active": "on",
}


def text(response: Any) -> str:
    return str(response.content.decode())


def test_a_manager_adds_changes_and_archives_a_reward(
    manager: Client, shop: Shop, regulars: Regulars
) -> None:
    added = manager.post(reverse("admin:loyalty_reward_add"), {**FORM, "tiers": ["bronze", "gold"]})
    assert added.status_code == 302, text(added)
    reward = Reward.objects.get(name="Free coffee")
    assert (reward.merchant_id, reward.points, reward.stock) == (shop.merchant.pk, 50, 3)
    assert reward.tiers == ["bronze", "gold"]
    page = reverse("admin:loyalty_reward_change", args=[reward.pk])
    assert manager.post(page, {**FORM, "points": "60"}).status_code == 302
    reward.refresh_from_db()
    assert (reward.points, reward.tiers) == (60, [])
    gone = manager.post(reverse("admin:loyalty_reward_delete", args=[reward.pk]), {"post": "yes"})
    assert gone.status_code == 302
    reward.refresh_from_db()
    assert reward.archived_at is not None
    # The first look shows the messages, which name it.
    listed = reverse("admin:loyalty_reward_changelist")
    manager.get(listed)
    assert "Free coffee" not in text(manager.get(listed))
    assert manager.get(page).status_code == 302


def test_what_cannot_be_comes_back_with_the_reason(manager: Client, regulars: Regulars) -> None:
    answer = manager.post(reverse("admin:loyalty_reward_add"), {**FORM, "kind": "fixed"})
    assert answer.status_code == 200
    assert "Say how much comes off" in text(answer)
    assert not Reward.objects.filter(name="Free coffee").exists()


def test_the_list_counts_redemptions(manager: Client, shop: Shop, regulars: Regulars) -> None:
    page = text(manager.get(reverse("admin:loyalty_reward_changelist")))
    assert f"gift of {shop.merchant.slug}" in page
    assert '<span class="cp-number">1</span>' in page


def test_holds_and_redemptions_are_read_only(manager: Client, regulars: Regulars) -> None:
    made = Redemption.objects.get()
    for name, row in (("hold", None), ("redemption", made)):
        assert manager.get(reverse(f"admin:loyalty_{name}_changelist")).status_code == 200
        assert manager.get(reverse(f"admin:loyalty_{name}_add")).status_code == 403
        if row is not None:
            page = reverse(f"admin:loyalty_{name}_change", args=[row.pk])
            assert "Brown" in text(manager.get(page))
            assert manager.post(page, {"points": "1"}).status_code == 403
