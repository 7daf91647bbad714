"""Access to a store: the highest role that covers it, cached for seconds, never across people or stores."""

import time

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloudpos.ids import new_id
from cloudpos.tenancy.access import access_for
from cloudpos.tenancy.models import Membership, Role, Store, User
from tests.fixtures import Shop


def test_a_member_of_the_merchant_has_access_to_every_store(shop: Shop) -> None:
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN", timezone="Europe/Paris")
    access = access_for(user_id=shop.cashier.user_id, store_id=second.pk)
    assert access is not None
    assert (access.merchant_id, access.store_id, access.role) == (shop.merchant.pk, second.pk, "cashier")
    assert access.timezone == "Europe/Paris"
    assert shop.cashier.access.timezone == "Europe/London"


def test_a_member_of_one_store_has_no_access_to_the_other(shop: Shop) -> None:
    second = Store.objects.create(merchant=shop.merchant, name="Station", code="STN")
    alice = User.objects.create_user("alice@corner.example")
    Membership.objects.create(merchant=shop.merchant, user=alice, store=second, role=Role.CASHIER)
    assert access_for(user_id=alice.pk, store_id=second.pk) is not None
    assert access_for(user_id=alice.pk, store_id=shop.store.pk) is None


def test_the_highest_covering_role_counts(shop: Shop) -> None:
    alice = User.objects.create_user("alice@corner.example")
    Membership.objects.create(merchant=shop.merchant, user=alice, role=Role.CASHIER)
    Membership.objects.create(merchant=shop.merchant, user=alice, store=shop.store, role=Role.MANAGER)
    access = access_for(user_id=alice.pk, store_id=shop.store.pk)
    assert access is not None and access.role == "manager"


def test_strangers_and_closed_doors(shop: Shop, foreign_shop: Shop) -> None:
    assert access_for(user_id=shop.owner.user_id, store_id=foreign_shop.store.pk) is None
    assert access_for(user_id=shop.owner.user_id, store_id=new_id()) is None
    User.objects.filter(pk=shop.owner.user_id).update(is_active=False)
    assert access_for(user_id=shop.owner.user_id, store_id=shop.store.pk) is None
    Store.objects.filter(pk=shop.store.pk).update(is_active=False)
    assert access_for(user_id=shop.cashier.user_id, store_id=shop.store.pk) is None


def test_a_warm_look_up_asks_the_database_nothing(shop: Shop) -> None:
    _ = shop.cashier.access
    with CaptureQueriesContext(connection) as queries:
        _ = shop.cashier.access
    assert len(queries) == 0


def test_a_revoked_membership_is_honoured_for_30_seconds_at_most(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.ACCESS_CACHE_SECONDS <= 30
    started = time.monotonic()
    assert shop.cashier.access.role == "cashier"
    Membership.objects.filter(user_id=shop.cashier.user_id).delete()
    monkeypatch.setattr("cloudpos.tenancy.access._seconds", lambda: started + 31)
    assert access_for(user_id=shop.cashier.user_id, store_id=shop.store.pk) is None
