"""`manage.py review_tiers`: writes down which tiers have changed by themselves. They hold from their instant anyway."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from cloudpos.progress import bars_on
from cloudpos.tenancy.merchant_option import add_merchant_option, merchant_of
from loyalty.services import count_due_tiers, merchants_with_due_tiers, review_tiers


class Command(BaseCommand):
    help = "Reviews members' tiers whose time has come. Several at once are harmless, and so is killing one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_merchant_option(parser)
        parser.add_argument("--dry-run", action="store_true", help="say how many, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        at = now()
        slug = options["merchant"]
        merchants = [merchant_of(slug).pk] if slug else merchants_with_due_tiers(at=at)
        due = sum(count_due_tiers(merchant_id=merchant_id, at=at) for merchant_id in merchants)
        if options["dry_run"]:
            self.stdout.write(f"{due:,} tiers are to be reviewed.")
            return
        changed = 0
        with bars_on(self.stdout) as progress:
            bar = progress.add_task("Tiers", total=due)
            for merchant_id in merchants:
                changed += review_tiers(
                    merchant_id=merchant_id, at=at, progress=lambda number: progress.advance(bar, number)
                )
        self.stdout.write(self.style.SUCCESS(f"{changed:,} tiers changed."))
