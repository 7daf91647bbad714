"""Does the sweep of expired points survive kill -9? Ten times, at a random moment of its work, then to the end.

    python -m benchmarks.expiry_kill --lots 200000 --accounts 40000

fills a throw-away database of its own as `benchmarks.loyalty_expiry` does, starts `manage.py expire_points` in a process of its
own, and kills it some time after it has committed something. In the end three run beside each other. Every lot must have
expired once, every account be at 0, and `verify_ledger` find nothing.
"""

import argparse
import random
import signal
import subprocess
import sys
import time

from benchmarks.loyalty_expiry import POINTS, fill, throw_away_database

SEED = 3007
KILLS = 10
PAUSE_SECONDS_MAX = 0.8

_LEFT = "SELECT count(*) FROM loyalty_lots WHERE remaining > 0"
_TOTALS = """
SELECT (SELECT count(*) FROM loyalty_allocations WHERE expired),
    (SELECT sum(points) FROM loyalty_transactions WHERE type = 'expired'),
    (SELECT count(*) FROM customer_events WHERE type = 'points.expired'), (SELECT sum(balance) FROM loyalty_enrollments),
    (SELECT sum(points) FROM customers), (SELECT count(*) FROM loyalty_transactions WHERE type = 'expired')
"""


def run(lots: int, accounts: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    from loyalty.verification import verify

    def ask(sql: str) -> tuple[int, ...]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return tuple(int(value) for value in cursor.fetchone())

    call_command("migrate", verbosity=0)
    fill(lots, accounts)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    chance = random.Random(SEED)
    killed = 0
    while killed < KILLS:
        (before,) = ask(_LEFT)
        sweep = start()
        while ask(_LEFT)[0] == before and sweep.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, PAUSE_SECONDS_MAX))
        if sweep.poll() is not None:
            raise SystemExit(f"over after {killed} kills: take more lots")
        sweep.send_signal(signal.SIGKILL)
        sweep.wait()
        killed += 1
        print(
            f"killed {killed:>2}: {before - ask(_LEFT)[0]:,} lots expired, {ask(_LEFT)[0]:,} left", flush=True
        )
    ends = [sweep.wait() for sweep in [start() for _ in range(3)]]
    expired = lots // accounts * accounts
    allocations, points, events, balances, shown, entries = ask(_TOTALS)
    unsound = [finding.says for _, finding in verify(exact=True) if finding is not None]
    print(f"three beside each other ended with {ends}")
    print(
        f"{allocations:,} of {expired:,} lots expired, {points:,} points, {entries:,} entries, {events:,} events,"
    )
    print(f"balances {balances:,}, shown {shown:,}; verify_ledger: {', '.join(unsound) or 'sound'}")
    exact = (allocations, points, balances, shown, entries) == (expired, -expired * POINTS, 0, 0, events)
    raise SystemExit(0 if exact and not unsound and not any(ends) else "the books are wrong")


def start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "manage.py", "expire_points"], stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lots", type=int, default=200_000)
    parser.add_argument("--accounts", type=int, default=40_000)
    chosen = parser.parse_args()
    with throw_away_database("_kill"):
        run(chosen.lots, chosen.accounts)


if __name__ == "__main__":
    main()
