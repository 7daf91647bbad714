"""Does a campaign survive kill -9? Workers are killed at random moments while it is sent and customers withdraw.

    python -m benchmarks.campaign_kill [--recipients 10000] [--withdrawals 500] [--kills 20] [--flush-redis 0]

in a throw-away database of its own: workers of Celery's with its beat and a Redis of their own, mails over SMTP to a server
that keeps when each was begun. Half of the withdrawals are made at the till, half by the one-click link of a mail; half of
them by customers whose message is just being sent. `--flush-redis`: how often Redis is emptied meanwhile, by FLUSHALL.

Ends with 1 if anybody got two mails, got one begun more than a second after their withdrawal, was in the control group and got
one, or should have got one and did not: unless that is said of the message (`unknown`), and it was being sent when a worker died.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.campaign_world import make_campaign, make_people, start_beat, start_worker
from benchmarks.database import UNLIMITED
from benchmarks.loyalty_expiry import throw_away_database
from benchmarks.mail_sink import Sink, mail_sink

SEED = 3031
WORKERS = 2
LEASE_SECONDS = 10
AFTER_WITHDRAWAL_SECONDS_MAX = 1.0
NO_PROGRESS_SECONDS_MAX = 120
# A statement that its connection had sent when the worker died is carried out a moment later.
SETTLED_SECONDS = 0.1
CONTROL_PERCENT = 10
# The last kill and the last withdrawal come before so much is done: in the middle of nothing they prove nothing.
LAST_SHARE = 0.95


@dataclass
class Withdrawals:
    """By address: when it was certain, in seconds since 1970."""

    at: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


class Progress:
    """How far the campaign is, read from its rows; shared by those who kill and those who withdraw."""

    def __init__(self, campaign_id: uuid.UUID) -> None:
        self.campaign_id = campaign_id
        self.over = threading.Event()

    def done(self) -> int:
        return self._messages().exclude(state__in=["control", "pending", "claimed", "sending"]).count()

    def wait_for(self, number: float) -> bool:
        """False when it is over before so many are done with. SystemExit when nothing goes on."""
        return self._wait(lambda: self.done() >= number)

    def wait_for_end(self) -> None:
        """SystemExit when nothing goes on."""
        from marketing.models import Campaign

        self._wait(Campaign.objects.filter(pk=self.campaign_id, state="sent").exists)

    def _wait(self, condition: Callable[[], bool]) -> bool:
        seen, since = -1, time.monotonic()
        while not self.over.is_set():
            if condition():
                return True
            done = self.done()
            if done > seen:
                seen, since = done, time.monotonic()
            if time.monotonic() - since > NO_PROGRESS_SECONDS_MAX:
                raise SystemExit(f"nothing went on for {NO_PROGRESS_SECONDS_MAX} s: {done:,} are done")
            time.sleep(0.05)
        return False

    def in_flight(self) -> set[uuid.UUID]:
        return set(self._messages().filter(state="sending").values_list("pk", flat=True))

    def _messages(self) -> Any:
        from marketing.models import CampaignMessage

        return CampaignMessage.objects.filter(campaign_id=self.campaign_id)


def withdraw(
    access: Any, progress: Progress, count: int, total: int, chance: random.Random, said: Withdrawals
) -> None:
    """Evenly over the time in which the campaign is sent, in a thread of its own."""
    from django.db import connections
    from django.test import Client

    from customers.services import record_consent
    from marketing.consents.links import unsubscribe_url
    from marketing.models import CampaignMessage

    client = Client(headers={"host": "localhost"})
    rows = CampaignMessage.objects.filter(campaign_id=progress.campaign_id).exclude(state="control")
    try:
        for number in range(count):
            if not progress.wait_for(max(1, total * LAST_SHARE * number / count)):
                break
            found: list[Any] = []
            # Of whom no message is in that state right now there may be one in any.
            for states in (
                ["claimed", "sending"] if number % 2 else ["pending"],
                CampaignMessage.State.values,
            ):
                others = rows.filter(state__in=states).exclude(customer__email__in=said.at)
                found = found or list(others.values_list("pk", "customer_id", "customer__email")[:200])
            message_id, customer_id, email = chance.choice(found)
            if number % 4 < 2:
                data = {"channel": "email", "purpose": "marketing", "state": "withdrawn", "source": "till"}
                record_consent(access=access, customer_id=customer_id, data=data)
            else:
                url = unsubscribe_url(
                    merchant_id=access.merchant_id,
                    customer_id=customer_id,
                    channel="email",
                    message_id=message_id,
                )
                answer = client.post(urlsplit(url).path, {"List-Unsubscribe": "One-Click"})
                if answer.status_code != 200:
                    said.failed.append(f"{answer.status_code} for a link to unsubscribe")
            said.at[email] = time.time()
    finally:
        connections.close_all()


def send(
    access: Any, campaign_id: uuid.UUID, sink: Sink, chosen: argparse.Namespace
) -> tuple[Withdrawals, set[uuid.UUID], int]:
    """Until the campaign has ended: who withdrew, which messages were being sent when a worker died, and how many died."""
    import redis
    from django.conf import settings

    progress, said = Progress(campaign_id), Withdrawals()
    chance = random.Random(SEED)
    environment = {
        **os.environ,
        "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
        "PYTHONPATH": str(settings.BASE_DIR),
    }
    total = chosen.recipients
    moments = [(total * (n + chance.random()) / chosen.kills, "kill") for n in range(chosen.kills)]
    moments += [
        (total * (n + chance.random()) / chosen.flush_redis, "flush") for n in range(chosen.flush_redis)
    ]
    in_flight: set[uuid.UUID] = set()
    killed = 0
    withdrawing = threading.Thread(
        target=withdraw,
        args=(access, progress, chosen.withdrawals, total, random.Random(SEED), said),
    )

    def started(number: int) -> subprocess.Popen[bytes]:
        return start_worker(f"worker{number}", lease_seconds=LEASE_SECONDS, environment=environment)

    with tempfile.TemporaryDirectory() as folder:
        beat = start_beat(Path(folder), environment=environment)
        workers = [started(number) for number in range(WORKERS)]
        try:
            withdrawing.start()
            for moment, what in sorted(moments):
                if not progress.wait_for(moment * LAST_SHARE):
                    break
                time.sleep(chance.uniform(0, 0.5))
                if what == "flush":
                    redis.from_url(settings.REDIS_URL).flushall()
                    print(f"Redis emptied: {progress.done():,} of {total:,} done", flush=True)
                    continue
                number = killed % WORKERS
                workers[number].send_signal(signal.SIGKILL)
                workers[number].wait()
                time.sleep(SETTLED_SECONDS)
                in_flight |= progress.in_flight()
                killed += 1
                print(f"killed {killed:>2}: {progress.done():,} of {total:,} done", flush=True)
                workers[number] = started(number)
            progress.wait_for_end()
        finally:
            progress.over.set()
            if withdrawing.ident is not None:
                withdrawing.join()
            for process in [beat, *workers]:
                process.kill()
                process.wait()
    return said, in_flight, killed


def judge(campaign_id: uuid.UUID, sink: Sink, said: Withdrawals, in_flight: set[uuid.UUID]) -> list[str]:
    """What is wrong; prints the figures."""
    from marketing.models import CampaignMessage

    rows = list(
        CampaignMessage.objects.filter(campaign_id=campaign_id).values_list(
            "pk", "customer__email", "state", "reason"
        )
    )
    received = sink.received
    control = {email for _, email, state, _ in rows if state == "control"}
    unknown = {pk: email for pk, email, state, _ in rows if state == "unknown"}
    skipped = {email: reason for _, email, state, reason in rows if state == "skipped"}
    others = {state for _, _, state, _ in rows} - {"control", "unknown", "skipped", "sent"}
    late = {
        mail.to: mail.begun - said.at[mail.to]
        for mail in sink.mails
        if mail.begun > said.at.get(mail.to, 1e12)
    }
    wrong = list(said.failed)
    for what, who in {
        "got more than one mail": [email for email, count in received.items() if count > 1],
        "got a mail that was begun too long after their withdrawal": [
            email for email, seconds in late.items() if seconds > AFTER_WITHDRAWAL_SECONDS_MAX
        ],
        "of the control group got a mail": control & received.keys(),
        "got a mail of nobody's": received.keys() - {email for _, email, _, _ in rows},
        "have a mail that was sent, and did not get it": [
            email for _, email, state, _ in rows if state == "sent" and email not in received
        ],
        "were left out and had not withdrawn": [
            email for email, reason in skipped.items() if email not in said.at or reason != "no_consent"
        ],
        "were left out and got a mail": skipped.keys() & received.keys(),
        "are unknown, and were not being sent when a worker died": unknown.keys() - in_flight,
    }.items():
        if who:
            wrong.append(f"{len(who)} {what}: {sorted(map(str, who))[:5]}")
    if others:
        wrong.append(f"messages are {', '.join(sorted(others))} after the end")
    arrived = sum(email in received for email in unknown.values())
    print(
        f"{len(rows) - len(control):,} recipients and {len(control):,} of the control group: {len(received):,} got a mail;"
        f" {len(said.at)} withdrew, {len(skipped)} of them in time; {len(late)} mails were begun after a withdrawal, the last"
        f" {max(late.values(), default=0):.2f} s; {len(unknown)} of {len(in_flight)} that were being sent at a kill are"
        f" unknown, {arrived} of which arrived"
    )
    return wrong


def run(chosen: argparse.Namespace) -> None:
    from django.core.management import call_command

    from benchmarks.population import merchants

    call_command("migrate", verbosity=0)
    (access,) = merchants(1)
    make_people(access.merchant_id, chosen.recipients * 100 // (100 - CONTROL_PERCENT))
    campaign = make_campaign(access.merchant_id, datetime.now(UTC), control_percent=CONTROL_PERCENT)
    started = time.perf_counter()
    with mail_sink() as sink:
        said, in_flight, killed = send(access, campaign.pk, sink, chosen)
    seconds = time.perf_counter() - started
    wrong = judge(campaign.pk, sink, said, in_flight)
    if len(said.at) < chosen.withdrawals or killed < chosen.kills:
        wrong.append(f"only {len(said.at)} withdrew and {killed} workers were killed")
    print(f"{killed} kills, {chosen.flush_redis} times FLUSHALL, {seconds:.0f} s")
    for each in wrong:
        print(f"WRONG: {each}")
    raise SystemExit(1 if wrong else 0)


@contextlib.contextmanager
def own_redis() -> Iterator[None]:
    """One that may be emptied: that of the development machine is other people's too."""
    from cloudpos.embedded.redis import Redis, redis_binary

    if redis_binary() is None:
        raise SystemExit("there is no redis-server on this machine")
    engine = Redis("campaign-kill-redis", durable=False)
    os.environ["REDIS_URL"] = engine.attach()
    try:
        yield
    finally:
        engine.release(force=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipients", type=int, default=10_000)
    parser.add_argument("--withdrawals", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--flush-redis", type=int, default=0)
    chosen = parser.parse_args()
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    os.environ["RATE_LIMIT_ANONYMOUS"] = UNLIMITED
    with own_redis(), throw_away_database("_campaign_kill"):
        run(chosen)


if __name__ == "__main__":
    main()
