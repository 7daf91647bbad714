"""`manage.py verify_ledger`: is every invariant of the loyalty ledger true, in the whole database?"""

import time
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cloudpos.tenancy.merchant_option import add_merchant_option, merchant_of
from loyalty.verification import CHECKS, REPLAY, Finding, count_accounts, verify, verify_replay

ACCOUNTS_SAMPLED = 1_000
SESSIONS = 2


class Command(BaseCommand):
    help = (
        "Checks the loyalty ledger: SQL over every row, and the points of purchases against the program's rules "
        f"({ACCOUNTS_SAMPLED} accounts at random, all with --full). Names the offending accounts; ends with 1 if any. "
        "With -v 2 it says how long each check took."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_merchant_option(parser)
        parser.add_argument(
            "--full",
            action="store_true",
            help="replay the history of every account, look closely without a reason, and trust no constraint",
        )
        parser.add_argument(
            "--sessions",
            type=int,
            default=SESSIONS,
            help=f"so many statements at once; {SESSIONS} if not given",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._verbose = options["verbosity"] > 1
        slug = options["merchant"]
        merchant_id = merchant_of(slug).pk if slug else None
        with connection.cursor() as cursor:
            # A whole database takes longer than any request may.
            cursor.execute("SET statement_timeout = 0")
        accounts = count_accounts(merchant_id)
        sampled = None if options["full"] or accounts <= ACCOUNTS_SAMPLED else ACCOUNTS_SAMPLED
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._console = Console(file=cast(IO[str], self.stdout), soft_wrap=True, highlight=False)
        with Progress(*columns, console=self._console, transient=True) as progress:
            failed = self._check(progress, merchant_id, exact=options["full"], sessions=options["sessions"])
            failed += self._replay(progress, merchant_id, sampled=sampled, accounts=accounts)
        if failed:
            raise CommandError(f"{failed} of {len(CHECKS) + 1} checks failed")
        self.stdout.write(self.style.SUCCESS(f"The ledger is sound: {len(CHECKS) + 1} checks."))

    def _check(self, progress: Progress, merchant_id: Any, *, exact: bool, sessions: int) -> int:
        bar = progress.add_task("Checks", total=len(CHECKS))
        failed = 0
        checks = verify(
            merchant_id=merchant_id, exact=exact, timed=self._tell_time, sessions=max(1, sessions)
        )
        for check, finding in checks:
            failed += self._report(check.number, check.says, finding)
            progress.advance(bar)
        return failed

    def _replay(self, progress: Progress, merchant_id: Any, *, sampled: int | None, accounts: int) -> int:
        started = time.perf_counter()
        bar = progress.add_task("Accounts", total=sampled or accounts)
        finding = verify_replay(
            merchant_id=merchant_id,
            accounts_max=sampled,
            progress=lambda number: progress.advance(bar, number),
        )
        self._tell_time("the rules, account by account", time.perf_counter() - started)
        looked_at = f"{REPLAY.says} ({sampled or accounts:,} of {accounts:,} accounts)"
        return self._report(REPLAY.number, looked_at, finding)

    def _tell_time(self, says: str, seconds: float) -> None:
        if self._verbose:
            self._say(f"{seconds:7.2f} s    {says}")

    def _report(self, number: int, says: str, finding: Finding | None) -> bool:
        label = f"{number:>2}" if number else " -"
        if finding is None:
            self._say(f"ok      {label}  {says}")
            return False
        self._say(f"FAILED  {label}  {says}: {finding.total}", style="bold red")
        for merchant_id, subject, wrong in finding.offenders:
            self._say(f"            merchant {merchant_id}  {subject}  {wrong}")
        return True

    def _say(self, line: str, *, style: str | None = None) -> None:
        self._console.print(line, style=style, markup=False)
