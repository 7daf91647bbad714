"""Posting a story: the differences between what the ledger holds for a history and what the rules say."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, Protocol

from django.db import connection

from customers import purchases
from loyalty.ledger import Account, Cause
from loyalty.models import LedgerEntry
from loyalty.rules import Line, Outcome, Returned, Sale, SalePoints, TakeBack, replay, to_cents
from loyalty.rules.promotions import Award
from loyalty.services.awarding import post_awards

EARNED = LedgerEntry.Type.EARNED.value
REVERSED = LedgerEntry.Type.REVERSED.value
ADJUSTED = LedgerEntry.Type.ADJUSTED.value


@dataclass(slots=True)
class Posting:
    """What a purchase, a return or a correction did to an account (that is not yet written).

    `taken` are the points that new returns take back by the rules, `taken_short` those of them that are spent already;
    `corrected` what other purchases gained (or lost, negative); `shortfall` all that should have been taken and is spent.
    """

    account: Account
    sale: SalePoints | None = None
    awards: Sequence[Award] = ()
    # The sale of a new return.
    origin: SalePoints | None = None
    taken: int = 0
    taken_short: int = 0
    corrected: int = 0
    corrected_sales: int = 0
    shortfall: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the ledger holds for one purchase: nominal points (shortfalls count as taken) and the shortfalls in them."""

    nominal: int = 0
    spent: int = 0
    expired: int = 0
    has_earned: bool = False


NOTHING_RECORDED = Recorded()


@dataclass(slots=True)
class Story:
    """A customer's history to fold: what is on record and what is new, with the net spend before it."""

    sales: list[Sale]
    returns: list[TakeBack]
    opening_cents: int = 0
    new_sales: Collection[uuid.UUID] = ()
    new_returns: Collection[uuid.UUID] = ()
    recorded: dict[uuid.UUID, Recorded] = field(default_factory=dict)
    # Of new sales.
    awards: dict[uuid.UUID, Sequence[Award]] = field(default_factory=dict)


def post_story(
    account: Account, story: Story, *, cause: str, actor_id: uuid.UUID | None = None
) -> tuple[Posting, Outcome]:
    """Post the differences between what the ledger holds and what the rules say about a story.

    First what older purchases gain, then the new purchases and returns in their order, last what older purchases
    lose: so a shortfall is only what no order of arrival could have covered.
    """
    outcome = replay(
        story.sales,
        story.returns,
        account.book,
        opening_cents=story.opening_cents,
        overrides=account.tiers.overrides,
    )
    posting = Posting(account)
    losses: list[tuple[SalePoints, int]] = []
    at = account.at
    # Of each sale, what had come back before the new returns.
    returned: dict[uuid.UUID, Returned] = {}
    for back in story.returns:
        if back.id not in story.new_returns and (origin := outcome.points.get(back.sale_id)) is not None:
            returned[back.sale_id] = origin.with_return(returned.get(back.sale_id, Returned()), back)
    # What older purchases should have before the new returns.
    for points in outcome.points.values():
        sale = points.sale
        if sale.id in story.new_sales:
            continue
        recorded = story.recorded.get(sale.id, NOTHING_RECORDED)
        due = points.gross - points.taken_by(returned.get(sale.id, Returned())) - recorded.nominal
        if due > 0:
            _gain(posting, points, due, recorded, cause=cause, at=at, actor_id=actor_id)
        elif due < 0:
            losses.append((points, -due))
    _post_new(posting, story, outcome, returned, actor_id=actor_id)
    for points, due in losses:
        posting.corrected -= due
        posting.corrected_sales += 1
        posting.shortfall += _take(
            account, type=ADJUSTED, points=due, sale=points.sale,
            cause=_correction(points, cause, at=at, actor_id=actor_id),
        )  # fmt: skip
    account.spend_cents = outcome.spend_cents
    account.last_activity_at = outcome.last_at
    account.tiers.courses = outcome.courses
    account.settle_tier()
    return posting, outcome


def _post_new(
    posting: Posting,
    story: Story,
    outcome: Outcome,
    returned: dict[uuid.UUID, Returned],
    *,
    actor_id: uuid.UUID | None,
) -> None:
    """New purchases earn and new returns take back, in the order of the fold.

    Cumulatively, after the returns on record: so many small returns take what one large one takes.
    """
    account = posting.account
    steps: list[tuple[datetime, int, tuple[Any, Any], Sale | TakeBack]] = [
        (sale.at, 0, sale.reference, sale) for sale in story.sales if sale.id in story.new_sales
    ]
    for back in story.returns:
        if back.id in story.new_returns:
            origin = outcome.points.get(back.sale_id)
            steps.append((max(back.at, origin.sale.at) if origin else back.at, 1, back.reference, back))
    steps.sort(key=lambda step: step[:3])
    for _, _, _, step in steps:
        if isinstance(step, Sale):
            post_sale(account, outcome.points[step.id], story.awards.get(step.id, ()), actor_id)
            continue
        origin = outcome.points.get(step.sale_id)
        if origin is None:
            continue
        before = returned.get(step.sale_id, Returned())
        after = returned[step.sale_id] = origin.with_return(before, step)
        take_for_return(posting, origin, step, origin.taken_by(after) - origin.taken_by(before), actor_id)


def post_sale(
    account: Account, earned: SalePoints, awards: Sequence[Award], actor_id: uuid.UUID | None
) -> None:
    """What a new sale earns by the rules, and what promotions give for it."""
    if earned.base:
        account.credit(type=EARNED, points=earned.base, cause=sale_cause(earned.sale, actor_id))
    post_awards(account, earned.sale, awards, actor_id=actor_id)


