"""`manage.py announce_expiring_points`: tells by events which points will soon be over. Each is told once."""

from argparse import ArgumentParser
from typing import IO, Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.timezone import now
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cloudpos.tenancy.merchant_option import add_merchant_option, merchants_of
from loyalty.services.announcing import announce_expiring


class Command(BaseCommand):
    help = (
        "Emits points.expiring_soon for points that will be over within POINTS_EXPIRING_SOON_DAYS days, once for each "
        "customer, time and reason. Several at once are harmless, and so is killing one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_merchant_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        merchants = merchants_of(options["merchant"])
        told = 0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(file=cast(IO[str], self.stdout))) as progress:
            bar = progress.add_task("Merchants", total=len(merchants))
            for merchant in merchants:
                told += announce_expiring(merchant_id=merchant.pk, at=now())
                progress.advance(bar)
        days = settings.POINTS_EXPIRING_SOON_DAYS
        self.stdout.write(self.style.SUCCESS(f"{told:,} events for points that end within {days} days."))
