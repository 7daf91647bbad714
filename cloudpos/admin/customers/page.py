"""What the customer page shows: one bounded query per section, whatever the customer's history."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from cloudpos.admin.customers.telling import Line, tell
from cloudpos.admin.customers.tiers import lasts_until, override_of
from cloudpos.lifecycle.timeline import read_timeline
from cloudpos.tenancy.models import Merchant, Store, User
from customers.models import (
    Address,
    Channel,
    Consent,
    Customer,
    Erasure,
    Merge,
    Preferences,
    Purchase,
    PurchaseReturn,
    Purpose,
)
from customers.services.consents import DEFAULTS
from loyalty.models import Enrollment, LedgerEntry, Lot, Tier
from marketing.models import ConsentRequest

ROWS_SHOWN = 15
TIMELINE_SHOWN = 25
LOTS_SHOWN = 10
REQUESTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where the customer stands between two tiers; `percent` of the way to the next."""

    current: Tier | None
    following: Tier | None
    missing: Decimal | None
    percent: int


def customer_page(customer: Customer, merchant: Merchant) -> dict[str, Any]:
    """The template's context, besides the form."""
    purchases = _purchases(customer)
    account = _account(customer)
    entries = _entries(account)
    consents = _consents(customer)
    people = _people([consent.actor_id for consent in consents] + [entry.actor_id for entry in entries])
    for row in [*consents, *entries]:
        row.actor_name = people.get(row.actor_id, "")
    return {
        "customer": customer,
        "currency": merchant.currency,
        # An imported history may be older than the record.
        "since": min(filter(None, [customer.first_visit_at, customer.created_at])),
        "purchases": purchases,
        "rows_shown": ROWS_SHOWN,
        "account": account,
        "entries": entries,
        "lots": _lots(account),
        "ladder": _ladder(customer, account),
        "override": override_of(customer) if account is not None else None,
        "tier_lasts_until": lasts_until(account),
        "consents": consents,
        "permissions": _permissions(customer),
        "consent_requests": _consent_requests(customer),
        "channels": Channel.labels,
        "default_address": Address.objects.for_merchant(merchant)
        .filter(customer_id=customer.pk, is_default=True)
        .first(),
        "timeline": timeline(customer, merchant) if customer.deleted_at is None else [],
        "merged_from": _merged_from(customer),
        "erasure": _erasure(customer) if customer.erased_at else None,
    }


def _purchases(customer: Customer) -> list[Any]:
    rows = (
        Purchase.objects.for_merchant(customer.merchant_id)
        .filter(customer_id=customer.pk)
        .select_related("store")
        .defer("receipt", "content_hash")
        .order_by("-occurred_at", "-pk")[: ROWS_SHOWN + 1]
    )
    found: list[Any] = list(rows)
    ids = [purchase.pk for purchase in found]
    returned = dict(
        PurchaseReturn.objects.for_merchant(customer.merchant_id)
        .filter(purchase__in=ids)
        .values_list("purchase")
        .annotate(Sum("amount"))
    )
    points = dict(
        LedgerEntry.objects.for_merchant(customer.merchant_id)
        .filter(purchase__in=ids)
        .values_list("purchase")
        .annotate(Sum("points"))
    )
    for purchase in found:
        purchase.returned = returned.get(purchase.pk)
        purchase.earned = points.get(purchase.pk)
    return found


def _account(customer: Customer) -> Enrollment | None:
    found: Enrollment | None = (
        Enrollment.objects.for_merchant(customer.merchant_id)
        .filter(customer_id=customer.pk, program__is_active=True)
        .select_related("program")
        .first()
    )
    return found


def _entries(account: Enrollment | None) -> list[Any]:
    if account is None:
        return []
    return list(
        LedgerEntry.objects.for_merchant(account.merchant_id)
        .filter(enrollment_id=account.pk)
        .select_related("purchase")
        .defer("purchase__receipt", "purchase__content_hash", "content_hash")
        .order_by("-version")[: ROWS_SHOWN + 1]
    )


