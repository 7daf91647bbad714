"""`manage.py expire_points`: expires what is due. It is over anyway, from the instant itself; this writes it down."""

from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import BaseCommand
from django.utils.timezone import now
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cloudpos.tenancy.merchant_option import add_merchant_option, merchant_of
from loyalty.services import Expired, count_due_lots, expire_lots, merchants_with_due_lots


class Command(BaseCommand):
    help = "Expires points whose time is over. Several at once are harmless, and so is killing one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_merchant_option(parser)
        parser.add_argument(
            "--jobs", type=int, default=2, help="transactions at once, each on a connection of its own (2)"
        )
        parser.add_argument("--dry-run", action="store_true", help="say how many, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        at = now()
        slug = options["merchant"]
        merchants = [merchant_of(slug).pk] if slug else merchants_with_due_lots(at=at)
        due = sum((count_due_lots(merchant_id=merchant_id, at=at) for merchant_id in merchants), Expired())
        if options["dry_run"]:
            self.stdout.write(
                f"{due.points:,} points in {due.lots:,} lots of {due.accounts:,} accounts are over."
            )
            return
        expired = Expired()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(file=cast(IO[str], self.stdout))) as progress:
            bar = progress.add_task("Lots", total=due.lots)
            for merchant_id in merchants:
                expired += expire_lots(
                    merchant_id=merchant_id,
                    at=at,
                    jobs=options["jobs"],
                    progress=lambda lots: progress.advance(bar, lots),
                )
        self.stdout.write(
            self.style.SUCCESS(
                f"{expired.points:,} points in {expired.lots:,} lots of {expired.accounts:,} accounts expired."
            )
        )