def take_for_return(
    posting: Posting, origin: SalePoints, back: TakeBack, points: int, actor_id: uuid.UUID | None
) -> None:
    """Take back what a return takes of its sale."""
    cause = Cause(
        at=back.at,
        description=f"Return {back.reference[0]} of purchase {origin.sale.reference[0]}",
        purchase_id=origin.sale.id,
        purchase_return_id=back.id,
        actor_id=actor_id,
        store_id=back.reference[1],
    )
    short = _take(posting.account, type=REVERSED, points=points, sale=origin.sale, back=back, cause=cause)
    posting.origin = origin
    posting.taken += points
    posting.taken_short += short
    posting.shortfall += short


def _gain(
    posting: Posting,
    points: SalePoints,
    due: int,
    recorded: Recorded,
    *,
    cause: str,
    at: datetime,
    actor_id: uuid.UUID | None,
) -> None:
    """An older purchase turns out to have earned more: first that makes good its own shortfall."""
    account, sale = posting.account, points.sale
    posting.corrected += due
    posting.corrected_sales += 1
    missing = due
    for short, expired in ((recorded.expired, True), (recorded.spent, False)):
        repaid = min(missing, short)
        if repaid:
            account.fall_short(points=-repaid, purchase_id=sale.id, expired=expired)
            missing -= repaid
    if missing:
        account.credit(
            type=ADJUSTED if recorded.has_earned else EARNED,
            points=missing,
            cause=_correction(points, cause, at=at, actor_id=actor_id),
            earned_at=sale.at,
        )


def _take(
    account: Account, *, type: str, points: int, sale: Sale, cause: Cause, back: TakeBack | None = None
) -> int:
    """Take points back, from the sale's own lots first. Returns the shortfall, which is recorded.

    Points of the sale that have expired are gone already: no other lots are asked for them. So a return takes the same
    from the balance before the expiry and after it.
    """
    if not points:
        return 0
    taken, expired = account.debit(type=type, points=points, cause=cause, own=sale.id)
    missing = points - taken - expired
    for short, is_expired in ((expired, True), (missing, False)):
        if short:
            account.fall_short(
                points=short,
                purchase_id=sale.id,
                purchase_return_id=back.id if back is not None else None,
                expired=is_expired,
            )
    return expired + missing


def sale_cause(sale: Sale, actor_id: uuid.UUID | None) -> Cause:
    """What the points of a purchase are due to."""
    return Cause(
        at=sale.at,
        description=f"Purchase {sale.reference[0]}",
        purchase_id=sale.id,
        actor_id=actor_id,
        store_id=sale.reference[1],
    )


def _correction(points: SalePoints, cause: str, *, at: datetime, actor_id: uuid.UUID | None) -> Cause:
    sale = points.sale
    return Cause(
        at=at,
        description=f"{cause}: purchase {sale.reference[0]} now earns {points.gross}",
        purchase_id=sale.id,
        actor_id=actor_id,
        store_id=sale.reference[1],
    )


class Item(Protocol):
    """A line of a purchase, on record or new."""

    @property
    def sku(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def unit_price(self) -> Decimal: ...


def as_line(item: Item) -> Line:
    """A line of a purchase as the rules see it."""
    cents = (item.quantity * item.unit_price * 100).quantize(Decimal(1), ROUND_HALF_UP)
    return Line(item.sku, item.category, int(cents), item.quantity)


def as_goods(returned: Sequence[tuple[Item, Decimal]]) -> tuple[tuple[Line, Fraction], ...]:
    """What came back, (line of the purchase, quantity), as the rules see it."""
    return tuple((as_line(item), Fraction(quantity) / Fraction(item.quantity)) for item, quantity in returned)


def as_sale(past: purchases.PastSale, *, awarded: int = 0) -> Sale:
    """A purchase on record, with what promotions gave for it."""
    return Sale(
        past.id,
        to_cents(past.amount),
        past.at,
        (past.transaction_id, past.store_id),
        to_cents(past.tax),
        to_cents(past.discount),
        tuple(as_line(item) for item in past.items),
        awarded,
    )


def as_take_back(past: purchases.PastReturn) -> TakeBack:
    return TakeBack(
        past.id,
        past.purchase_id,
        to_cents(past.amount),
        past.at,
        (past.transaction_id, past.store_id),
        as_goods(past.goods),
    )


def recorded_points(account: Account, purchase_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Recorded]:
    """What the program's ledger holds for each purchase that it holds anything for.

    Entries of any account count: a purchase that moved here by a merge earned its points on another. Transfers carry no
    purchase, for they change none's points.
    """
    if not purchase_ids:
        return {}
    merchant, ids = account.merchant_id, list(purchase_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT purchase_id, sum(points) - sum(spent) - sum(expired), sum(spent), sum(expired), bool_or(earned)
            FROM (
                SELECT enrollment_id, purchase_id, points, 0 AS spent, 0 AS expired, type = 'earned' AS earned
                FROM loyalty_transactions WHERE merchant_id = %s AND purchase_id = ANY(%s)
                UNION ALL
                SELECT enrollment_id, purchase_id, 0, CASE WHEN expired THEN 0 ELSE points END,
                    CASE WHEN expired THEN points ELSE 0 END, false
                FROM loyalty_shortfalls WHERE merchant_id = %s AND purchase_id = ANY(%s)
            ) found
            JOIN loyalty_enrollments e ON e.merchant_id = %s AND e.id = enrollment_id AND e.program_id = %s
            GROUP BY purchase_id
            """,
            [merchant, ids, merchant, ids, merchant, account.program_id],
        )
        return {
            purchase_id: Recorded(int(nominal), int(spent), int(expired), earned)
            for purchase_id, nominal, spent, expired, earned in cursor.fetchall()
        }
