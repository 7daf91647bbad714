"""Whom a campaign is for: found in chunks of customers by their id, and written down as messages together with how far it got."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from cloudpos.ids import new_id
from customers.services.consents import DEFAULTS
from marketing.campaigns.groups import CONTROL, group_of
from marketing.channels.suppressions import suppressed
from marketing.models import Campaign, CampaignRun
from marketing.models_messaging import Channel

CHUNK = 2_000
# The most customers that are looked at to tell how large an audience is.
COUNTED_MAX = 200_000

# The customer's column that a message needs; the others know them by their id.
ADDRESS = {Channel.EMAIL.value: "email", Channel.SMS.value: "phone"}
GONE, NOT_ACTIVE = "gone", "not_active"
NO_ADDRESS, NO_CONSENT, SUPPRESSED = "no_address", "no_consent", "suppressed"


class Found(NamedTuple):
    """A customer of the segments; `reason` why they cannot be written to, or empty."""

    customer_id: uuid.UUID
    reason: str


@dataclass(slots=True)
class Audience:
    """`looked_at` customers are in the segments; `groups`: by variant, and "" the control group; `reasons`: why not."""

    looked_at: int = 0
    groups: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    is_whole: bool = True

    @property
    def reached(self) -> int:
        return self.groups.total()


def audience_of(campaign: Campaign, *, most: int = COUNTED_MAX) -> Audience:
    """How many a campaign would write to now. Looks at about `most` customers at most: then it is a part of them."""
    found = Audience()
    weights = weights_of(campaign)
    cursor: uuid.UUID | None = None
    while found.looked_at < most:
        chunk = _look(campaign, cursor)
        for each in chunk:
            if each.reason:
                found.reasons[each.reason] += 1
            else:
                found.groups[_group(campaign, each.customer_id, weights)] += 1
        found.looked_at += len(chunk)
        if len(chunk) < CHUNK:
            return found
        cursor = chunk[-1].customer_id
    found.is_whole = False
    return found


def prepare_chunk(*, run: CampaignRun, at: datetime) -> bool:
    """Write down the next CHUNK of a run's recipients; False when another process does, or all are there.

    Owns its transaction. Customers who come into a segment meanwhile are found when their id is still to come.
    """
    with transaction.atomic():
        locked = (
            CampaignRun.objects.for_merchant(run.merchant_id)
            .filter(pk=run.pk, state=CampaignRun.State.PREPARING)
            .select_for_update(skip_locked=True, no_key=True, of=("self",))
            .select_related("campaign")
            .first()
        )
        if locked is None or locked.campaign.state != Campaign.State.SENDING:
            return False
        chunk = _look(locked.campaign, locked.cursor)
        recipients = [each.customer_id for each in chunk if not each.reason]
        write_messages(
            campaign=locked.campaign, run=locked, recipients=[(each, "") for each in recipients], due_at=at
        )
        locked.looked_at += len(chunk)
        locked.audience += len(recipients)
        if chunk:
            locked.cursor = chunk[-1].customer_id
        if len(chunk) < CHUNK:
            locked.state = CampaignRun.State.SENDING
            locked.prepared_at = at
        locked.save(update_fields=["looked_at", "audience", "cursor", "state", "prepared_at"])
    return True


def write_messages(
    *,
    campaign: Campaign,
    run: CampaignRun,
    recipients: Sequence[tuple[uuid.UUID, str]],
    due_at: datetime,
) -> int:
    """A message for each (customer, occasion), or a row of the control group. Who has one already keeps it. Returns how many
    are new. Inside the caller's transaction.
    """
    if not recipients:
        return 0
    weights = weights_of(campaign)
    groups = [_group(campaign, customer_id, weights) for customer_id, _ in recipients]
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE,
            {
                "merchant": campaign.merchant_id,
                "campaign": campaign.pk,
                "run": run.pk,
                "due": due_at,
                "ids": [new_id() for _ in recipients],
                "customers": [customer_id for customer_id, _ in recipients],
                "occasions": [occasion for _, occasion in recipients],
                "variants": groups,
            },
        )
        return cursor.rowcount


def weights_of(campaign: Campaign) -> list[tuple[str, int]]:
    return [(variant["key"], variant["weight"]) for variant in campaign.variants]


def _group(campaign: Campaign, customer_id: uuid.UUID, weights: Sequence[tuple[str, int]]) -> str:
    if not weights:
        return CONTROL
    return group_of(
        campaign_id=campaign.pk,
        customer_id=customer_id,
        control_percent=campaign.control_percent,
        weights=weights,
    )


def may_be_written_to(campaign: Campaign, customer_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Of these customers, those in the audience who could be written to now, in order of their ids."""
    return [each.customer_id for each in _look(campaign, None, customer_ids) if not each.reason]


