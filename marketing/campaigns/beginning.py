"""The last look before a message leaves: may it, still? Under the lock of its customer, in the transaction that begins it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from cloudpos.tenancy.models import Merchant, Store
from customers.models import Customer, Preferences, Purpose
from customers.services.consents import DEFAULTS
from loyalty.services.effects import NoProgram
from loyalty.services.gifts import give_points
from loyalty.services.stock import RewardUnavailable
from loyalty.services.vouchers import give_voucher
from marketing.campaigns.audience import (
    ADDRESS,
    GONE,
    NO_ADDRESS,
    NO_CONSENT,
    NOT_ACTIVE,
    SUPPRESSED,
)
from marketing.campaigns.claiming import Claimed
from marketing.campaigns.gifts import gift_of, voucher_end
from marketing.campaigns.quiet import Hours, quiet_until
from marketing.channels.suppressions import suppressed
from marketing.models import Campaign, MessagingSettings
from marketing.tracking.short_links import message_codes

TOO_LATE, TOO_OFTEN, NO_PROGRAM = "too_late", "too_often", "no_program"
# Followed by why: `reward_out_of_stock`.
NO_REWARD = "reward_"
# Whoever is served at a till right now is looked at again after this.
BUSY_SECONDS = 2
CAP_DAYS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Begun:
    """A message that is being sent: `customer` as of now."""

    message: Claimed
    customer: Customer
    address: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Left out for `reason`, or not before `until`."""

    reason: str = ""
    until: datetime | None = None


class ClaimLost(Exception):
    """Another worker has some of these messages: this one was slow for longer than a lease."""


@transaction.atomic(durable=True)
def begin(
    *,
    campaign: Campaign,
    settings: MessagingSettings | None,
    claimed: Sequence[Claimed],
    claim_id: uuid.UUID,
    at: datetime,
) -> list[Begun] | None:
    """Begin those that may leave, in their order; the others are left out or wait. None of a campaign that was stopped.

    A transaction of its own: whoever withdraws a consent has the same lock, before or after. Points and vouchers are given in
    it too.
    Raises ClaimLost.
    """
    customers = _locked(campaign.merchant_id, [message.customer_id for message in claimed])
    if not _is_on(campaign):
        return None
    guards = _Guards(campaign, settings, list(customers.values()), at)
    begun: list[Begun] = []
    left_out: list[tuple[Claimed, str]] = []
    waiting: list[tuple[Claimed, datetime]] = []
    counted: dict[uuid.UUID, int] = {}
    for message in claimed:
        customer = customers.get(message.customer_id)
        if customer is None:
            waiting.append((message, at + timedelta(seconds=BUSY_SECONDS)))
            continue
        verdict = guards.judge(customer, message, counted.get(customer.pk, 0))
        if verdict.reason:
            left_out.append((message, verdict.reason))
        elif verdict.until is not None:
            waiting.append((message, verdict.until))
        else:
            counted[customer.pk] = counted.get(customer.pk, 0) + 1
            begun.append(Begun(message, customer, guards.address(customer)))
    if campaign.has_incentive:
        begun = [each for each in begun if _has_gift(campaign, each, left_out, at)]
    _write(campaign.merchant_id, claim_id, left_out, waiting)
    _mark_begun(campaign, settings, claim_id, begun)
    return begun


def _has_gift(campaign: Campaign, begun: Begun, left_out: list[tuple[Claimed, str]], at: datetime) -> bool:
    """Give what the message speaks of, unless an earlier attempt did; who cannot have it is not written to."""
    if begun.message.incentive_given:
        return True
    cause = gift_of(begun.message.id)
    try:
        if campaign.incentive_points:
            give_points(
                customer=begun.customer,
                points=campaign.incentive_points,
                description=campaign.name,
                transaction_id=cause,
            )
        elif campaign.incentive_reward_id is not None:
            give_voucher(
                customer=begun.customer,
                reward_id=campaign.incentive_reward_id,
                cause=cause,
                expires_at=voucher_end(campaign, at),
                at=at,
            )
    except NoProgram:
        left_out.append((begun.message, NO_PROGRAM))
        return False
    except RewardUnavailable as refused:
        left_out.append((begun.message, f"{NO_REWARD}{refused.extra['reasons'][0]}"))
        return False
    return True


