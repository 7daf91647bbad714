"""`manage.py refresh_rollups`: sum up the purchases of the days that have changed now, with a progress bar."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from analytics.rollups.refresh import days_behind, refresh
from cloudpos.progress import bars_on
from cloudpos.tenancy.merchant_option import add_merchant_option, merchants_of


class Command(BaseCommand):
    help = "Sums up what is new among the purchases. Can be stopped at any moment; the next run goes on from there."

    def add_arguments(self, parser: CommandParser) -> None:
        add_merchant_option(parser)
        parser.add_argument("--again", action="store_true", help="from the first purchase on")

    def handle(self, *args: Any, merchant: str | None, again: bool, **options: Any) -> None:
        with bars_on(self.stdout) as bars:
            for each in merchants_of(merchant):
                bar = bars.add_task(each.name, total=days_behind(each.pk, again=again))
                days = refresh(
                    merchant_id=each.pk,
                    again=again,
                    progress=lambda n, bar=bar: bars.advance(bar, n),  # type: ignore[misc]
                )
                bars.console.print(f"{each.name}: {days} days summed up")
