"""The worker's round: begin what is due, find recipients, send, end what is done. However it dies, nobody gets it twice."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django.db import connection, connections
from django.utils.timezone import now

from cloudpos.ids import new_id
from marketing.campaigns.audience import prepare_chunk
from marketing.campaigns.beginning import Begun, ClaimLost, begin
from marketing.campaigns.claiming import claim, end_leases, give_back
from marketing.campaigns.composing import Composer
from marketing.campaigns.runs import end_finished, start_due
from marketing.channels import NoProvider, Outcome, Sender, sender_for
from marketing.channels.outgoing import Kind
from marketing.channels.suppressions import suppress
from marketing.channels.throttling import throttle
from marketing.content import RenderFailed
from marketing.models import Campaign, CampaignRun, MessagingSettings
from marketing.models_messaging import Suppression

T = TypeVar("T")
logger = logging.getLogger(__name__)

# What is begun together: as many may be in doubt after a kill. Fewer where a provider is slow, so that nothing leaves long
# after it was asked whether it may.
GROUP_FIRST, GROUP_MAX = 5, 20
GROUP_SECONDS = 0.5
# How long after the last look at its customer a message may still be begun: less than the second that is promised after a
# withdrawal. What a server that hangs has kept until then is looked at anew.
BEGIN_SECONDS = 0.8
# Other work of this worker's queue waits for no more than this.
ROUND_SECONDS = 15.0
THREADS = 2
ATTEMPTS_MAX = 5
# A provider that is away is asked again after 1, 4, 16 and 64 minutes.
RETRY_FACTOR = 4
RETRY_AFTER_SECONDS_MAX = 24 * 3_600
NO_PROVIDER_SECONDS = 300

_round = threading.Lock()


def work(*, seconds: float = ROUND_SECONDS, clock: Callable[[], datetime] = now, threads: int = 1) -> int:
    """One round of this process; returns how many messages left. 0 at once while another thread has one.

    Several threads claim as several workers would: one composes while another waits for the provider.
    """
    if not _round.acquire(blocking=False):
        return 0
    try:
        if threads == 1:
            return _Round(seconds, clock).run()
        with ThreadPoolExecutor(threads) as pool:
            rounds = [pool.submit(_in_thread, seconds, clock) for _ in range(threads)]
        return sum(each.result() for each in rounds)
    finally:
        _round.release()


def _in_thread(seconds: float, clock: Callable[[], datetime]) -> int:
    try:
        return _Round(seconds, clock).run()
    finally:
        connections.close_all()


class _Round:
    def __init__(self, seconds: float, clock: Callable[[], datetime]) -> None:
        self.until = time.monotonic() + seconds
        self.clock = clock
        self.senders: dict[tuple[uuid.UUID, str], Sender] = {}
        self.sent = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.until

    def run(self) -> int:
        end_leases(at=self.clock())
        start_due(at=self.clock())
        try:
            # Campaigns in turn: a large one does not keep a small one waiting.
            turns = [turn for run in _open_runs() if (turn := _guarded(run, partial(_Turn, self, run)))]
            while turns and not self.is_over:
                turns = [turn for turn in turns if not self.is_over and _guarded(turn.run, turn.take)]
        finally:
            for sender in self.senders.values():
                sender.close()
        end_finished(at=self.clock())
        return self.sent

    def sender(self, campaign: Campaign, settings: MessagingSettings | None) -> Sender:
        """One connection for all that a merchant sends in this round. Raises NoProvider."""
        key = (campaign.merchant_id, campaign.channel)
        if key not in self.senders:
            sender = sender_for(settings, campaign.merchant, campaign.channel)
            sender.open()
            self.senders[key] = sender
        return self.senders[key]


def _guarded(run: CampaignRun, step: Callable[[], T]) -> T | None:
    """None when the step fails: one campaign that cannot be sent holds up no other, of no merchant."""
    try:
        return step()
    except Exception:
        logger.exception("campaign_failed", extra={"campaign_id": str(run.campaign_id)})
        return None


class _Turn:
    """One run's part of a round."""

    def __init__(self, round: _Round, run: CampaignRun) -> None:
        self.round, self.run, self.campaign = round, run, run.campaign
        self.claim_id = new_id()
        self.settings = MessagingSettings.objects.for_merchant(run.merchant_id).first()
        self.composer = Composer(self.campaign, self.settings)
        self.is_prepared = run.state != CampaignRun.State.PREPARING
        self.group = GROUP_FIRST

    def take(self) -> bool:
        """A chunk of recipients, a group of messages. False when there is nothing more to do now."""
        if not self.is_prepared:
            self.is_prepared = not prepare_chunk(run=self.run, at=self.run.due_at)
        try:
            return self._send_group() or not self.is_prepared
        except NoProvider:
            self._give_back(timedelta(seconds=NO_PROVIDER_SECONDS))
        except ClaimLost:
            # All of it was rolled back.
            self._give_back(timedelta())
        return False

    def _send_group(self) -> bool:
        at = self.round.clock()
        claimed = claim(
            merchant_id=self.run.merchant_id,
            run_id=self.run.pk,
            claim_id=self.claim_id,
            at=at,
            most=self.group,
        )
        if not claimed:
            return False
        sender = self.round.sender(self.campaign, self.settings)
        wait = 0.0
        allowed = []
        for message in claimed:
            wait = self._throttle()
            if wait:
                break
            allowed.append(message)
        begun = begin(
            campaign=self.campaign, settings=self.settings, claimed=allowed, claim_id=self.claim_id, at=at
        )
        if begun is None:
            # Stopped: there is nothing more to claim of it.
            self._give_back(timedelta())
            return False
        if begun:
            started = time.monotonic()
            left = self._send(sender, begun, until=started + BEGIN_SECONDS)
            seconds = max(time.monotonic() - started, 0.001)
            self.group = max(1, min(GROUP_MAX, int(left * GROUP_SECONDS / seconds)))
        # Held back by the provider's pace.
        self._give_back(timedelta(seconds=wait))
        return not wait

    def _throttle(self) -> float:
        per_second = float(self.settings.per_second) if self.settings is not None else 0.0
        return throttle(self.run.merchant_id, self.campaign.channel, per_second) if per_second else 0.0

    def _give_back(self, wait: timedelta) -> None:
        give_back(merchant_id=self.run.merchant_id, claim_id=self.claim_id, at=self.round.clock() + wait)

    def _send(self, sender: Sender, begun: Sequence[Begun], *, until: float) -> int:
        """How many were done with: those that were not begun in time wait again."""
        composed: dict[uuid.UUID, Any] = {}
        outcomes: dict[uuid.UUID, Outcome] = {}
        variables = self.composer.variables(begun)
        for each in begun:
            if each.message.id not in variables:
                outcomes[each.message.id] = Outcome("refused", error="the customer is gone")
                continue
            try:
                composed[each.message.id] = self.composer.compose(each, variables[each.message.id])
            except RenderFailed as failure:
                outcomes[each.message.id] = Outcome("refused", error=str(failure))
        said = sender.send(list(composed.values()), until=until)
        outcomes |= dict(zip(composed, said, strict=True))
        self._write(begun, outcomes)
        return sum(outcome.kind != "not_begun" for outcome in outcomes.values())

    def _write(self, begun: Sequence[Begun], outcomes: dict[uuid.UUID, Outcome]) -> None:
        at = self.round.clock()
        rows = [_row(each, outcomes[each.message.id], at) for each in begun]
        with connection.cursor() as cursor:
            cursor.execute(
                _WRITE,
                {
                    "merchant": self.run.merchant_id,
                    "claim": self.claim_id,
                    "at": at,
                    **{name: [row[name] for row in rows] for name in _COLUMNS},
                },
            )
        barred = [each.address for each in begun if outcomes[each.message.id].suppress]
        if barred:
            suppress(
                merchant_id=self.run.merchant_id,
                channel=self.campaign.channel,
                addresses=barred,
                reason=Suppression.Reason.BOUNCE,
            )
        self.round.sent += sum(row["state"] == "sent" for row in rows)


