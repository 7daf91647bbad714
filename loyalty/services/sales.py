"""What purchases and returns do to an account, whenever they arrive.

The rule is `loyalty.rules.replay`: a pure function of the customer's purchases and returns. A purchase that is the latest
of its customer needs only the account's running totals; for anything else the later part of the history is folded again
and every purchase whose points come out different gets a counter-entry. So the state after a history does not depend on
the order in which tills sent it.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from customers import purchases
from customers.events import emit_all
from customers.models import Customer
from customers.services import write_standing
from loyalty.ledger import Account
from loyalty.rules import Sale, SalePoints, TakeBack, gross_of, replay, to_cents
from loyalty.services.accounts import open_account
from loyalty.services.awarding import awarded_points, decide_awards
from loyalty.services.courses import load_courses
from loyalty.services.postings import (
    Posting,
    Story,
    as_sale,
    as_take_back,
    post_sale,
    post_story,
    recorded_points,
    take_for_return,
)


def accrue(
    *,
    account: Account,
    customer: Customer,
    sale: Sale,
    zone: ZoneInfo,
    actor_id: uuid.UUID | None = None,
    latest: bool = False,
) -> Posting:
    """Post the points of a new purchase. Nothing is written before `account.write()`.

    O(1) when it is the customer's latest; otherwise the purchases after it are settled anew. `customer` is as it was
    before the purchase, `zone` the store's; `latest` says that the caller knows it to be their latest. Runs under the
    customer's lock, or for a quote without.
    """
    if latest:
        if account.tiers.is_overdue(sale.at):
            account.tiers.advance(sale.at)
        return _accrue_latest(account, customer, sale, zone, actor_id)
    if customer.visit_count == 0 and not account.tiers.follows_spend and account.tiers.courses is None:
        account.tiers.begin()
    seen_all = in_step(account, customer)
    if not seen_all or (account.last_activity_at is not None and sale.at <= account.last_activity_at):
        since = _since(account, sale.at) if seen_all else None
        return _settle(
            account,
            since=since,
            customer=customer,
            sale=sale,
            zone=zone,
            actor_id=actor_id,
            cause=_late(sale),
        )
    if not account.tiers.suffices(sale.at, account.at):
        load_courses(account)
    posting = _accrue_latest(account, customer, sale, zone, actor_id)
    if account.tiers.is_overdue(account.at):
        # A purchase of long ago: what it reached may be over.
        account.tiers.advance(account.at)
    return posting


def _accrue_latest(
    account: Account, customer: Customer, sale: Sale, zone: ZoneInfo, actor_id: uuid.UUID | None
) -> Posting:
    rules = account.book.at(sale.at)
    tier = None
    if rules is not None:
        tier = account.tiers.before(rules, sale.at, spend_cents=account.spend_cents)
    awards = decide_awards(account, customer, sale, rules=rules, tier=tier, zone=zone)
    if awards:
        sale = replace(sale, awarded=sum(given.points for given in awards))
    earned = SalePoints(sale, gross_of(rules, sale, tier), tier, rules)
    account.be_active()
    post_sale(account, earned, awards, actor_id)
    account.spend_cents += sale.cents
    account.last_activity_at = sale.at
    account.tiers.add(
        sale.id, sale.at, cents=sale.cents, points=earned.gross, spend_cents=account.spend_cents
    )
    return Posting(account, sale=earned, awards=awards)


def take_back(
    *, account: Account, customer: Customer, sale: Sale, back: TakeBack, actor_id: uuid.UUID | None = None
) -> Posting:
    """Post a new return of `sale`, a purchase on record: what it takes back, and what it changes for later purchases.

    `customer` is as it was before the return. Runs under the customer's lock; nothing is written before
    `account.write()`.
    """
    since = _since(account, sale.at) if in_step(account, customer) else None
    cause = f"Return {back.reference[0]} of an earlier purchase"
    return _settle(account, since=since, customer=customer, back=back, actor_id=actor_id, cause=cause)


def take_back_latest(
    *, account: Account, origin: SalePoints, back: TakeBack, actor_id: uuid.UUID | None = None
) -> Posting:
    """`take_back` for a return that is the latest of its customer, when the caller has what the sale earned.

    `origin` counts the returns so far, and then this one.
    """
    posting = Posting(account)
    before = origin.taken_by(origin.returned)
    origin.returned = origin.with_return(origin.returned, back)
    points = origin.taken_by(origin.returned) - before
    take_for_return(posting, origin, back, points, actor_id)
    account.spend_cents -= back.cents
    account.last_activity_at = back.at
    account.tiers.lower(
        origin.sale.id, back.at, cents=back.cents, points=points, spend_cents=account.spend_cents
    )
    return posting


def _since(account: Account, at: datetime) -> datetime | None:
    """From when on a history is folded again: all of it unless what was spent before says enough of it."""
    return at if account.book.is_lifetime else None


def settle(
    *, customer: Customer, cause: str, actor_id: uuid.UUID | None = None, store_id: uuid.UUID | None = None
) -> Posting | None:
    """Bring a locked customer's account in line with their purchases on record, and write it with its standing.

    For when rows have moved (a merge, its undo) or the account is new. Every purchase ends with the points of the
    rules; the tier follows. Runs inside the caller's transaction. None when the merchant has no program.
    """
    account = open_account(customer=customer)
    if account is None:
        return None
    posting = _settle(account, since=None, actor_id=actor_id, cause=cause)
    account.write()
    write_standing(customer, points=account.balance, tier=account.tier)
    emit_all(account.events(store_id=store_id, actor_id=actor_id))
    return posting


def enroll(*, customer: Customer, actor_id: uuid.UUID | None = None) -> Account | None:
    """Give a locked customer an account if they have none; their purchases on record count.

    Runs inside the caller's transaction. None when the merchant has no program.
    """
    account = open_account(customer=customer)
    if account is None or not account.is_new:
        return account
    settle(customer=customer, cause="Enrolled", actor_id=actor_id)
    return open_account(customer=customer)


def open_settled_account(*, customer: Customer, actor_id: uuid.UUID | None = None) -> Account | None:
    """A locked customer's account after all of their purchases on record; it may be new and not yet written."""
    account = open_account(customer=customer)
    if account is None or in_step(account, customer):
        return account
    settle(customer=customer, cause="Purchases while the program did not see them", actor_id=actor_id)
    return open_account(customer=customer)


