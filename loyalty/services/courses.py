"""What an account's purchases count for towards tiers, read where the account's own columns do not say enough."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from customers import purchases
from loyalty.ledger import Account
from loyalty.models import TierOverride as OverrideRow
from loyalty.rules import TierOverride, replay
from loyalty.services.awarding import awarded_points
from loyalty.services.postings import as_sale, as_take_back


def load_courses(account: Account) -> None:
    """Fold the customer's purchases on record: two statements, none where the net spend says it all."""
    if account.tiers.courses is not None:
        return
    if account.book.is_lifetime:
        account.tiers.begin(account.spend_cents)
        return
    sales, returns = purchases.history(
        merchant_id=account.merchant_id,
        customer_id=account.customer_id,
        with_items=account.book.needs_lines,
    )
    awarded = awarded_points(account, [sale.id for sale in sales])
    outcome = replay(
        [as_sale(sale, awarded=awarded.get(sale.id, 0)) for sale in sales],
        [as_take_back(back) for back in returns],
        account.book,
        overrides=account.tiers.overrides,
    )
    account.tiers.courses = outcome.courses


def bring_up(account: Account) -> None:
    """The tier holds from its instant, reviewed or not: whoever opens an account has that of this moment."""
    if account.tiers.is_overdue(account.at):
        load_courses(account)
        account.tiers.advance(account.at)


def read_overrides(
    *, merchant_id: uuid.UUID, program_id: uuid.UUID, customer_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[TierOverride]]:
    """Every tier that was given to these customers by hand, in the order of recording, also those that are over."""
    found: dict[uuid.UUID, list[TierOverride]] = {}
    rows = (
        OverrideRow.objects.for_merchant(merchant_id)
        .filter(program_id=program_id, customer_id__in=customer_ids)
        .order_by("recorded_at", "pk")
        .values_list("customer_id", "tier", "mode", "begins_at", "until", "ended_at")
    )
    for customer_id, tier, mode, begins_at, until, ended_at in rows:
        given = found.setdefault(customer_id, [])
        given.append(TierOverride(tier, mode, begins_at, until, ended_at, order=len(given)))
    return found
