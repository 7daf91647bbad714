"""`manage.py replay_purchases FILE --url http://127.0.0.1:3002`: tills that send a history of sales over HTTP."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now
from rich.progress import TimeRemainingColumn
from rich.table import Table

from cloudpos import demonstration
from cloudpos.progress import bars_on
from cloudpos.tenancy.merchant_option import merchant_of
from cloudpos.tenancy.models import Membership, Role, Store
from cloudpos.tills import TIMEOUT_SECONDS, Summary, Tills, read_history
from demo import reader

CONCURRENCY_MAX = 64
DEMO = "demo"


class Command(BaseCommand):
    help = (
        "Acts as tills: sends every sale and return of FILE to a running server, and says how it went. FILE is JSON "
        "lines (.gz or plain) in the words of POST /purchases, each with the store's code; or 'demo' for the sales of "
        "the demonstration merchant. Safe to repeat: what the server knows already changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="path of the history, or 'demo'")
        parser.add_argument("--url", required=True, help="where the server is, e.g. http://127.0.0.1:3002")
        parser.add_argument(
            "--merchant", default=demonstration.MERCHANT_SLUG, help="slug; default: %(default)s"
        )
        parser.add_argument(
            "--concurrency", type=int, default=8, help="number of tills; default: %(default)s"
        )
        parser.add_argument(
            "--open",
            metavar="SLUG",
            help="first open a new merchant with the demonstration's stores and customers, but no sales, and replay there",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["concurrency"] <= CONCURRENCY_MAX:
            raise CommandError(f"--concurrency must be 1 to {CONCURRENCY_MAX}")
        slug = options["merchant"]
        if options["open"]:
            slug = options["open"]
            demonstration.open_without_sales(slug=slug, at=now())
            self.stdout.write(
                f"In the admin log in as {demonstration.owner_email(slug)} with {demonstration.PASSWORD}"
            )
        merchant = merchant_of(slug)
        machine = (
            Membership.objects.for_merchant(merchant)
            .filter(role=Role.SERVICE, store=None, user__is_active=True)
            .first()
        )
        if machine is None:
            raise CommandError(f"{merchant.name} has no user with the role 'service' to send as")
        stores = {store.code: store.pk for store in Store.objects.for_merchant(merchant)}
        try:
            history = list(self._history(options["file"]))
        except (OSError, ValueError) as exc:
            raise CommandError(str(exc)) from None
        if unknown := {sale["store"] for sale in history} - stores.keys():
            raise CommandError(f"{merchant.name} has no store {', '.join(sorted(unknown))}")

        # A till waits for a server that went away; one that was never there is a mistyped address.
        try:
            httpx.get(f"{options['url'].rstrip('/')}/health", timeout=TIMEOUT_SECONDS, trust_env=False)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise CommandError(f"Nothing answers at {options['url']}: {exc}") from None
        tills = Tills(
            url=options["url"], user_id=machine.user_id, stores=stores, concurrency=options["concurrency"]
        )
        with bars_on(self.stdout, time=TimeRemainingColumn) as progress:
            bar = progress.add_task(f"Selling at {merchant.name}", total=len(history))
            summary = tills.send(history, lambda: progress.advance(bar))
        progress.console.print(report(summary))
        for failure in summary.failures:
            self.stderr.write(failure)
        if summary.refused:
            raise CommandError(f"{summary.refused} of {len(history)} were not accepted")

    def _history(self, file: str) -> Any:
        if file == DEMO:
            return reader.history(reader.last_day(now()))
        return read_history(Path(file))


def report(summary: Summary) -> Table:
    """The summary as people read it."""
    table = Table(title="Replay", show_header=False)
    rate = summary.answered / summary.seconds if summary.seconds else 0.0
    for name, value in (
        ("sales and returns", f"{summary.answered:,}"),
        ("accepted", f"{summary.accepted:,}"),
        ("known already", f"{summary.repeated:,}"),
        ("refused", f"{summary.refused:,}"),
        ("sent again", f"{summary.retries:,}"),
        ("requests per second", f"{rate:,.0f}"),
        ("p50", f"{summary.percentile(50):,.1f} ms"),
        ("p99", f"{summary.percentile(99):,.1f} ms"),
        ("seconds", f"{summary.seconds:,.1f}"),
    ):
        table.add_row(name, value)
    return table