def _row(begun: Begun, outcome: Outcome, at: datetime) -> dict[str, Any]:
    attempts = begun.message.attempts + 1
    row: dict[str, Any] = {
        "id": begun.message.id,
        "state": _STATES[outcome.kind],
        "reason": "" if outcome.kind in ("sent", "not_begun") else outcome.kind,
        "error": outcome.error[:300],
        "provider_id": outcome.provider_id[:200],
        "again_at": at if outcome.kind == "not_begun" else None,
        "was_begun": outcome.kind != "not_begun",
    }
    if outcome.kind == "retry" and attempts >= ATTEMPTS_MAX:
        row |= {"state": "failed", "reason": "gave_up"}
    elif outcome.kind == "retry":
        wait = timedelta(minutes=RETRY_FACTOR ** (attempts - 1))
        row["again_at"] = at + max(
            wait, timedelta(seconds=min(outcome.retry_after or 0, RETRY_AFTER_SECONDS_MAX))
        )
    return row


def _open_runs() -> list[CampaignRun]:
    """Those that have something to find or to send, the merchants in turn."""
    found = (
        CampaignRun.objects.filter(
            campaign__state=Campaign.State.SENDING,
            state__in=[CampaignRun.State.PREPARING, CampaignRun.State.SENDING],
        )
        .select_related("campaign__merchant")
        .order_by("due_at")
    )
    return list(found)


_STATES: dict[Kind, str] = {
    "sent": "sent",
    "refused": "failed",
    "unknown": "unknown",
    "retry": "pending",
    "not_begun": "pending",
}
_COLUMNS = ("id", "state", "reason", "error", "provider_id", "again_at", "was_begun")
# What an unknown one turned out to be after all is written too; a report of its delivery that was quicker counts.
_WRITE = """
UPDATE campaign_messages message SET state = CASE
        WHEN said.state = 'sent' AND message.bounced_at IS NOT NULL THEN 'bounced'
        WHEN said.state = 'sent' AND message.delivered_at IS NOT NULL THEN 'delivered'
        ELSE said.state END, reason = said.reason, error = said.error,
    provider_id = said.provider_id, next_attempt_at = said.again_at, leased_until = NULL,
    claim = CASE WHEN said.state = 'pending' THEN NULL ELSE message.claim END,
    attempts = message.attempts - CASE WHEN said.was_begun THEN 0 ELSE 1 END,
    begun_at = CASE WHEN said.was_begun THEN message.begun_at END,
    sent_at = CASE WHEN said.state = 'sent' THEN %(at)s ELSE message.sent_at END
FROM unnest(%(id)s::uuid[], %(state)s::text[], %(reason)s::text[], %(error)s::text[], %(provider_id)s::text[],
    %(again_at)s::timestamptz[], %(was_begun)s::boolean[])
    AS said (id, state, reason, error, provider_id, again_at, was_begun)
WHERE message.merchant_id = %(merchant)s AND message.id = said.id AND message.claim = %(claim)s
    AND message.state IN ('sending', 'unknown')
"""
