"""References between tenant-owned rows cannot leave their merchant: in SQL, in the ORM, in the database."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from cloudpos.tenancy.models import Store
from customers.models import Address, Customer
from tests.fixtures import Shop


def make_customer(shop: Shop, name: str) -> Customer:
    return Customer.objects.create(merchant=shop.merchant, customer_number=name[:12], first_name=name)


def test_a_join_also_equates_the_merchant(shop: Shop) -> None:
    sql = str(Address.objects.select_related("customer").query)
    assert '"customer_addresses"."merchant_id" = "customers"."merchant_id"' in sql


def test_a_filter_through_a_reference_equates_the_merchant_backwards_too(shop: Shop) -> None:
    sql = str(Customer.objects.filter(addresses__city="Leeds").query)
    assert '"customers"."merchant_id" = "customer_addresses"."merchant_id"' in sql


def test_the_database_refuses_a_reference_to_another_merchants_row(shop: Shop, foreign_shop: Shop) -> None:
    theirs = make_customer(foreign_shop, "mallory")
    address = Address(
        merchant=shop.merchant, customer_id=theirs.pk, street1="1 High Street", city="Leeds", country="GB"
    )
    with pytest.raises(IntegrityError, match="customer_addresses_customer_tenant_fk"), transaction.atomic():
        address.save(force_insert=True)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_following_a_reference_looks_in_the_own_merchant_only(shop: Shop, foreign_shop: Shop) -> None:
    theirs = make_customer(foreign_shop, "mallory")
    address = Address(merchant=shop.merchant, customer_id=theirs.pk)
    with pytest.raises(Customer.DoesNotExist):
        _ = address.customer


def test_an_update_is_addressed_by_merchant_and_id(shop: Shop, foreign_shop: Shop) -> None:
    theirs = make_customer(foreign_shop, "mallory")
    disguised = Customer.objects.get(pk=theirs.pk)
    disguised.merchant_id = shop.merchant.pk
    disguised.first_name = "changed"
    with pytest.raises(DatabaseError, match="did not affect any rows"), transaction.atomic():
        disguised.save(update_fields=["first_name"], force_update=True)
    theirs.refresh_from_db()
    assert theirs.first_name == "mallory"


def test_for_merchant_takes_a_merchant_or_its_id(shop: Shop, foreign_shop: Shop) -> None:
    assert list(Store.objects.for_merchant(shop.merchant)) == [shop.store]
    assert list(Store.objects.for_merchant(foreign_shop.merchant.pk)) == [foreign_shop.store]