def _locked(merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Customer]:
    """Customers, there or not, that nobody holds at this moment. In order of id, as everybody locks."""
    rows = (
        Customer.objects.for_merchant(merchant_id)
        .filter(pk__in=customer_ids)
        .defer("search", "metadata", "notes")
        .order_by("pk")
        .select_for_update(no_key=True, skip_locked=True)
    )
    return {customer.pk: customer for customer in rows}


def _is_on(campaign: Campaign) -> bool:
    """Locked until this commits: who stops a campaign waits for what is being begun, and nothing is begun after."""
    on = Campaign.objects.for_merchant(campaign.merchant_id).filter(
        pk=campaign.pk, state=Campaign.State.SENDING
    )
    with connection.cursor() as cursor:
        # FOR SHARE: workers do not wait for each other.
        sql, parameters = on.values("pk").order_by().query.sql_with_params()
        cursor.execute(f"{sql} FOR SHARE", parameters)
        return cursor.fetchone() is not None


class _Guards:
    def __init__(
        self,
        campaign: Campaign,
        settings: MessagingSettings | None,
        customers: list[Customer],
        at: datetime,
    ) -> None:
        self.campaign, self.settings, self.at = campaign, settings, at
        merchant_id = campaign.merchant_id
        ids = [customer.pk for customer in customers]
        self.preferences: dict[uuid.UUID, Preferences] = {
            row.customer_id: row
            for row in Preferences.objects.for_merchant(merchant_id).filter(customer_id__in=ids)
        }
        self.column = ADDRESS.get(campaign.channel)
        addresses = [address for customer in customers if (address := self.address(customer))]
        self.barred = suppressed(merchant_id, campaign.channel, addresses) if self.column else set()
        self.lately = _sent_lately(merchant_id, ids, at) if self._are_capped() else {}
        self.zones = _zones(merchant_id, customers)

    def address(self, customer: Customer) -> str:
        return str(getattr(customer, self.column)) if self.column else str(customer.pk)

    def judge(self, customer: Customer, message: Claimed, begun_here: int) -> _Verdict:
        reason = self._why_not(customer)
        if reason:
            return _Verdict(reason)
        until = quiet_until(self.at, self._quiet_hours(customer), self.zones[customer.home_store_id])
        last = message.due_at + timedelta(hours=self.campaign.send_within_hours)
        if self.at > last or (until is not None and until > last):
            return _Verdict(TOO_LATE)
        if until is not None:
            return _Verdict(until=until)
        most = self._cap(customer)
        if most is not None and self.lately.get(customer.pk, 0) + begun_here >= most:
            return _Verdict(TOO_OFTEN)
        return _Verdict()

    def _why_not(self, customer: Customer) -> str:
        if customer.deleted_at is not None:
            return GONE
        if customer.status != Customer.Status.ACTIVE:
            return NOT_ACTIVE
        address = self.address(customer)
        if not address:
            return NO_ADDRESS
        row = self.preferences.get(customer.pk)
        purpose = self.campaign.purpose
        said = {} if row is None else row.consents.get(self.campaign.consent_channel, {})
        if not said.get(purpose, DEFAULTS[purpose]):
            return NO_CONSENT
        return SUPPRESSED if address in self.barred else ""

    def _quiet_hours(self, customer: Customer) -> list[Hours]:
        """Their own count for everything that a machine sends; the merchant's for what is advertising."""
        row = self.preferences.get(customer.pk)
        if row is not None and row.quiet_hours_start is not None and row.quiet_hours_end is not None:
            return [(row.quiet_hours_start, row.quiet_hours_end)]
        settings = self.settings
        if self.campaign.purpose != Purpose.MARKETING or settings is None:
            return []
        if settings.quiet_from is None or settings.quiet_until is None:
            return []
        return [(settings.quiet_from, settings.quiet_until)]

    def _are_capped(self) -> bool:
        if self.campaign.purpose != Purpose.MARKETING:
            return False
        is_capped = self.settings is not None and self.settings.max_messages_per_week is not None
        return is_capped or any(row.max_messages_per_week is not None for row in self.preferences.values())

    def _cap(self, customer: Customer) -> int | None:
        if self.campaign.purpose != Purpose.MARKETING:
            return None
        row = self.preferences.get(customer.pk)
        caps = [
            None if row is None else row.max_messages_per_week,
            None if self.settings is None else self.settings.max_messages_per_week,
        ]
        return min((cap for cap in caps if cap is not None), default=None)


