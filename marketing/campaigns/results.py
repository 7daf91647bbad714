"""What came of a campaign: how far its messages got, who bought, and whether more did than without it."""

import math
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db import connection

from marketing.campaigns.gifts import Given, given_by
from marketing.campaigns.services import find_campaign
from marketing.campaigns.uplift import Comparison, Group, compare
from marketing.content.numbering import links_of_content
from marketing.models_campaigns import Campaign, CampaignRun
from marketing.models_messages import CampaignClick

KEPT_SECONDS = 60
# Figures of a campaign that is not over, or not for longer than SETTLING: no longer than working them out is worth.
WATCHED_SECONDS = 3
TIMES_TAKEN = 10
SETTLING = timedelta(minutes=10)
# Runs and days that are told one by one, the latest ones.
RUNS_MAX = 100
DAYS_MAX = 400
# As long as opens and clicks of a campaign are counted by the hour.
HOURLY_FOR = timedelta(hours=72)
CONTROL = ""


@dataclass(slots=True)
class Funnel:
    """Messages by how far they got. `recipients` are all that were meant to get one; what is opened or clicked counts once each.

    `converted`: who bought within the days of the campaign after the message was due; `purchases` and `revenue` (net of what
    was taken back) are theirs.
    """

    recipients: int = 0
    waiting: int = 0
    sent: int = 0
    delivered: int = 0
    bounced: int = 0
    failed: int = 0
    unknown: int = 0
    cancelled: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    opened: int = 0
    clicked: int = 0
    unsubscribed: int = 0
    complained: int = 0
    converted: int = 0
    purchases: int = 0
    revenue: Decimal = Decimal(0)

    def add(self, other: "Funnel") -> None:
        for each in fields(self):
            if each.name == "skipped":
                for reason, count in other.skipped.items():
                    self.skipped[reason] = self.skipped.get(reason, 0) + count
            else:
                setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    @property
    def average_order_value(self) -> Decimal | None:
        return (self.revenue / self.purchases).quantize(Decimal("0.01")) if self.purchases else None


@dataclass(frozen=True, slots=True)
class RunResult:
    number: int
    due_at: datetime
    funnel: Funnel
    control: Funnel


@dataclass(frozen=True, slots=True)
class LinkResult:
    """`clicks` of `messages` different messages. `url` as its author wrote it."""

    variant: str
    link: int
    url: str
    clicks: int
    messages: int


@dataclass(frozen=True, slots=True)
class Moment:
    """An hour or a day, as it begins in the store's time."""

    at: datetime
    opens: int
    clicks: int


@dataclass(frozen=True, slots=True)
class Results:
    """`uplift`: all who were meant to get a message beside the control group. `variants` and `against_first`: by their key."""

    campaign_id: uuid.UUID
    as_of: datetime
    conversion_days: int
    window_ends_at: datetime | None
    funnel: Funnel
    control: Funnel
    runs: list[RunResult]
    variants: dict[str, Funnel]
    links: list[LinkResult]
    interval: str
    series: list[Moment]
    uplift: Comparison | None
    against_first: dict[str, Comparison]
    given: Given
    notes: list[str]


def results_of(*, merchant_id: uuid.UUID, campaign_id: uuid.UUID, zone: tzinfo, at: datetime) -> Results:
    """As of now, or up to KEPT_SECONDS ago: a few seconds while it is sent. Raises CampaignNotFound."""
    key = f"campaign-results:{merchant_id}:{campaign_id}:{zone}"
    found: Results | None = cache.get(key)
    if found is None:
        campaign = find_campaign(merchant_id=merchant_id, campaign_id=campaign_id)
        started = time.monotonic()
        found = _results(campaign, zone, at)
        cache.set(key, found, kept_for(campaign, at=at, taken=time.monotonic() - started))
    return found


