"""`manage.py recalculate`: customers' figures and segments now, with a progress bar."""

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analytics.recalculations import Mode, start_recalculation
from cloudpos.api.errors import Conflict
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import Work, run_here
from cloudpos.tenancy.merchant_option import add_merchant_option, merchants_of

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


class Command(BaseCommand):
    help = (
        "Works out the figures and segments of customers who bought or returned since theirs were made; with --full, of all, and"
        " trains the models when that is due. Can be stopped at any moment: it goes on in the background, or with the next run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_merchant_option(parser)
        parser.add_argument("--full", action="store_true", help="everybody's")

    def handle(self, *args: Any, merchant: str | None, full: bool, **options: Any) -> None:
        failed = []
        with Progress(*COLUMNS) as bars:
            for each in merchants_of(merchant):
                job = _recalculate(each.pk, Mode.FULL if full else Mode.INCREMENTAL, bars, each.name)
                bars.print(f"{each.name}: {_summary(job)}")
                if job.state != Job.State.DONE:
                    failed.append(each.slug)
        if failed:
            raise CommandError(f"not done: {', '.join(failed)}")


def _recalculate(merchant_id: uuid.UUID, mode: Mode, bars: Progress, name: str) -> Job:
    try:
        job = start_recalculation(merchant_id=merchant_id, mode=mode)
    except Conflict as refusal:
        raise CommandError(f"{name}: {refusal.detail}") from None
    bar = bars.add_task(name, total=None)

    def show(found: Job | Work) -> None:
        bars.update(bar, completed=found.done, total=found.total)

    return run_here(job.pk, progress=show)


def _summary(job: Job) -> str:
    if job.state != Job.State.DONE:
        return job.error or job.get_state_display()
    figures = job.counts.get("figures", 0)
    return f"figures of {figures} customers, {job.counts.get('moved', 0)} changed their segment"
