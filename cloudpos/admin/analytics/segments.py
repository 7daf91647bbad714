"""The segments: what they are worth, how likely they are to leave, and who moved between them month by month."""

from datetime import date
from typing import Any

from django.http import Http404, HttpRequest
from django.urls import reverse

from analytics.counts import SegmentCounts, Worth, segment_counts
from analytics.moved import DIRECTIONS, JOINED, LEFT, customers_moved
from analytics.overview import money as from_cents
from analytics.segments import Segment, describe
from analytics.serializers.segments import segments_table
from analytics.thresholds import rules_of
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.analytics.people import Column, People, Person, people_shown
from cloudpos.admin.customers.listing import SEGMENT_SHADES
from cloudpos.api.fields import YEAR_MAX, YEAR_MIN
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import day, money
from cloudpos.tenancy.models import Merchant
from customers.exports import export_csv
from customers.models import Customer

# On the overview, beside the grid of scores; the page of its own has all that the service knows.
MONTHS_ON_OVERVIEW = 4


@analytics_page("Segments", "segments")
def segments_page(request: HttpRequest, merchant: Merchant) -> Shown:
    found = segment_counts(merchant_id=merchant.pk)
    if request.GET.get("format") == "csv":
        return export_csv(access=acting_for(request, merchant), name="segments", table=segments_table(found))
    months = sorted(found.moves, reverse=True)
    if "part" in request.GET:
        months = months[:MONTHS_ON_OVERVIEW]
    rules = rules_of(merchant.pk)
    return {
        "segments": [
            {"told": describe(segment, rules), **_figures(found, segment, merchant.currency)}
            for segment in Segment
        ],
        "has_customers": bool(sum(found.customers.values())),
        "refreshed_at": found.refreshed_at,
        "names": [segment_name(segment) for segment in Segment],
        "has_moves": any(found.moves.values()),
        "months": [
            {
                "label": f"{month:%b %Y}",
                "is_running": month == max(found.moves),
                "cells": [_in_and_out(found, month, segment) for segment in Segment],
            }
            for month in months
        ],
    }


def segment_name(segment: str) -> str:
    return str(Customer.Segment(segment).label)


def _figures(found: SegmentCounts, segment: Segment, currency: str) -> dict[str, Any]:
    customers = found.customers.get(segment.value, 0)
    everybody = sum(found.customers.values())
    worth = found.worths.segments.get(segment.value, Worth())
    cents = sum(each.cents for each in found.worths.segments.values())
    return {
        "name": segment_name(segment),
        "shade": SEGMENT_SHADES[segment.value],
        "url": f"{reverse('admin:customers_customer_changelist')}?segment={segment.value}",
        "customers": customers,
        "share": _percent(customers / everybody if everybody else None),
        "value": money(from_cents(worth.cents), currency),
        "share_of_value": _percent(worth.cents / cents if cents else None),
        "average": money(from_cents(round(worth.cents / customers)) if customers else None, currency),
        "risk": _percent(worth.churn / worth.customers if worth.customers else None),
    }


def _in_and_out(found: SegmentCounts, month: date, segment: Segment) -> dict[str, Any]:
    moves = found.moves[month]
    return {
        direction: {
            "n": sum(move.customers for move in moves if side(move) == segment.value),
            "url": reverse("moved_page", args=[month, segment.value, direction]),
        }
        for direction, side in ((JOINED, lambda move: move.target), (LEFT, lambda move: move.origin))
    } | {"segment": segment_name(segment)}


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}%"


@analytics_page("Customers", "people")
def moved_page(request: HttpRequest, merchant: Merchant, month: str, segment: str, direction: str) -> Shown:
    """Who joined or left a segment in a month."""
    first = _month(month)
    if first is None or segment not in Customer.Segment.values or direction not in DIRECTIONS:
        raise Http404
    joined = direction == JOINED

    def read(offset: int, limit: int) -> People:
        found = customers_moved(
            merchant_id=merchant.pk,
            zone=merchant.tz,
            month=first,
            segment=segment,
            direction=direction,
            offset=offset,
            limit=limit,
        )
        return People(
            found.total,
            [
                Person(
                    row.customer,
                    (segment_name(row.origin if joined else row.target), day(row.at, merchant.tz)),
                    (row.origin if joined else row.target, row.at.astimezone(merchant.tz).date()),
                )
                for row in found.rows
            ],
        )

    columns = (Column("From", "from") if joined else Column("To", "to"), Column("On", "on"))
    shown = people_shown(
        request, merchant, columns=columns, read=read, file_name=f"{direction}-{segment}-{first:%Y-%m}"
    )
    if not isinstance(shown, dict):
        return shown
    name = segment_name(segment)
    return shown | {
        "title": f"{'Joined' if joined else 'Left'} {name}, {first:%b %Y}",
        "told": f"Customers who {'became' if joined else 'were, and are no more,'} {name} in {first:%B %Y}.",
        "note": "Who moved last comes first. The segment beside the name is that of today.",
    }


def _month(text: str) -> date | None:
    """The first day of a month; None for everything else."""
    try:
        first = date.fromisoformat(text)
    except ValueError:
        return None
    known = first.isoformat() == text and first.day == 1 and YEAR_MIN <= first.year < YEAR_MAX
    return first if known else None
