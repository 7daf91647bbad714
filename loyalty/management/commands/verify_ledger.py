"""`manage.py verify_ledger`: is every invariant of the loyalty ledger true, in the whole database?"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from cloudpos.tenancy.models import Merchant
from loyalty.verification import CHECKS, REPLAY, Finding, count_accounts, verify, verify_replay

ACCOUNTS_SAMPLED = 1_000


class Command(BaseCommand):
    help = (
        "Checks the loyalty ledger: SQL over every row, and the points of purchases against the program's rules "
        f"({ACCOUNTS_SAMPLED} accounts at random, all with --full). Names the offending accounts; ends with 1 if any."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--merchant", metavar="SLUG", help="only this merchant's part")
        parser.add_argument("--full", action="store_true", help="replay the history of every account")

    def handle(self, *args: Any, **options: Any) -> None:
        merchant_id = None
        if options["merchant"]:
            merchant = Merchant.objects.filter(slug=options["merchant"]).first()
            if merchant is None:
                raise CommandError(f"There is no merchant {options['merchant']!r}")
            merchant_id = merchant.pk
        with connection.cursor() as cursor:
            # A whole database takes longer than any request may.
            cursor.execute("SET statement_timeout = 0")
        failed = 0
        for check, finding in verify(merchant_id=merchant_id):
            failed += self._report(check.number, check.says, finding)
        accounts = count_accounts(merchant_id)
        sampled = None if options["full"] or accounts <= ACCOUNTS_SAMPLED else ACCOUNTS_SAMPLED
        finding = verify_replay(merchant_id=merchant_id, accounts_max=sampled)
        looked_at = f"{REPLAY.says} ({sampled or accounts:,} of {accounts:,} accounts)"
        failed += self._report(REPLAY.number, looked_at, finding)
        if failed:
            raise CommandError(f"{failed} of {len(CHECKS) + 1} checks failed")
        self.stdout.write(self.style.SUCCESS(f"The ledger is sound: {len(CHECKS) + 1} checks."))

    def _report(self, number: int, says: str, finding: Finding | None) -> bool:
        label = f"{number:>2}" if number else " -"
        if finding is None:
            self.stdout.write(f"ok      {label}  {says}")
            return False
        self.stdout.write(self.style.ERROR(f"FAILED  {label}  {says}: {finding.total}"))
        for merchant_id, subject, wrong in finding.offenders:
            self.stdout.write(f"            merchant {merchant_id}  {subject}  {wrong}")
        return True