def in_step(account: Account, customer: Customer) -> bool:
    """Whether the account has seen all of the customer's purchases: not when the program was off, or began later."""
    if account.is_new:
        return customer.visit_count == 0
    return account.spend_cents == to_cents(customer.total_spent)


def _late(sale: Sale) -> str:
    return f"Late purchase {sale.reference[0]} of {sale.at:%Y-%m-%d %H:%M}"


def _settle(
    account: Account,
    *,
    since: datetime | None,
    cause: str,
    customer: Customer | None = None,
    sale: Sale | None = None,
    zone: ZoneInfo | None = None,
    back: TakeBack | None = None,
    actor_id: uuid.UUID | None = None,
) -> Posting:
    """Read the history from `since` on, add what is new, fold it, and post the differences."""
    past_sales, past_returns = purchases.history(
        merchant_id=account.merchant_id,
        customer_id=account.customer_id,
        since=since,
        with_items=account.book.needs_lines,
    )
    ids = [past.id for past in past_sales]
    awarded = awarded_points(account, ids)
    story = Story(
        [as_sale(past, awarded=awarded.get(past.id, 0)) for past in past_sales],
        [as_take_back(past) for past in past_returns],
    )
    if since is not None:
        assert customer is not None
        # All that was spent, less what is about to be folded again.
        story.opening_cents = (
            to_cents(customer.total_spent)
            - sum(past.cents for past in story.sales)
            + sum(past.cents for past in story.returns)
        )
    story.recorded = recorded_points(account, ids)
    if sale is not None:
        assert customer is not None and zone is not None
        sale = _awarded(account, customer, story, sale, zone)
        account.be_active()
        story.sales.append(sale)
        story.new_sales = {sale.id}
    if back is not None:
        story.returns.append(back)
        story.new_returns = {back.id}
    posting, outcome = post_story(account, story, cause=cause, actor_id=actor_id)
    if sale is not None:
        posting.sale = outcome.points[sale.id]
        posting.awards = story.awards[sale.id]
    return posting


def _awarded(account: Account, customer: Customer, story: Story, sale: Sale, zone: ZoneInfo) -> Sale:
    """A late sale with what promotions give for it, by the tier that its customer had at its instant."""
    rules = account.book.at(sale.at)
    tier = None
    if rules is not None and account.promotions_revision:
        # Without its own awards, which nothing before it depends on.
        outcome = replay(
            [*story.sales, sale],
            story.returns,
            account.book,
            opening_cents=story.opening_cents,
            overrides=account.tiers.overrides,
        )
        tier = outcome.points[sale.id].tier
    awards = decide_awards(account, customer, sale, rules=rules, tier=tier, zone=zone)
    story.awards[sale.id] = awards
    return replace(sale, awarded=sum(given.points for given in awards)) if awards else sale
