"""Does the sending of webhooks survive kill -9? Twenty times during 2,000 deliveries, at random moments, then to the end.

    python -m benchmarks.webhook_kill

in a throw-away database of its own, to a local receiver. Every event must have arrived. Those that arrived twice are said: what
was in the air when its sender died is sent again.
"""

import argparse
import random
import signal
import time

from benchmarks.loyalty_expiry import throw_away_database
from benchmarks.webhook_receiver import received, receiver
from benchmarks.webhook_world import make_endpoints, make_events, make_merchant, start_sender

SEED = 3027
LEASE_SECONDS = 1.0
END_SECONDS_MAX = 120


def run(deliveries: int, kills: int) -> None:
    from django.core.management import call_command

    from marketing.models import WebhookDelivery

    call_command("migrate", verbosity=0)
    chance = random.Random(SEED)
    waiting = WebhookDelivery.objects.exclude(state="delivered")
    with receiver() as url:
        merchant_id = make_merchant()
        make_endpoints(merchant_id, [f"{url}/{number}" for number in range(4)], ["purchase.recorded"])
        sent = set(make_events(merchant_id, deliveries // 4))
        killed = 0
        sender = start_sender(lease_seconds=LEASE_SECONDS)
        try:
            while killed < kills:
                before = waiting.count()
                deadline = time.monotonic() + END_SECONDS_MAX
                while waiting.count() == before and time.monotonic() < deadline:
                    time.sleep(0.005)
                # Some have been sent, some are in the air; more wait, or there would be nothing to kill.
                time.sleep(chance.uniform(0, 0.05))
                sender.send_signal(signal.SIGKILL)
                sender.wait()
                killed += 1
                print(f"killed {killed:>2}: {waiting.count():,} left", flush=True)
                if waiting.count() < deliveries // kills:
                    sent |= set(make_events(merchant_id, deliveries // 4))
                sender = start_sender(lease_seconds=LEASE_SECONDS)
            deadline = time.monotonic() + END_SECONDS_MAX
            while waiting.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            sender.kill()
            sender.wait()
        arrived = received(url)
        total = len(sent) * 4
        twice = sum(arrived.values()) - total
        lost = sent - arrived.keys()
        short = [each for each in sent if arrived.get(each, 0) < 4]
        print(
            f"{total:,} deliveries of {len(sent):,} events to 4 endpoints, {killed} kills:"
            f" {len(lost)} events lost, {len(short)} short of an endpoint, {twice} deliveries repeated"
        )
        raise SystemExit(1 if lost or short or waiting.exists() else 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deliveries", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=20)
    chosen = parser.parse_args()
    with throw_away_database("_webhook_kill"):
        run(chosen.deliveries, chosen.kills)


if __name__ == "__main__":
    main()
