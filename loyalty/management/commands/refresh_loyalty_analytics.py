"""`manage.py refresh_loyalty_analytics`: sum up the ledger for the program's figures now, with a progress bar."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cloudpos.tenancy.merchant_option import add_merchant_option, merchants_of
from loyalty.analytics_rollups import pending_entries, refresh, standing


class Command(BaseCommand):
    help = "Sums up what is new in the ledger. Can be stopped at any moment; the next run goes on from there."

    def add_arguments(self, parser: CommandParser) -> None:
        add_merchant_option(parser)
        parser.add_argument("--again", action="store_true", help="from the first entry on")

    def handle(self, *args: Any, merchant: str | None, again: bool, **options: Any) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as bars:
            for each in merchants_of(merchant):
                total = standing(each.pk).entries if again else pending_entries(each.pk)
                bar = bars.add_task(each.name, total=total)
                entries = refresh(
                    merchant_id=each.pk,
                    again=again,
                    progress=lambda n, bar=bar: bars.advance(bar, n),  # type: ignore[misc]
                )
                bars.print(f"{each.name}: {entries} entries summed up")
