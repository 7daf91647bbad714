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

from benchmarks.loyalty_expiry import throw_away_database
from benchmarks.mail_sink import mail_sink

PREPARED_GOAL, SENT_GOAL, MEMORY_GOAL_MB = 1_000, 300, 300
HTML = (
    "<html><body><h1>Hello {{ customer.first_name }}</h1><p>You have {{ customer.points }} points, and were here"
    " {{ last_visit | date: '%d %B' }}. <a href='https://shop.example/offers'>Look at this week's offers</a>.</p></body></html>"
)

_CUSTOMERS = """
INSERT INTO customers (id, merchant_id, customer_number, type, status, first_name, last_name, company_name, tax_id, email,
    email_key, phone, gender, language, notes, tags, metadata, tier, points, segment, total_spent, visit_count, search,
    sort_name, version, created_at, updated_at)
SELECT gen_random_uuid(), %(merchant)s, n::text, 'individual', 'active', 'Person' || n, 'Test', '', '',
    'p' || n || '@mail.example', 'p' || n || '@mail.example', '', '', '', '', '{}', '{}', '', n %% 500, 'new', 0, 0,
    '{}', 'test', 1, now(), now()
FROM generate_series(1, %(count)s) AS n
"""
_PREFERENCES = """
INSERT INTO customer_preferences (id, merchant_id, customer_id, consents, language, updated_at)
SELECT gen_random_uuid(), merchant_id, id, '{"email": {"marketing": true}}', '', now() FROM customers
WHERE merchant_id = %(merchant)s
"""


def run(recipients: int, send: int) -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from cloudpos.tenancy.models import Merchant
    from marketing.campaigns import sending
    from marketing.campaigns.audience import prepare_chunk
    from marketing.campaigns.runs import start_due
    from marketing.models import Campaign, CampaignMessage, CampaignRun

    call_command("migrate", verbosity=0)
    merchant = Merchant.objects.create(name="Campaigns", slug=f"campaigns-{uuid.uuid4().hex[:12]}")
    with connection.cursor() as cursor:
        cursor.execute(_CUSTOMERS, {"merchant": merchant.pk, "count": recipients})
        cursor.execute(_PREFERENCES, {"merchant": merchant.pk})
        cursor.execute("ANALYZE")
    now = datetime.now(UTC)
    Campaign.objects.create(
        merchant=merchant,
        name="Offers",
        consent_channel="email",
        state="scheduled",
        next_run_at=now,
        variants=[
            {
                "key": key,
                "weight": 1,
                "content": {"subject": f"{key} for {{{{ customer.first_name }}}}", "html": HTML},
            }
            for key in "AB"
        ],
    )
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
    twice = sum(n > 1 for n in sink.received.values())
    print(f"{len(sink.received):,} addresses have a mail, {twice} more than one")
    raise SystemExit(1 if twice or len(sink.received) != sent else 0)


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
