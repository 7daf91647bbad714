"""How fast a campaign goes out: recipients found and written down, then mails sent by one worker to a local mail server.

    python -m benchmarks.campaigns [--recipients 100000] [--send 20000]

in a throw-away database of its own. Every customer has agreed; a tenth is the control group. Prints the goals beside.
"""

import argparse
import os
import resource
import time
import uuid
from datetime import UTC, datetime

from benchmarks.campaign_world import make_campaign, make_people
from benchmarks.loyalty_expiry import throw_away_database
from benchmarks.mail_sink import mail_sink

PREPARED_GOAL, SENT_GOAL, MEMORY_GOAL_MB = 1_000, 300, 300


def run(recipients: int, send: int) -> None:
    from django.conf import settings
    from django.core.management import call_command

    from cloudpos.tenancy.models import Merchant
    from marketing.campaigns import sending
    from marketing.campaigns.audience import prepare_chunk
    from marketing.campaigns.runs import start_due
    from marketing.models import CampaignMessage, CampaignRun

    call_command("migrate", verbosity=0)
    merchant = Merchant.objects.create(name="Campaigns", slug=f"campaigns-{uuid.uuid4().hex[:12]}")
    make_people(merchant.pk, recipients)
    now = datetime.now(UTC)
    make_campaign(merchant.pk, now)
    started = time.perf_counter()
    start_due(at=now)
    campaign_run = CampaignRun.objects.get()
    while prepare_chunk(run=campaign_run, at=now):
        pass
    seconds = time.perf_counter() - started
    waiting = CampaignMessage.objects.filter(state="pending").count()
    _say(
        "prepared",
        recipients / seconds,
        PREPARED_GOAL,
        f"{recipients:,} customers in {seconds:.1f} s, {waiting:,} to send",
    )
    if send < waiting:
        CampaignMessage.objects.filter(
            pk__in=CampaignMessage.objects.filter(state="pending").values("pk")[: waiting - send]
        ).update(state="cancelled", next_attempt_at=None)
    with mail_sink() as sink:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
        started, processor = time.perf_counter(), time.process_time()
        sent = 0
        while CampaignMessage.objects.filter(state="pending").exists():
            sent += sending.work(seconds=600, threads=sending.THREADS)
        seconds = time.perf_counter() - started
        processor = time.process_time() - processor
    _say("sent", sent / seconds, SENT_GOAL, f"{sent:,} in {seconds:.1f} s, {processor:.1f} s of this process")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'memory':10} {memory:10,.0f} MB   goal {MEMORY_GOAL_MB}")
    received = sink.received
    twice = sum(n > 1 for n in received.values())
    print(f"{len(received):,} addresses have a mail, {twice} more than one")
    raise SystemExit(1 if twice or len(received) != sent else 0)


def _say(what: str, a_second: float, goal: int, more: str) -> None:
    print(f"{what:10} {a_second:10,.0f}/s   goal {goal:,}   {more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipients", type=int, default=100_000)
    parser.add_argument("--send", type=int, default=20_000)
    chosen = parser.parse_args()
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    with throw_away_database("_campaigns"):
        run(chosen.recipients, chosen.send)


if __name__ == "__main__":
    main()
