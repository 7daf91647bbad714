"""A merchant whose customers have all agreed, a campaign for them, and the processes that send it."""

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

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

# The worker of the queue that campaigns are in, as `script/start webhooks` runs it; but for the lease, for whose end nobody
# wants to wait.
WORKER = """
import sys
import django
django.setup()
from cloudpos.celery import app
from marketing.campaigns import claiming
claiming.LEASE_SECONDS = int(sys.argv[1])
app.worker_main(["--quiet", "worker", "--loglevel", "ERROR", "--queues", "webhooks", "--hostname", sys.argv[2] + "@%h",
    "--pool", "threads", "--concurrency", "2", "--without-gossip", "--without-mingle"])
"""


def make_people(merchant_id: uuid.UUID, count: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_CUSTOMERS, {"merchant": merchant_id, "count": count})
        cursor.execute(_PREFERENCES, {"merchant": merchant_id})
        cursor.execute("ANALYZE")


def make_campaign(merchant_id: uuid.UUID, at: Any, **more: Any) -> Any:
    """Due at an instant, with two texts and a control group of a tenth."""
    from marketing.models import Campaign

    return Campaign.objects.create(
        merchant_id=merchant_id,
        name="Offers",
        consent_channel="email",
        state="scheduled",
        next_run_at=at,
        variants=[
            {
                "key": key,
                "weight": 1,
                "content": {"subject": f"{key} for {{{{ customer.first_name }}}}", "html": HTML},
            }
            for key in "AB"
        ],
        **more,
    )


def start_worker(name: str, *, lease_seconds: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A process of Celery's that sends campaigns."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(lease_seconds), name], env=environment, stdin=subprocess.DEVNULL
    )


def start_beat(folder: Path, *, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """The clock that rings for workers."""
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "cloudpos.celery", "--quiet", "beat", "--loglevel", "ERROR"]
        + ["-s", str(folder / "schedule"), "--pidfile="],
        env=environment,
        stdin=subprocess.DEVNULL,
    )