def kept_for(campaign: Campaign, *, at: datetime, taken: float) -> int:
    """Seconds, for figures that took `taken` seconds."""
    if campaign.finished_at is not None and at - campaign.finished_at > SETTLING:
        return KEPT_SECONDS
    return min(KEPT_SECONDS, max(WATCHED_SECONDS, math.ceil(taken * TIMES_TAKEN)))


def _results(campaign: Campaign, zone: tzinfo, at: datetime) -> Results:
    merchant_id, campaign_id = campaign.merchant_id, campaign.pk
    who = {
        "merchant": merchant_id,
        "campaign": campaign_id,
        "at": at,
        "within": timedelta(days=campaign.conversion_days),
    }
    window = _window(who)
    by_run = _funnels(who)
    groups = (
        {}
        if window is None
        else _sold(campaign, {**who, "first": window[0], "last": min(window[1], at)}, by_run)
    )
    treated = _sum(group for variant, group in groups.items() if variant != CONTROL)
    control = groups.get(CONTROL, Group(0, 0, 0.0, 0.0))
    keys = [variant["key"] for variant in campaign.variants]
    ends_at = None if window is None else window[1]
    interval, series = _series(who, zone)
    uplift = compare(treated, control)
    return Results(
        campaign_id=campaign_id,
        as_of=at,
        conversion_days=campaign.conversion_days,
        window_ends_at=ends_at,
        funnel=_total(by_run, lambda variant: variant != CONTROL),
        control=_total(by_run, lambda variant: variant == CONTROL),
        runs=_runs(campaign, by_run),
        variants={key: _total(by_run, key.__eq__) for key in keys},
        links=_links(campaign, who),
        interval=interval,
        series=series,
        uplift=uplift,
        against_first=_against_first(keys, groups),
        given=given_by(campaign),
        notes=_notes(campaign, ends_at, at, control, uplift),
    )


By = dict[tuple[uuid.UUID, str], Funnel]


def _total(by_run: By, wanted: Any) -> Funnel:
    total = Funnel()
    for (_, variant), funnel in by_run.items():
        if wanted(variant):
            total.add(funnel)
    return total


def _sum(groups: Iterable[Group]) -> Group:
    each = list(groups)
    return Group(
        sum(group.customers for group in each),
        sum(group.converted for group in each),
        sum(group.revenue for group in each),
        sum(group.revenue_squares for group in each),
    )


def _against_first(keys: list[str], groups: dict[str, Group]) -> dict[str, Comparison]:
    found = {}
    for key in keys[1:]:
        first, other = groups.get(keys[0]), groups.get(key)
        if first and other and (compared := compare(other, first, of_variants=True)):
            found[key] = compared
    return found


def _notes(
    campaign: Campaign, ends_at: datetime | None, at: datetime, control: Group, uplift: Comparison | None
) -> list[str]:
    notes = []
    if ends_at is None:
        notes.append("Nobody was to be written to yet.")
    elif at < ends_at:
        notes.append("The days in which purchases count are not over yet: these figures will still grow.")
    if ends_at is not None and not control.customers:
        notes.append("There is no control group: what customers would have bought anyway is not known.")
    if uplift is not None and len(campaign.variants) > 2:
        notes.append("With several texts, one of them looks better by chance more often than one in twenty.")
    return notes


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


_FUNNELS = """
SELECT run_id, variant, state, CASE WHEN state = 'skipped' THEN reason ELSE '' END, count(*), count(opened_at),
    count(clicked_at), count(unsubscribed_at), count(complained_at)
FROM campaign_messages WHERE merchant_id = %(merchant)s AND campaign_id = %(campaign)s
GROUP BY 1, 2, 3, 4
"""
_COLUMNS = {
    "pending": ("waiting",),
    "claimed": ("waiting",),
    "sending": ("waiting",),
    "sent": ("sent",),
    "delivered": ("sent", "delivered"),
    "bounced": ("sent", "bounced"),
    "failed": ("failed",),
    "unknown": ("unknown",),
    "cancelled": ("cancelled",),
    # Of the control group and of those who were left out, no column but the one of all.
    "control": (),
    "skipped": (),
}