def _sent_lately(
    merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], at: datetime
) -> dict[uuid.UUID, int]:
    """How many messages of any campaign for marketing were begun in the last seven days."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT message.customer_id, count(*) FROM campaign_messages message"
            " JOIN marketing_campaigns campaign"
            " ON campaign.merchant_id = message.merchant_id AND campaign.id = message.campaign_id"
            " WHERE message.merchant_id = %s AND message.customer_id = ANY(%s) AND message.begun_at > %s"
            " AND message.state NOT IN ('pending', 'claimed', 'skipped', 'failed', 'cancelled')"
            " AND campaign.purpose = 'marketing'"
            " GROUP BY message.customer_id",
            [merchant_id, list(customer_ids), at - CAP_DAYS],
        )
        return dict(cursor.fetchall())


def _zones(merchant_id: uuid.UUID, customers: Sequence[Customer]) -> dict[uuid.UUID | None, ZoneInfo]:
    """By home store, and for nobody's the merchant's own."""
    merchant = Merchant.objects.only("timezone").get(pk=merchant_id)
    ids = {customer.home_store_id for customer in customers if customer.home_store_id is not None}
    zones: dict[uuid.UUID | None, ZoneInfo] = {None: merchant.tz}
    if ids:
        stores = Store.objects.for_merchant(merchant_id).filter(pk__in=ids).values_list("pk", "timezone")
        zones |= {store_id: ZoneInfo(timezone) if timezone else merchant.tz for store_id, timezone in stores}
    return zones


def _write(
    merchant_id: uuid.UUID,
    claim_id: uuid.UUID,
    left_out: Sequence[tuple[Claimed, str]],
    waiting: Sequence[tuple[Claimed, datetime]],
) -> None:
    parameters: dict[str, Any] = {"merchant": merchant_id, "claim": claim_id}
    with connection.cursor() as cursor:
        if left_out:
            cursor.execute(
                "UPDATE campaign_messages message SET state = 'skipped', reason = said.reason, claim = NULL, leased_until = NULL"
                " FROM unnest(%(ids)s::uuid[], %(reasons)s::text[]) AS said (id, reason)"
                " WHERE message.merchant_id = %(merchant)s AND message.id = said.id AND message.claim = %(claim)s"
                " AND message.state = 'claimed'",
                {
                    **parameters,
                    "ids": [message.id for message, _ in left_out],
                    "reasons": [reason for _, reason in left_out],
                },
            )
        if waiting:
            cursor.execute(
                "UPDATE campaign_messages message SET state = 'pending', claim = NULL, leased_until = NULL,"
                " next_attempt_at = said.until"
                " FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS said (id, until)"
                " WHERE message.merchant_id = %(merchant)s AND message.id = said.id AND message.claim = %(claim)s"
                " AND message.state = 'claimed'",
                {
                    **parameters,
                    "ids": [message.id for message, _ in waiting],
                    "times": [until for _, until in waiting],
                },
            )


def _mark_begun(
    campaign: Campaign, settings: MessagingSettings | None, claim_id: uuid.UUID, begun: Sequence[Begun]
) -> None:
    """Raises ClaimLost when not all of them are this worker's any more."""
    if not begun:
        return
    ids = [each.message.id for each in begun]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaign_messages message SET state = 'sending', attempts = attempts + 1, begun_at = clock_timestamp(),"
            " incentive_given = incentive_given OR %(gift)s, link_code = said.code"
            " FROM unnest(%(ids)s::uuid[], %(codes)s::bigint[]) AS said (id, code)"
            " WHERE message.merchant_id = %(merchant)s AND message.id = said.id AND message.claim = %(claim)s"
            " AND message.state = 'claimed'",
            {
                "merchant": campaign.merchant_id,
                "claim": claim_id,
                "ids": ids,
                "codes": message_codes(campaign, settings, ids),
                "gift": campaign.has_incentive,
            },
        )
        if cursor.rowcount != len(begun):
            raise ClaimLost
