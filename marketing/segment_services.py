"""Writing segments: rules and lists. Each function owns its transaction; members follow a rule in the background."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.timezone import now

from analytics.statements import long_statements
from cloudpos.api.errors import BadRequest, Conflict, FieldError, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.jobs.models import Job
from cloudpos.jobs.services import JobIsActive, TooManyJobs, start_job
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Merchant, Store
from customers.models import Customer
from customers.services import CustomerNotFound, visible_customer_id
from marketing.models import Segment, SegmentMember
from marketing.models_segments import SEGMENTS_PER_MERCHANT_MAX
from marketing.segment_membership import change_members, count_lists
from marketing.segments.facts import facts_of_rule
from marketing.segments.language import InSegments, Node, conditions, named_segments, named_stores
from marketing.segments.parsing import RuleRefused, parse_rule

REBUILD = "marketing.rebuild_segments"
MEMBERS_PER_CALL_MAX = 1_000
LIST_MEMBERS_MAX = 100_000


class SegmentNotFound(NotFound):
    code = "segment_not_found"
    message = "There is no such segment"


class SegmentNameTaken(Conflict):
    code = "segment_name_taken"
    message = "There is a segment of this name already."


class TooManySegments(Conflict):
    code = "too_many_segments"
    message = f"A merchant has at most {SEGMENTS_PER_MERCHANT_MAX} segments. Delete one first."


class SegmentInUse(Conflict):
    code = "segment_in_use"
    message = "Other segments speak of this one. Change them first."


class SegmentHasRule(Conflict):
    code = "segment_has_rule"
    message = "The rule says who is in this segment: change it, or make a list."


class SegmentIsList(Conflict):
    code = "segment_is_list"
    message = "This segment is a list: it has no rule."


class ListIsFull(Conflict):
    code = "list_is_full"
    message = f"A list has at most {LIST_MEMBERS_MAX:,} customers."


def read_rule(merchant_id: uuid.UUID, data: Any, *, segment_id: uuid.UUID | None = None) -> Node:
    """A rule whose stores and segments are there. Raises RuleRefused: also for a circle, back to `segment_id`."""
    rule = parse_rule(data)
    problems = [*_unknown_stores(merchant_id, rule), *_wrong_segments(merchant_id, rule, segment_id)]
    if problems:
        raise RuleRefused(errors=problems)
    return rule


def _unknown_stores(merchant_id: uuid.UUID, rule: Node) -> list[FieldError]:
    named = list(named_stores(rule))
    if not named:
        return []
    stores = Store.objects.for_merchant(merchant_id).filter(pk__in=[store for _, store in named])
    known = set(stores.values_list("pk", flat=True))
    return [
        FieldError(f"rule{pointer}", "There is no such store.", "unknown_store")
        for pointer, store in named
        if store not in known
    ]


def _wrong_segments(merchant_id: uuid.UUID, rule: Node, segment_id: uuid.UUID | None) -> list[FieldError]:
    if not named_segments(rule):
        return []
    names = dict(Segment.objects.for_merchant(merchant_id).values_list("pk", "segments_named"))
    problems = []
    for pointer, condition in conditions(rule):
        if not isinstance(condition, InSegments):
            continue
        for index, named in enumerate(condition.ids):
            where = f"rule{pointer}/segments/ids/{index}"
            if named not in names:
                problems.append(FieldError(where, "There is no such segment.", "unknown_segment"))
            elif segment_id is not None and segment_id in _reached(names, named):
                message = "This segment's own rule speaks of the one that you are changing: a circle has no beginning."
                problems.append(FieldError(where, message, "circular_segments"))
    return problems


def _reached(names: Mapping[uuid.UUID, Sequence[uuid.UUID]], start: uuid.UUID) -> set[uuid.UUID]:
    """A segment and all that its rule speaks of, however indirectly."""
    found: set[uuid.UUID] = set()
    pending = [start]
    while pending:
        one = pending.pop()
        if one not in found:
            found.add(one)
            pending += names.get(one, ())
    return found


@use_case
def create_segment(
    *, access: Access, name: str, description: str = "", kind: str, rule: Any = None
) -> Segment:
    """A new rule or an empty list. Raises RuleRefused, SegmentNameTaken, TooManySegments."""
    merchant_id = access.merchant_id
    # The merchant's row is the lock: of rules that are saved at once none may close a circle, or be one too many.
    Merchant.objects.select_for_update(no_key=True).get(pk=merchant_id)
    if Segment.objects.for_merchant(merchant_id).count() >= SEGMENTS_PER_MERCHANT_MAX:
        raise TooManySegments()
    _name_is_free(merchant_id, name)
    segment = Segment(
        merchant_id=merchant_id, name=name, description=description, kind=kind, actor_id=access.user_id
    )
    if kind == Segment.Kind.RULE:
        _take_rule(segment, read_rule(merchant_id, rule), rule)
    else:
        segment.built_version = segment.version
    segment.save(force_insert=True)
    if segment.is_building:
        _ask_for_build(segment, access.user_id)
    return segment


@use_case
def update_segment(*, access: Access, segment_id: uuid.UUID, changes: Mapping[str, Any]) -> Segment:
    """Change `name`, `description` or `rule`. Raises SegmentNotFound, SegmentIsList, RuleRefused, SegmentNameTaken."""
    merchant_id = access.merchant_id
    Merchant.objects.select_for_update(no_key=True).get(pk=merchant_id)
    segment = lock_segment(merchant_id, segment_id)
    changed = {name: value for name, value in changes.items() if getattr(segment, name) != value}
    if "rule" in changed:
        if segment.kind == Segment.Kind.LIST:
            raise SegmentIsList(field="rule")
        _take_rule(segment, read_rule(merchant_id, changed["rule"], segment_id=segment_id), changed["rule"])
        segment.version += 1
        segment.build_error = ""
    if "name" in changed:
        _name_is_free(merchant_id, changed["name"])
        segment.name = changed["name"]
    segment.description = changed.get("description", segment.description)
    if changed:
        segment.actor_id, segment.updated_at = access.user_id, now()
        segment.save(
            update_fields=[
                "name",
                "description",
                "rule",
                "asks_for",
                "segments_named",
                "version",
                "build_error",
                "actor_id",
                "updated_at",
            ]  # fmt: skip
        )
    if segment.is_building:
        _ask_for_build(segment, access.user_id)
    return segment


def _take_rule(segment: Segment, rule: Node, data: Any) -> None:
    segment.rule = data
    segment.asks_for = sorted(facts_of_rule(rule))
    segment.segments_named = sorted(named_segments(rule))


def _name_is_free(merchant_id: uuid.UUID, name: str) -> None:
    if Segment.objects.for_merchant(merchant_id).filter(name=name).exists():
        raise SegmentNameTaken(field="name")


def _ask_for_build(segment: Segment, actor_id: uuid.UUID | None) -> None:
    try:
        start_rebuild(merchant_id=segment.merchant_id, segment_id=segment.pk, actor_id=actor_id)
    except (JobIsActive, TooManyJobs):
        # Beat looks every minute for rules that wait.
        pass


def start_rebuild(
    *, merchant_id: uuid.UUID, segment_id: uuid.UUID | None = None, actor_id: uuid.UUID | None = None
) -> Job:
    """Ask for a build of one segment, or of all that are due. Raises TooManyJobs."""
    named = {} if segment_id is None else {"segmentId": str(segment_id)}
    return start_job(
        merchant_id=merchant_id, kind=REBUILD, key=str(segment_id or ""), parameters=named, actor_id=actor_id
    )


def rebuild_segment(*, access: Access, segment_id: uuid.UUID) -> Job:
    """A list is counted anew. Raises SegmentNotFound, TooManyJobs."""
    if not Segment.objects.for_merchant(access.merchant_id).filter(pk=segment_id).exists():
        raise SegmentNotFound()
    return start_rebuild(merchant_id=access.merchant_id, segment_id=segment_id, actor_id=access.user_id)


@use_case
def delete_segment(*, merchant_id: uuid.UUID, segment_id: uuid.UUID) -> None:
    """Remove a segment with its members; they keep everything else. Raises SegmentNotFound, SegmentInUse."""
    Merchant.objects.select_for_update(no_key=True).get(pk=merchant_id)
    segment = lock_segment(merchant_id, segment_id)
    users = Segment.objects.for_merchant(merchant_id).filter(segments_named__contains=[segment_id])
    names = list(users.order_by("name").values_list("name", flat=True))
    if names:
        raise SegmentInUse(f"These segments speak of this one: {', '.join(names)}. Change them first.")
    with long_statements():
        SegmentMember.objects.for_merchant(merchant_id).filter(segment_id=segment_id)._raw_delete("default")
        segment.delete()


@use_case
def add_members(*, access: Access, segment_id: uuid.UUID, customer_ids: Sequence[uuid.UUID]) -> int:
    """Put customers on a list; who is on it stays. Returns how many came.

    Raises SegmentNotFound, SegmentHasRule, ListIsFull, and BadRequest that names each customer who is not there.
    """
    merchant_id = access.merchant_id
    segment = _lock_list(merchant_id, segment_id)
    wanted = _visible(merchant_id, customer_ids)
    there = _members_among(merchant_id, segment_id, wanted)
    came = sorted(wanted - there)
    if segment.size + len(came) > LIST_MEMBERS_MAX:
        raise ListIsFull()
    _change(merchant_id, segment_id, came=came, gone=[], at=now())
    return len(came)


@use_case
def remove_members(*, access: Access, segment_id: uuid.UUID, customer_ids: Sequence[uuid.UUID]) -> int:
    """Take customers off a list; who is not on it is passed over. Returns how many left.

    Raises SegmentNotFound, SegmentHasRule.
    """
    _lock_list(access.merchant_id, segment_id)
    gone = sorted(_members_among(access.merchant_id, segment_id, set(customer_ids)))
    _change(access.merchant_id, segment_id, came=[], gone=gone, at=now())
    return len(gone)


def _change(
    merchant_id: uuid.UUID,
    segment_id: uuid.UUID,
    *,
    came: Sequence[uuid.UUID],
    gone: Sequence[uuid.UUID],
    at: datetime,
) -> None:
    change_members(
        merchant_id,
        came=[(segment_id, customer) for customer in came],
        gone=[(segment_id, customer) for customer in gone],
        at=at,
    )
    count_lists(merchant_id, [segment_id])


def _members_among(
    merchant_id: uuid.UUID, segment_id: uuid.UUID, customer_ids: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    members = SegmentMember.objects.for_merchant(merchant_id).filter(
        segment_id=segment_id, customer_id__in=list(customer_ids)
    )
    return set(members.values_list("customer_id", flat=True))


def _visible(merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Who these are now: whoever was merged is the one they were merged into. Raises BadRequest."""
    rows = Customer.objects.for_merchant(merchant_id).visible().filter(pk__in=list(customer_ids))
    known = set(rows.values_list("pk", flat=True))
    found, problems = set(known), []
    for index, customer_id in enumerate(customer_ids):
        if customer_id in known:
            continue
        try:
            found.add(visible_customer_id(merchant_id=merchant_id, customer_id=customer_id))
        except CustomerNotFound as missing:
            problems.append(FieldError(f"customerIds.{index}", missing.detail, missing.error_code))
    if problems:
        raise BadRequest(errors=problems)
    return found


def lock_segment(merchant_id: uuid.UUID, segment_id: uuid.UUID) -> Segment:
    """Inside the caller's transaction. Raises SegmentNotFound."""
    segment = (
        Segment.objects.for_merchant(merchant_id).filter(pk=segment_id).select_for_update(no_key=True).first()
    )
    if segment is None:
        raise SegmentNotFound()
    return segment


def _lock_list(merchant_id: uuid.UUID, segment_id: uuid.UUID) -> Segment:
    segment = lock_segment(merchant_id, segment_id)
    if segment.kind != Segment.Kind.LIST:
        raise SegmentHasRule()
    return segment
