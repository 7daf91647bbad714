"""`manage.py review_tiers`: writes down which tiers have changed by themselves. They hold from their instant anyway."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from cloudpos.progress import bars_on
from cloudpos.tenancy.models import Merchant
from loyalty.services import count_due_tiers, merchants_with_due_tiers, review_tiers


class Command(BaseCommand):
    help = "Reviews members' tiers whose time has come. Several at once are harmless, and so is killing one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--merchant", metavar="SLUG", help="only this merchant's")
        parser.add_argument("--dry-run", action="store_true", help="say how many, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        at = now()
        if options["merchant"]:
            merchant = Merchant.objects.filter(slug=options["merchant"]).first()
            if merchant is None:
                raise CommandError(f"There is no merchant {options['merchant']!r}")
            merchants = [merchant.pk]
        else:
            merchants = merchants_with_due_tiers(at=at)
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