def _funnels(who: dict[str, Any]) -> By:
    found: By = defaultdict(Funnel)
    for run_id, variant, state, reason, count, opened, clicked, unsubscribed, complained in _rows(
        _FUNNELS, who
    ):
        funnel = found[run_id, variant]
        funnel.recipients += count
        for name in _COLUMNS[state]:
            setattr(funnel, name, getattr(funnel, name) + count)
        if state == "skipped":
            funnel.skipped[reason] = funnel.skipped.get(reason, 0) + count
        funnel.opened += opened
        funnel.clicked += clicked
        funnel.unsubscribed += unsubscribed
        funnel.complained += complained
    return dict(found)


# `first` and `last` say once more, of all messages together, which days matter: with many messages PostgreSQL then reads the
# purchases of those days in one go instead of looking each customer up.
# `moved`: under whom the purchases of merged customers are now. `sold`: each purchase that counts for a message; it is read
# twice: by message for the funnels, and by customer and purchase, each once, for the comparison: in a campaign of many runs a
# customer is still one customer, and always in the same group.
_SOLD = """
WITH RECURSIVE step AS (
    SELECT customer.id AS source, customer.merged_into_id AS target, 1 AS depth FROM customers customer
    WHERE customer.merchant_id = %(merchant)s AND customer.merged_into_id IS NOT NULL
        AND customer.id IN (
            SELECT customer_id FROM campaign_messages
            WHERE merchant_id = %(merchant)s AND campaign_id = %(campaign)s
        )
    UNION ALL
    SELECT step.source, customer.merged_into_id, step.depth + 1 FROM step
    JOIN customers customer ON customer.merchant_id = %(merchant)s AND customer.id = step.target
    WHERE customer.merged_into_id IS NOT NULL AND step.depth < 20
), moved AS (
    SELECT DISTINCT ON (source) source, target FROM step ORDER BY source, depth DESC
), sold AS MATERIALIZED (
    SELECT message.id, message.run_id, message.variant, purchase.customer_id, purchase.id AS purchase_id,
        purchase.amount - purchase.returned AS net
    FROM campaign_messages message
    LEFT JOIN moved ON moved.source = message.customer_id
    JOIN purchases purchase ON purchase.merchant_id = %(merchant)s
        AND purchase.customer_id = coalesce(moved.target, message.customer_id)
        AND purchase.occurred_at > message.due_at AND purchase.occurred_at <= message.due_at + %(within)s
        AND purchase.occurred_at > %(first)s AND purchase.occurred_at <= %(last)s
    WHERE message.merchant_id = %(merchant)s AND message.campaign_id = %(campaign)s
        AND purchase.amount > purchase.returned
)
SELECT run_id, variant, count(DISTINCT id), count(*), sum(net), 0 FROM sold GROUP BY run_id, variant
UNION ALL
SELECT NULL, variant, count(*), 0, sum(net), sum(net * net)
FROM (
    SELECT variant, customer_id, sum(net) AS net
    FROM (SELECT DISTINCT variant, customer_id, purchase_id, net FROM sold) once GROUP BY 1, 2
) person GROUP BY variant
"""
# Of one run that nothing sets off, each message is another customer's.
_CUSTOMERS = """
SELECT variant, count(DISTINCT customer_id) FROM campaign_messages
WHERE merchant_id = %(merchant)s AND campaign_id = %(campaign)s AND due_at <= %(at)s GROUP BY variant
"""


