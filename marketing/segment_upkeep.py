"""Keeping segments up: after events, after midnights and recalculations, and when somebody asks."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F
from django.utils.timezone import now

from analytics.models import CutPoints
from cloudpos.api.errors import Conflict
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import Work
from cloudpos.jobs.services import start_job
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.zones import store_zones
from customers.events import EventRef
from customers.models import Event
from marketing.models import Segment
from marketing.segment_builds import build_segments
from marketing.segment_membership import (
    follow_customers,
    in_order,
    part_ways,
    recount,
    refresh_members,
    tidy_list,
)
from marketing.segment_services import REBUILD, start_rebuild
from marketing.segments.facts import EVERYTHING, facts_of_event

# The other customer of a merge, and of its undoing.
_OTHERS = ("sourceId", "targetId")


def touching(events: Sequence[EventRef]) -> set[EventRef]:
    """Of these events, those that some rule of their merchant asks for; everything about who comes and goes."""
    rules = Segment.objects.filter(merchant_id__in={event.merchant_id for event in events})
    asked: dict[uuid.UUID, set[str]] = {}
    for merchant_id, asks_for in rules.values_list("merchant_id", "asks_for"):
        asked.setdefault(merchant_id, set()).update(asks_for)
    found = set()
    for event in events:
        if event.merchant_id not in asked:
            continue
        facts = facts_of_event(event.type)
        if facts is None or facts & asked[event.merchant_id]:
            found.add(event)
    return found


def refresh_after(*, merchant_id: uuid.UUID, event_ids: Sequence[str], at: datetime) -> int:
    """Put the customers of these events where they belong now. Returns how many came or went."""
    rows = list(
        Event.objects.for_merchant(merchant_id)
        .filter(pk__in=event_ids, customer__isnull=False)
        .values_list("customer_id", "type", "data")
    )
    if not rows:
        return 0
    customer_ids, coming_or_going = _customers(rows), [row for row in rows if row[1] in EVERYTHING]
    facts: set[str] | None = set()
    for _, type_, _ in rows:
        some = facts_of_event(type_)
        facts = None if facts is None or some is None else facts | some
    moved = refresh_members(
        merchant_id=merchant_id,
        customer_ids=customer_ids,
        facts=None if facts is None else frozenset(facts),
        at=at,
    )
    if coming_or_going:
        moved += follow_customers(merchant_id=merchant_id, customer_ids=_customers(coming_or_going), at=at)
    for _, type_, data in rows:
        if type_ == "customer.unmerged":
            moved += part_ways(merchant_id=merchant_id, merge_id=uuid.UUID(data["mergeId"]), at=at)
    if any(type_ == "customer.erased" for _, type_, _ in rows):
        recount(merchant_id=merchant_id)
    return moved


def _customers(rows: Iterable[Any]) -> set[uuid.UUID]:
    found = set()
    for customer_id, type_, data in rows:
        found.add(customer_id)
        if type_ in ("customer.merged", "customer.unmerged"):
            found |= {uuid.UUID(data[key]) for key in _OTHERS if key in data}
    return found


@dataclass(frozen=True, slots=True)
class _Listed:
    id: uuid.UUID
    names: frozenset[uuid.UUID]


def rebuild(work: Work) -> dict[str, Any]:
    """The job of REBUILD: one segment and those that speak of it, or all that are due, each after those that it speaks of."""
    merchant = Merchant.objects.get(pk=work.merchant_id)
    named = work.parameters.get("segmentId")
    if named is not None:
        tidy_list(merchant_id=merchant.pk, segment_id=uuid.UUID(named))
    wanted = _wanted(merchant, named, everything="after" in work.parameters)
    rules = [
        _Listed(id_, frozenset(names))
        for id_, names in Segment.objects.for_merchant(merchant)
        .filter(kind=Segment.Kind.RULE)
        .order_by("pk")
        .values_list("pk", "segments_named")
    ]
    work.expect(len(wanted))
    totals = {"built": 0, "failed": 0, "entered": 0, "exited": 0}
    for layer in in_order(rules):
        some = [segment_id for segment_id in layer if segment_id in wanted]
        for segment_id, built in build_segments(merchant=merchant, segment_ids=some, at=now()):
            if built is None:
                totals["failed"] += 1
            else:
                totals["built"] += 1
                totals["entered"] += built.entered
                totals["exited"] += built.exited
                if built.entered or built.exited:
                    # Whoever speaks of it follows, also where that was built a moment ago.
                    wanted |= {rule.id for rule in rules if segment_id in rule.names}
                    work.expect(len(wanted))
            work.advance(1)
    return totals


def _wanted(merchant: Merchant, named: str | None, *, everything: bool = False) -> set[uuid.UUID]:
    rules = Segment.objects.for_merchant(merchant).filter(kind=Segment.Kind.RULE)
    if everything:
        return set(rules.values_list("pk", flat=True))
    if named is not None:
        return set(rules.filter(pk=named).values_list("pk", flat=True))
    changed = set(rules.exclude(built_version=F("version")).values_list("pk", flat=True))
    since = stale_since(merchant, at=now())
    return changed | set(rules.exclude(built_at__gte=since).values_list("pk", flat=True))


def stale_since(merchant: Merchant, *, at: datetime) -> datetime:
    """What was built before this has answers of another day, or of figures that were worked out anew since.

    The last midnight of the merchant's or of one of its stores: rules speak of whole days.
    """
    zones: set[ZoneInfo] = {merchant.tz, *store_zones(merchant.pk).values()}
    moments = [datetime.combine(at.astimezone(zone).date(), time.min, zone) for zone in zones]
    figured = CutPoints.objects.for_merchant(merchant).values_list("finished_at", flat=True).first()
    return max([*moments, *([figured] if figured else [])])


def rebuild_after(*, merchant_id: uuid.UUID, event_ids: Sequence[str]) -> None:
    """Ask every rule about everybody again: an import wakes nobody for each of its customers. Raises TooManyJobs."""
    if Segment.objects.for_merchant(merchant_id).filter(kind=Segment.Kind.RULE).exists():
        start_job(
            merchant_id=merchant_id, kind=REBUILD, key=event_ids[-1], parameters={"after": event_ids[-1]}
        )


def start_due_rebuilds(*, at: datetime) -> int:
    """Ask for builds where rules were changed, a day has begun, or figures are new. Returns how many merchants."""
    started = 0
    rules = Segment.objects.filter(kind=Segment.Kind.RULE, merchant__is_active=True)
    for merchant_id in rules.order_by().values_list("merchant_id", flat=True).distinct():
        merchant = Merchant.objects.get(pk=merchant_id)
        if not _is_due(merchant, at):
            continue
        try:
            start_rebuild(merchant_id=merchant_id)
        except Conflict:
            # Too many jobs wait: the next round asks again.
            continue
        started += 1
    return started


def _is_due(merchant: Merchant, at: datetime) -> bool:
    rules = Segment.objects.for_merchant(merchant).filter(kind=Segment.Kind.RULE)
    if rules.exclude(built_version=F("version")).filter(build_error="").exists():
        return True
    since = stale_since(merchant, at=at)
    if not rules.exclude(built_at__gte=since).exists():
        return False
    # What could not be built, or was stopped, is not tried again before the next day.
    tried = Job.objects.for_merchant(merchant).filter(kind=REBUILD, key="", created_at__gte=since)
    return not tried.exists()


def rebuild_everything(*, merchant: Merchant, at: datetime) -> None:
    """All rules at once, in the right order, without a job."""
    rules: Collection[Any] = [
        _Listed(id_, frozenset(names))
        for id_, names in Segment.objects.for_merchant(merchant)
        .filter(kind=Segment.Kind.RULE)
        .values_list("pk", "segments_named")
    ]
    for layer in in_order(rules):
        list(build_segments(merchant=merchant, segment_ids=layer, at=at))
