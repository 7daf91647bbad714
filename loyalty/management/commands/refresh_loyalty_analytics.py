"""`manage.py refresh_loyalty_analytics`: sum up the ledger for the program's figures now, with a progress bar."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cloudpos.tenancy.models import Merchant
from loyalty.analytics_rollups import pending_entries, refresh, standing


class Command(BaseCommand):
    help = "Sums up what is new in the ledger. Can be stopped at any moment; the next run goes on from there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--merchant", help="slug of one merchant; all of them if not given")
        parser.add_argument("--again", action="store_true", help="from the first entry on")

    def handle(self, *args: Any, merchant: str | None, again: bool, **options: Any) -> None:
        merchants = Merchant.objects.filter(is_active=True)
        if merchant:
            merchants = merchants.filter(slug=merchant)
            if not merchants:
                raise CommandError(f"there is no merchant {merchant!r}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as bars:
            for each in merchants:
                total = standing(each.pk).entries if again else pending_entries(each.pk)
                bar = bars.add_task(each.name, total=total)
                entries = refresh(
                    merchant_id=each.pk,
                    again=again,
                    progress=lambda n, bar=bar: bars.advance(bar, n),  # type: ignore[misc]
                )
                bars.print(f"{each.name}: {entries} entries summed up")
