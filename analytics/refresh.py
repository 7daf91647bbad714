"""Keeping every customer's lifecycle segment true: after purchases, and because time passes."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Q
from django.utils.timezone import now

from analytics.facts import histories, vip_value
from analytics.models import SegmentRefresh
from analytics.segments import Decision, decide
from cloudpos.tenancy.models import Merchant
from customers.events import emit_all, event
from customers.models import Customer, Event
from customers.services import write_segments

# Customers looked at per query, and of those at most so many locked and written per transaction.
CUSTOMERS_PER_CHUNK = 2_000
CUSTOMERS_PER_WRITE = 500
# Renewed after each chunk; longer than the threshold's one long statement may take.
LEASE_SECONDS = 900

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Day:
    """What the rules are applied with: one merchant's calendar day and its threshold."""

    merchant_id: uuid.UUID
    today: date
    vip_value: Decimal | None


def day_of(merchant: Merchant, *, at: datetime) -> date:
    """The merchant's calendar day at an instant."""
    return at.astimezone(merchant.tz).date()


def refresh_after_events(*, merchant_id: uuid.UUID, event_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Derive the segments of the customers of these events anew. Returns how many changed."""
    customers = Event.objects.for_merchant(merchant_id).filter(pk__in=event_ids, customer__isnull=False)
    customer_ids = list(customers.values_list("customer_id", flat=True).distinct())
    return refresh_customers(merchant_id=merchant_id, customer_ids=customer_ids, at=at)


def refresh_customers(*, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Derive the segments of these customers from their purchases. Returns how many changed.

    Who isn't visible any more is left alone.
    """
    merchant = Merchant.objects.get(pk=merchant_id)
    last_pass = SegmentRefresh.objects.for_merchant(merchant_id).first()
    day = Day(merchant_id, day_of(merchant, at=at), last_pass.vip_value if last_pass else None)
    return _refresh(day, customer_ids)


def _refresh(day: Day, customer_ids: Sequence[uuid.UUID]) -> int:
    """Look without locks; lock, look again and write only where the segment would change: that is rare."""
    moving = list(_decisions(day, customer_ids, _segments(day, customer_ids)))
    changed = 0
    for start in range(0, len(moving), CUSTOMERS_PER_WRITE):
        changed += _rewrite(day, moving[start : start + CUSTOMERS_PER_WRITE])
    return changed


@transaction.atomic
def _rewrite(day: Day, customer_ids: Sequence[uuid.UUID]) -> int:
    locked = (
        Customer.objects.for_merchant(day.merchant_id)
        .visible()
        .filter(pk__in=customer_ids)
        .order_by("pk")
        .select_for_update(no_key=True)
    )
    segments = dict(locked.values_list("pk", "segment"))
    decisions = _decisions(day, list(segments), segments)
    write_segments(
        merchant_id=day.merchant_id,
        segments={customer_id: decision.segment.value for customer_id, decision in decisions.items()},
    )
    emit_all(
        [
            event(
                merchant_id=day.merchant_id,
                customer_id=customer_id,
                type="segment.changed",
                data={
                    "from": segments[customer_id],
                    "to": decision.segment.value,
                    "reason": decision.reason.value,
                },
            )
            for customer_id, decision in decisions.items()
        ]
    )
    return len(decisions)


def _segments(day: Day, customer_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    visible = Customer.objects.for_merchant(day.merchant_id).visible().filter(pk__in=customer_ids)
    return dict(visible.values_list("pk", "segment"))


def _decisions(
    day: Day, customer_ids: Sequence[uuid.UUID], segments: dict[uuid.UUID, str]
) -> dict[uuid.UUID, Decision]:
    """The customers who are not in the segment where they belong."""
    if not segments:
        return {}
    known = histories(merchant_id=day.merchant_id, customer_ids=customer_ids, today=day.today)
    found = {}
    for customer_id, segment in segments.items():
        decision = decide(known.get(customer_id), today=day.today, vip_value=day.vip_value)
        if decision.segment.value != segment:
            found[customer_id] = decision
    return found


# --- The daily pass -----------------------------------------------------------------------------------------


def merchants_due(*, at: datetime) -> list[uuid.UUID]:
    """Merchants whose day has changed since their last pass, or whose pass was interrupted."""
    passes = {found.merchant_id: found for found in SegmentRefresh.objects.all()}
    due = []
    for merchant in Merchant.objects.filter(is_active=True).order_by("pk"):
        found = passes.get(merchant.pk)
        if found is None or found.for_day != day_of(merchant, at=at) or found.finished_at is None:
            due.append(merchant.pk)
    return due


def refresh_merchant(
    *, merchant_id: uuid.UUID, at: datetime, again: bool = False, progress: Progress | None = None
) -> int:
    """One merchant's pass for the day of `at`: all customers, in chunks, resumed where one was interrupted.

    Returns how many changed; 0 when another process is at it, or when the day's pass is done, unless `again`.
    `progress` is called with the number of customers of each chunk.
    """
    merchant = Merchant.objects.get(pk=merchant_id)
    today = day_of(merchant, at=at)
    run = _begin(merchant_id, today=today, at=at, again=again)
    if run is None:
        return 0
    day = Day(merchant_id, today, run.vip_value)
    while True:
        customers = Customer.objects.for_merchant(merchant_id).visible()
        if run.cursor is not None:
            customers = customers.filter(pk__gt=run.cursor)
        segments = dict(customers.order_by("pk").values_list("pk", "segment")[:CUSTOMERS_PER_CHUNK])
        if not segments:
            break
        moving = _decisions(day, list(segments), segments)
        run.changed += _refresh(day, list(moving))
        run.seen += len(segments)
        run.cursor = list(segments)[-1]
        run.leased_until = now() + timedelta(seconds=LEASE_SECONDS)
        run.save(update_fields=["seen", "changed", "cursor", "leased_until"])
        if progress is not None:
            progress(len(segments))
    run.finished_at = now()
    run.leased_until = None
    run.save(update_fields=["finished_at", "leased_until"])
    return run.changed


def _begin(merchant_id: uuid.UUID, *, today: date, at: datetime, again: bool) -> SegmentRefresh | None:
    """Take the merchant's pass for LEASE_SECONDS, new or where it was left; None when there is nothing to take."""
    SegmentRefresh.objects.bulk_create([SegmentRefresh(merchant_id=merchant_id)], ignore_conflicts=True)
    mine = SegmentRefresh.objects.for_merchant(merchant_id).filter(
        Q(leased_until=None) | Q(leased_until__lt=now())
    )
    if not mine.update(leased_until=now() + timedelta(seconds=LEASE_SECONDS)):
        return None
    run: SegmentRefresh = SegmentRefresh.objects.for_merchant(merchant_id).get()
    if run.for_day == today and run.finished_at is not None and not again:
        run.leased_until = None
        run.save(update_fields=["leased_until"])
        return None
    if run.for_day != today or run.finished_at is not None:
        run.for_day = today
        run.cursor = run.finished_at = None
        run.seen = run.changed = 0
        run.vip_value = vip_value(merchant_id=merchant_id, at=at)
        run.save(update_fields=["for_day", "cursor", "finished_at", "seen", "changed", "vip_value"])
    return run
