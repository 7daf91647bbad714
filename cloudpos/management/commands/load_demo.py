"""`manage.py load_demo`: the demonstration merchant with two years of real purchases, in under a minute."""

import time
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from cloudpos import demonstration
from cloudpos.progress import bars_on
from demo import reader


class Command(BaseCommand):
    help = "Loads the demonstration merchant, unless it is there. May be killed and run again."

    def handle(self, *args: Any, **options: Any) -> None:
        if demonstration.is_loaded():
            self.stdout.write("The demonstration merchant is there already.")
            return
        counts = reader.manifest()["counts"]
        started = time.monotonic()
        with bars_on(self.stdout) as progress:
            bars = {
                "customers": progress.add_task("Customers", total=counts["customers"]),
                "sales": progress.add_task(
                    "Purchases and returns", total=counts["purchases"] + counts["returns"]
                ),
            }
            loaded = demonstration.load(at=now(), progress=lambda what, n: progress.advance(bars[what], n))
        seconds = time.monotonic() - started
        progress.console.print(
            f"{loaded.customers:,} customers, {loaded.purchases:,} purchases and {loaded.returns:,} returns "
            f"in {seconds:.1f} s. {demonstration.attribution()}"
        )
