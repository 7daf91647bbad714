"""`manage.py lapse_holds`: writes down which holds are over. Their points are free anyway, from the instant itself."""

from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import BaseCommand
from django.utils.timezone import now
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cloudpos.tenancy.merchant_option import add_merchant_option, merchant_of
from loyalty.services.lapsing import count_due, lapse_holds


class Command(BaseCommand):
    help = "Lapses holds whose time is over and puts rewards back into stock. Several at once are harmless."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_merchant_option(parser)
        parser.add_argument("--dry-run", action="store_true", help="say how many, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["merchant"]
        merchant_id = merchant_of(slug).pk if slug else None
        at = now()
        due = count_due(at=at, merchant_id=merchant_id)
        if options["dry_run"]:
            self.stdout.write(f"{due:,} holds are over.")
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(file=cast(IO[str], self.stdout))) as progress:
            bar = progress.add_task("Holds", total=due)
            lapsed = lapse_holds(
                at=at, merchant_id=merchant_id, progress=lambda number: progress.advance(bar, number)
            )
        self.stdout.write(self.style.SUCCESS(f"{lapsed:,} holds lapsed."))