def _sold(campaign: Campaign, who: dict[str, Any], by_run: By) -> dict[str, Group]:
    """Adds what was bought to the funnels; returns the groups of customers by variant, "" the control group."""
    groups = {variant: Group(count, 0, 0.0, 0.0) for variant, count in _customers(campaign, who, by_run)}
    for run_id, variant, converted, purchases, net, squares in _rows(_SOLD, who):
        if run_id is None:
            groups[variant] = Group(groups[variant].customers, converted, float(net), float(squares))
        else:
            funnel = by_run[run_id, variant]
            funnel.converted, funnel.purchases, funnel.revenue = converted, purchases, net
    return groups


def _customers(campaign: Campaign, who: dict[str, Any], by_run: By) -> Iterable[tuple[Any, ...]]:
    if campaign.kind == Campaign.Kind.ONCE and len({run_id for run_id, _ in by_run}) == 1:
        return [(variant, funnel.recipients) for (_, variant), funnel in by_run.items()]
    return _rows(_CUSTOMERS, who)


_WINDOW = """
SELECT min(due_at), max(due_at) FROM campaign_messages WHERE merchant_id = %(merchant)s AND campaign_id = %(campaign)s
"""


def _window(who: dict[str, Any]) -> tuple[datetime, datetime] | None:
    """From when to when purchases may count; None before anybody was to be written to."""
    ((first, last),) = _rows(_WINDOW, who)
    return None if first is None else (first, last + who["within"])


def _runs(campaign: Campaign, by_run: By) -> list[RunResult]:
    rows = CampaignRun.objects.for_merchant(campaign.merchant_id).filter(campaign=campaign)
    return [
        RunResult(
            number=number,
            due_at=due_at,
            funnel=_total(
                {key: each for key, each in by_run.items() if key[0] == id_}, lambda v: v != CONTROL
            ),
            control=by_run.get((id_, CONTROL), Funnel()),
        )
        for id_, number, due_at in rows.order_by("-number").values_list("id", "number", "due_at")[:RUNS_MAX]
    ]


_LINKS = """
SELECT message.variant, click.link, count(*), count(DISTINCT click.message_id)
FROM campaign_clicks click
JOIN campaign_messages message ON message.merchant_id = click.merchant_id AND message.id = click.message_id
WHERE click.merchant_id = %(merchant)s AND click.campaign_id = %(campaign)s AND click.kind = 'click'
GROUP BY 1, 2 ORDER BY 1, 2
"""


def _links(campaign: Campaign, who: dict[str, Any]) -> list[LinkResult]:
    """Every link of the variants, also those that nobody followed."""
    clicked = {(variant, link): (clicks, messages) for variant, link, clicks, messages in _rows(_LINKS, who)}
    found = []
    for variant in campaign.variants:
        urls = links_of_content(campaign.channel, variant["content"])
        for link, url in enumerate(urls, start=1):
            clicks, messages = clicked.get((variant["key"], link), (0, 0))
            found.append(LinkResult(variant["key"], link, url, clicks, messages))
    return found


_SERIES = """
SELECT date_trunc(%(interval)s, occurred_at, %(zone)s), count(*) FILTER (WHERE kind = 'open'),
    count(*) FILTER (WHERE kind = 'click')
FROM campaign_clicks WHERE merchant_id = %(merchant)s AND campaign_id = %(campaign)s GROUP BY 1 ORDER BY 1 DESC LIMIT %(most)s
"""


def _series(who: dict[str, Any], zone: tzinfo) -> tuple[str, list[Moment]]:
    clicks = CampaignClick.objects.for_merchant(who["merchant"]).filter(campaign_id=who["campaign"])
    first = clicks.order_by("occurred_at").values_list("occurred_at", flat=True).first()
    last = clicks.order_by("-occurred_at").values_list("occurred_at", flat=True).first()
    interval = "hour" if first is None or last is None or last - first <= HOURLY_FOR else "day"
    rows = _rows(_SERIES, {**who, "interval": interval, "zone": str(zone), "most": DAYS_MAX})
    return interval, [Moment(at.astimezone(zone), opens, clicked) for at, opens, clicked in reversed(rows)]
