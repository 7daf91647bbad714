"""How fast webhooks go out, and what one endpoint that hangs does to the others.

    python -m benchmarks.webhooks

in a throw-away database of its own, to a receiver on this machine, by one sending process.

1. Throughput: so many deliveries wait, spread over 20 endpoints; how many go out a second until none is left.
2. Delay: events come at a steady rate for a while; one endpoint never answers. How long after they were queued the
   deliveries of the others are sent: median, 95th and 99th percentile.
"""

import argparse
import os
import time
from typing import Any

from benchmarks.loyalty_expiry import throw_away_database
from benchmarks.webhook_receiver import received, receiver
from benchmarks.webhook_world import make_endpoints, make_events, make_merchant, start_sender

ENDPOINTS = 20
WAIT_SECONDS_MAX = 300

_DELAYS = """
SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM delivery.sent_at - delivery.created_at)),
    count(*)
FROM webhook_deliveries delivery JOIN customer_webhooks webhook USING (merchant_id)
WHERE webhook.id = delivery.webhook_id AND merchant_id = %s AND webhook.url NOT LIKE '%%/hang' AND delivery.state = 'delivered'
"""


def throughput(url: str, deliveries: int) -> None:
    from marketing.models import WebhookDelivery

    merchant_id = make_merchant()
    make_endpoints(merchant_id, [f"{url}/{number}" for number in range(ENDPOINTS)], ["*"])
    started = time.perf_counter()
    make_events(merchant_id, deliveries // ENDPOINTS)
    queued = time.perf_counter() - started
    print(f"queued {deliveries:,} in {queued:.1f} s: {deliveries / queued:,.0f}/s", flush=True)
    mine = WebhookDelivery.objects.for_merchant(merchant_id)
    sender = start_sender(lease_seconds=30)
    try:
        wait(lambda: not mine.exclude(state="delivered").exists())
        usage = os.times()
    finally:
        sender.kill()
        sender.wait()
    ends = mine.order_by("sent_at").values_list("sent_at", flat=True)
    seconds = (ends[deliveries - 1] - ends[0]).total_seconds()
    cpu = os.times().children_user + os.times().children_system - usage.children_user - usage.children_system
    print(
        f"sent {deliveries:,} in {seconds:.1f} s: {deliveries / seconds:,.0f}/s;"
        f" the sender took {cpu:.1f} s of processor, {cpu / deliveries * 1e3:.2f} ms each",
        flush=True,
    )


def delays(url: str, rate: int, seconds: int, *, hanging: bool) -> None:
    from django.db import connection
    from django.db.models import F

    from marketing.models import WebhookDelivery

    merchant_id = make_merchant()
    urls = [f"{url}/{number}" for number in range(ENDPOINTS - 1)] + ([f"{url}/hang"] if hanging else [])
    make_endpoints(merchant_id, urls, ["*"])
    healthy = WebhookDelivery.objects.for_merchant(merchant_id).exclude(webhook__url__endswith="/hang")
    sender = start_sender(lease_seconds=30)
    try:
        # Measured is what a running sender does, not how long Python takes to start.
        make_events(merchant_id, 1)
        wait(lambda: not healthy.exclude(state="delivered").exists())
        healthy.update(created_at=F("sent_at"))
        started = time.perf_counter()
        for second in range(seconds):
            make_events(merchant_id, rate // ENDPOINTS)
            time.sleep(max(0.0, started + second + 1 - time.perf_counter()))
        wait(lambda: not healthy.exclude(state="delivered").exists())
    finally:
        sender.kill()
        sender.wait()
    with connection.cursor() as cursor:
        cursor.execute(_DELAYS, [merchant_id])
        (median, p95, p99), count = cursor.fetchone()
    what = "one endpoint hangs" if hanging else "all answer"
    print(
        f"{what}: {count:,} deliveries at {rate}/s, delay median {median:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s"
    )


def wait(done: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not done after {WAIT_SECONDS_MAX} s")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=200, help="deliveries a second while delays are measured")
    parser.add_argument("--seconds", type=int, default=30)
    chosen = parser.parse_args()
    with throw_away_database("_webhooks"):
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
        with receiver() as url:
            throughput(url, chosen.deliveries)
            for hanging in (False, True):
                delays(url, chosen.rate, chosen.seconds, hanging=hanging)
            assert received(url)
        print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
