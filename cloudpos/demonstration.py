"""The demonstration merchant: three shops with two years of real purchases by people who do not exist.

Everybody knows its passwords, so it is never made in production.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from analytics.recalculations import start_recalculation
from cloudpos.checkout.bulk import load_history, tell_planner
from cloudpos.demonstration_program import open_program, spend_some
from cloudpos.jobs.running import run_here
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User
from customers.services.bulk import load_customers
from demo import reader
from loyalty.services.programs import active_program

MERCHANT_SLUG = reader.manifest()["merchant"]["slug"]
OWNER_EMAIL = "owner@demo.example"
MANAGER_EMAIL = "manager@demo.example"
CASHIER_EMAIL = "cashier@demo.example"
TILL_EMAIL = "till@demo.example"
PASSWORD = "cloudpos-demo"  # noqa: S105  # printed by `manage.py welcome`
CONSENT_KEYS = ("channel", "purpose", "state", "source")

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """How much there is now; `loaded_before` when an earlier run did it."""

    customers: int
    purchases: int
    returns: int
    loaded_before: bool = False


def attribution() -> str:
    """What the licence of the purchases asks to be shown with them."""
    return str(reader.manifest()["attribution"]["text"])


def is_loaded() -> bool:
    return Merchant.objects.filter(slug=MERCHANT_SLUG, is_active=True).exists()


def load(*, at: datetime, progress: Progress) -> Loaded:
    """Make the merchant with everything that happened until the day before `at`.

    Killed at any moment, the next run goes on where it ended: customers have fixed ids, sales their transaction
    ids, and the merchant opens its doors (is_active) last. `progress` is called with what was loaded, and how many.
    """
    counts = reader.manifest()["counts"]
    loaded = Loaded(counts["customers"], counts["purchases"], counts["returns"])
    if is_loaded():
        return Loaded(loaded.customers, loaded.purchases, loaded.returns, loaded_before=True)
    until = reader.last_day(at)
    access = _open(slug=MERCHANT_SLUG, emails=_DEMO_PEOPLE, is_active=False, until=until)
    stores = _stores(access)
    load_customers(
        access=access,
        rows=_customer_rows(access, stores, until),
        progress=lambda n: progress("customers", n),
    )
    load_history(
        access=access,
        sales=_sale_rows(access, stores, until),
        progress=lambda n: progress("sales", n),
    )
    tell_planner()
    spend_some(access=access)
    # A bulk load is history and wakes nobody: without this everybody would be new until the day's pass.
    run_here(start_recalculation(merchant_id=access.merchant_id).pk)
    Merchant.objects.filter(pk=access.merchant_id).update(is_active=True)
    return loaded


def owner_email(slug: str) -> str:
    """Who owns a merchant that `open_without_sales` opened."""
    return f"owner@{slug}.example"


def open_without_sales(*, slug: str, at: datetime) -> Access:
    """Another merchant with the same shops and customers, but nothing sold yet: to replay the sales into.

    Its people are `owner_email(slug)`, who logs in with PASSWORD, and a till.
    """
    people = {owner_email(slug): ("Owner", Role.OWNER), f"till@{slug}.example": ("Till", Role.SERVICE)}
    until = reader.last_day(at)
    access = _open(slug=slug, emails=people, is_active=True, until=until)
    load_customers(access=access, rows=_customer_rows(access, _stores(access), until))
    tell_planner()
    return access


_DEMO_PEOPLE = {
    OWNER_EMAIL: ("Owner", Role.OWNER),
    MANAGER_EMAIL: ("Manager", Role.MANAGER),
    CASHIER_EMAIL: ("Cashier", Role.CASHIER),
    TILL_EMAIL: ("Till", Role.SERVICE),
}


def _open(*, slug: str, emails: dict[str, tuple[str, Role]], is_active: bool, until: date) -> Access:
    if settings.PRODUCTION:
        raise ImproperlyConfigured("The demonstration merchant has public passwords: never in production")
    with transaction.atomic():
        access = _make_merchant(slug=slug, emails=emails, is_active=is_active)
    if active_program(access.merchant_id) is None:
        open_program(access=access, until=until)
    return access


def _make_merchant(*, slug: str, emails: dict[str, tuple[str, Role]], is_active: bool) -> Access:
    about = reader.manifest()["merchant"]
    merchant, is_new = Merchant.objects.get_or_create(
        slug=slug,
        defaults={
            **{key: about[key] for key in ("currency", "country", "timezone", "language")},
            "name": about["name"] if slug == MERCHANT_SLUG else slug.replace("-", " ").title(),
            "is_active": is_active,
        },
    )
    if is_new:
        for store in reader.manifest()["stores"]:
            Store.objects.create(
                merchant=merchant,
                code=store["code"],
                name=store["name"],
                city=store["city"],
                country=about["country"],
                latitude=Decimal(str(store["latitude"])),
                longitude=Decimal(str(store["longitude"])),
            )
    for email, (name, role) in emails.items():
        user = User.objects.filter(email=email).first() or User.objects.create_user(
            email, PASSWORD, name=f"{merchant.name} {name}", is_staff=role in (Role.OWNER, Role.MANAGER)
        )
        Membership.objects.get_or_create(merchant=merchant, user=user, store=None, defaults={"role": role})
    store = Store.objects.for_merchant(merchant).order_by("code").first()
    assert store is not None
    return Access(
        user_id=user.pk,
        merchant_id=merchant.pk,
        store_id=store.pk,
        role=Role.OWNER,
        timezone=merchant.timezone,
        currency=merchant.currency,
        country=merchant.country,
        language=merchant.language,
        search_key=merchant.search_key,
    )


def _stores(access: Access) -> dict[str, uuid.UUID]:
    return {store.code: store.pk for store in Store.objects.for_merchant(access.merchant_id)}


def _customer_id(merchant_id: uuid.UUID, key: int) -> uuid.UUID:
    """The same at every run, so that a load that was killed can be run again."""
    return uuid.uuid5(merchant_id, f"demo customer {key}")


def _customer_rows(access: Access, stores: dict[str, uuid.UUID], until: date) -> Iterator[dict[str, Any]]:
    for row in reader.customers(until):
        yield {
            "id": _customer_id(access.merchant_id, row["key"]),
            "type": row["type"],
            "first_name": row["firstName"],
            "last_name": row["lastName"],
            "company_name": row["companyName"],
            "email": row["email"],
            "phone": row["phone"],
            "date_of_birth": date.fromisoformat(row["dateOfBirth"]) if row["dateOfBirth"] else None,
            "gender": row["gender"],
            "language": row["language"],
            "notes": row["notes"],
            "tags": row["tags"],
            "home_store_id": stores[row["homeStore"]],
            "created_at": row["at"],
            "addresses": [
                {
                    "label": address["label"],
                    "type": address["type"],
                    "street1": address["street1"],
                    "city": address["city"],
                    "postal_code": address["postalCode"],
                    "country": address["country"],
                    "latitude": address["latitude"],
                    "longitude": address["longitude"],
                    "is_default": address["isDefault"],
                    "instructions": address["instructions"],
                }
                for address in row["addresses"]
            ],
            "consents": [
                {
                    **{key: consent[key] for key in CONSENT_KEYS},
                    "wording_version": consent["wordingVersion"],
                    "occurred_at": consent["at"],
                }
                for consent in row["consents"]
            ],
        }


def _sale_rows(access: Access, stores: dict[str, uuid.UUID], until: date) -> Iterator[dict[str, Any]]:
    """Purchases with their returns, as `load_history` takes them: customer by customer."""
    returns: dict[str, list[dict[str, Any]]] = {}
    for row in reader.returns(until):
        returns.setdefault(row["purchase"], []).append(
            {
                "store_id": stores[row["store"]],
                "transaction_id": row["transactionId"],
                "amount": row["amount"],
                "occurred_at": row["occurredAt"],
                "items": [
                    {"line": item["line"], "quantity": Decimal(item["quantity"])} for item in row["items"]
                ],
            }
        )
    for row in sorted(reader.purchases(until), key=lambda row: row["customer"]):
        yield {
            "customer_id": _customer_id(access.merchant_id, row["customer"]),
            "store_id": stores[row["store"]],
            "transaction_id": row["transactionId"],
            "amount": Decimal(row["amount"]),
            "payment_method": row["paymentMethod"],
            "channel": row["channel"],
            "occurred_at": row["occurredAt"],
            "items": [
                {
                    "sku": item["sku"],
                    "name": item["name"],
                    "category": item["category"],
                    "quantity": Decimal(item["quantity"]),
                    "unit_price": Decimal(item["unitPrice"]),
                }
                for item in row["items"]
            ],
            "returns": returns.get(row["transactionId"], ()),
        }