def _look(
    campaign: Campaign, cursor: uuid.UUID | None, customer_ids: Sequence[uuid.UUID] | None = None
) -> list[Found]:
    """The next CHUNK of customers in the segments after `cursor`, by id; or those of `customer_ids`."""
    column = ADDRESS.get(campaign.channel)
    parameters: dict[str, Any] = {
        "merchant": campaign.merchant_id,
        "include": list(campaign.include_segments),
        "exclude": list(campaign.exclude_segments),
        "after": cursor or uuid.UUID(int=0),
        "chunk": CHUNK,
        "channel": campaign.consent_channel,
        "purpose": campaign.purpose,
        "default": DEFAULTS[campaign.purpose],
        "these": None if customer_ids is None else list(customer_ids),
    }
    with connection.cursor() as sql:
        sql.execute(
            _LOOK[bool(campaign.include_segments)].format(address=f"c.{column}" if column else "'-'"),
            parameters,
        )
        rows = sql.fetchall()
    barred = _barred(campaign, [row[1] for row in rows if row[1]]) if column else set()
    return [
        Found(customer_id, _reason(is_there, is_active, address, is_allowed, address in barred))
        for customer_id, address, is_there, is_active, is_allowed in rows
    ]


def _barred(campaign: Campaign, addresses: list[str]) -> set[str]:
    return suppressed(campaign.merchant_id, campaign.channel, addresses)


def _reason(is_there: bool, is_active: bool, address: str, is_allowed: bool, is_suppressed: bool) -> str:
    if not is_there:
        return GONE
    if not is_active:
        return NOT_ACTIVE
    if not address:
        return NO_ADDRESS
    if not is_allowed:
        return NO_CONSENT
    return SUPPRESSED if is_suppressed else ""


_CHOSEN = {
    # Everybody: the customers themselves, by their key.
    False: """
    SELECT id FROM customers
    WHERE merchant_id = %(merchant)s AND deleted_at IS NULL AND id > %(after)s
        AND (%(these)s::uuid[] IS NULL OR id = ANY(%(these)s))
        AND NOT EXISTS (
            SELECT 1 FROM customer_segment_members m WHERE m.merchant_id = %(merchant)s
                AND m.customer_id = customers.id AND m.segment_id = ANY(%(exclude)s)
        )
    ORDER BY id LIMIT %(chunk)s""",
    # The members of each segment from where we are, by the unique key; never more than a chunk of each.
    True: """
    SELECT DISTINCT member.customer_id AS id
    FROM unnest(%(include)s::uuid[]) AS segment (id) CROSS JOIN LATERAL (
        SELECT m.customer_id FROM customer_segment_members m
        WHERE m.merchant_id = %(merchant)s AND m.segment_id = segment.id AND m.customer_id > %(after)s
            AND (%(these)s::uuid[] IS NULL OR m.customer_id = ANY(%(these)s))
            AND NOT EXISTS (
                SELECT 1 FROM customer_segment_members x WHERE x.merchant_id = %(merchant)s
                    AND x.customer_id = m.customer_id AND x.segment_id = ANY(%(exclude)s)
            )
        ORDER BY m.customer_id LIMIT %(chunk)s
    ) member
    ORDER BY id LIMIT %(chunk)s""",
}
_LOOK = {
    has_segments: f"""
WITH chosen AS MATERIALIZED ({chosen}
)
SELECT c.id, {{address}}, c.deleted_at IS NULL, c.status = 'active',
    coalesce((pref.consents #>> ARRAY[%(channel)s, %(purpose)s])::boolean, %(default)s)
FROM chosen
JOIN customers c ON c.merchant_id = %(merchant)s AND c.id = chosen.id
LEFT JOIN customer_preferences pref ON pref.merchant_id = c.merchant_id AND pref.customer_id = c.id
ORDER BY c.id
"""  # noqa: S608 - words of ours
    for has_segments, chosen in _CHOSEN.items()
}

_WRITE = """
INSERT INTO campaign_messages (id, merchant_id, campaign_id, run_id, customer_id, occasion, variant, state, reason, error,
    due_at, next_attempt_at, attempts, provider_id, incentive_given)
SELECT id, %(merchant)s, %(campaign)s, %(run)s, customer_id, occasion, variant,
    CASE WHEN variant = '' THEN 'control' ELSE 'pending' END, '', '',
    %(due)s, CASE WHEN variant <> '' THEN %(due)s::timestamptz END, 0, '', false
FROM unnest(%(ids)s::uuid[], %(customers)s::uuid[], %(occasions)s::text[], %(variants)s::text[])
    AS found (id, customer_id, occasion, variant)
ON CONFLICT (merchant_id, run_id, customer_id, occasion) DO NOTHING
"""