def _lots(account: Enrollment | None) -> list[Any]:
    """Open lots, in the order in which they will be spent, with when they end and from when on they can be spent."""
    if account is None:
        return []
    found: list[Any] = list(
        Lot.objects.for_merchant(account.merchant_id)
        .filter(enrollment_id=account.pk, remaining__gt=0)
        .order_by("expires_at", "earned_at", "pk")[: LOTS_SHOWN + 1]
    )
    at = timezone.now()
    for lot in found:
        lot.ends_at = account.inactive_at if lot.while_active else lot.expires_at
        lot.waits_until = lot.available_at if lot.available_at is not None and lot.available_at > at else None
    return found


def _ladder(customer: Customer, account: Enrollment | None) -> Ladder | None:
    if account is None:
        return None
    tiers = list(
        Tier.objects.for_merchant(customer.merchant_id)
        .filter(program_id=account.program_id)
        .order_by("threshold")
    )
    counts = account.net_spend if account.tier_at is None else account.qualifying_amount
    current = next((tier for tier in tiers if tier.code == account.tier), None)
    above = tiers[tiers.index(current) + 1 :] if current else tiers
    following = next((tier for tier in above if tier.threshold > counts), None)
    if following is None:
        return Ladder(current, None, None, 100)
    start = current.threshold if current else Decimal(0)
    step = following.threshold - start
    done = max(counts - start, Decimal(0))
    percent = int(done * 100 / step) if step > 0 else 0
    return Ladder(current, following, following.threshold - counts, min(percent, 100))


def _consents(customer: Customer) -> list[Any]:
    return list(
        Consent.objects.for_merchant(customer.merchant_id)
        .filter(customer_id=customer.pk)
        .order_by("-occurred_at", "-pk")[: ROWS_SHOWN + 1]
    )


def _consent_requests(customer: Customer) -> list[Any]:
    return list(
        ConsentRequest.objects.for_merchant(customer.merchant_id)
        .filter(customer_id=customer.pk)
        .order_by("-created_at")[:REQUESTS_SHOWN]
    )


def _permissions(customer: Customer) -> list[dict[str, Any]]:
    """Per purpose: may we, on each channel, and did the customer say so or is it the default."""
    row = Preferences.objects.for_merchant(customer.merchant_id).filter(customer_id=customer.pk).first()
    said = row.consents if row else {}
    return [
        {
            "purpose": purpose.label,
            "cells": [
                {
                    "channel": channel.value,
                    "channel_label": channel.label,
                    "purpose": purpose.value,
                    "allowed": said.get(channel.value, {}).get(purpose.value, DEFAULTS[purpose.value]),
                    "said": purpose.value in said.get(channel.value, {}),
                }
                for channel in Channel
            ],
        }
        for purpose in Purpose
    ]


def _merged_from(customer: Customer) -> list[Merge]:
    return list(
        Merge.objects.for_merchant(customer.merchant_id)
        .filter(target_id=customer.pk, undone_at=None)
        .select_related("source")
        .order_by("-merged_at")[:ROWS_SHOWN]
    )


def _erasure(customer: Customer) -> Erasure | None:
    found: Erasure | None = (
        Erasure.objects.for_merchant(customer.merchant_id)
        .filter(customer_id=customer.pk)
        .order_by("-erased_at")
        .first()
    )
    return found


def _people(ids: Iterable[Any]) -> dict[Any, str]:
    """Names of the colleagues who did something, in one query."""
    wanted = {person for person in ids if person}
    if not wanted:
        return {}
    return {user.pk: str(user) for user in User.objects.filter(pk__in=wanted).only("name", "email")}


def timeline(customer: Customer, merchant: Merchant) -> list[Line]:
    """The latest of everything, newest first, in words."""
    # Points that a purchase earned are told in the purchase's own line, so more is read than shown.
    moments, _ = read_timeline(merchant_id=merchant.pk, customer_id=customer.pk, limit=2 * TIMELINE_SHOWN)
    stores = dict(Store.objects.for_merchant(merchant).values_list("pk", "name"))
    return tell(moments, currency=merchant.currency, stores=stores)[:TIMELINE_SHOWN]
