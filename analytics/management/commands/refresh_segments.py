"""`manage.py refresh_segments`: derive every customer's segment now, with a progress bar."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analytics.refresh import refresh_merchant
from cloudpos.tenancy.models import Merchant
from customers.models import Customer


class Command(BaseCommand):
    help = "Derives the segments of all customers. Can be stopped at any moment; the next run goes on from there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--merchant", help="slug of one merchant; all of them if not given")

    def handle(self, *args: Any, merchant: str | None, **options: Any) -> None:
        merchants = Merchant.objects.filter(is_active=True)
        if merchant:
            merchants = merchants.filter(slug=merchant)
            if not merchants:
                raise CommandError(f"there is no merchant {merchant!r}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as bars:
            for each in merchants:
                total = Customer.objects.for_merchant(each).visible().count()
                bar = bars.add_task(each.name, total=total)
                changed = refresh_merchant(
                    merchant_id=each.pk,
                    at=now(),
                    again=True,
                    progress=lambda seen, bar=bar: bars.advance(bar, seen),  # type: ignore[misc]
                )
                bars.print(f"{each.name}: {changed} of {total} customers changed their segment")
