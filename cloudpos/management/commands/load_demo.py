"""`manage.py load_demo`: the demonstration merchant with two years of real purchases, in under a minute."""

import time
from typing import IO, Any, cast

from django.core.management.base import BaseCommand
from django.utils.timezone import now
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cloudpos import demonstration
from demo import reader


class Command(BaseCommand):
    help = "Loads the demonstration merchant, unless it is there. May be killed and run again."

    def handle(self, *args: Any, **options: Any) -> None:
        if demonstration.is_loaded():
            self.stdout.write("The demonstration merchant is there already.")
            return
        counts = reader.manifest()["counts"]
        started = time.monotonic()
        console = Console(file=cast(IO[str], self.stdout))
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress:
            bars = {
                "customers": progress.add_task("Customers", total=counts["customers"]),
                "sales": progress.add_task(
                    "Purchases and returns", total=counts["purchases"] + counts["returns"]
                ),
            }
            loaded = demonstration.load(at=now(), progress=lambda what, n: progress.advance(bars[what], n))
        seconds = time.monotonic() - started
        console.print(
            f"{loaded.customers:,} customers, {loaded.purchases:,} purchases and {loaded.returns:,} returns "
            f"in {seconds:.1f} s. {demonstration.attribution()}"
        )
