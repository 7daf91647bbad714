"""`manage.py retry_event_tasks`: what the background gave up, and another try of it."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from cloudpos.models import EventTask
from cloudpos.outbox import retry_given_up
from cloudpos.tenancy.formats import counted

SECONDS_PER_DAY = 86_400


class Command(BaseCommand):
    help = (
        "Lists the tasks of events that failed at every attempt: id, age, event, task, last error. With --all or ids "
        "they are tried again from the first attempt, within seconds. Mend what their error says first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", metavar="ID", nargs="*", type=UUID, help="tasks to try again")
        parser.add_argument("--all", action="store_true", help="try all of them again")

    def handle(self, *args: Any, **options: Any) -> None:
        ids: list[UUID] = options["ids"]
        if ids and options["all"]:
            raise CommandError("Give ids or --all, not both")
        if ids or options["all"]:
            found = retry_given_up(ids=ids or None)
            self.stdout.write(f"{counted(found, 'task')} will be tried again")
            if ids and found < len(set(ids)):
                raise CommandError(f"{len(set(ids)) - found} of the ids are not of a task that was given up")
            return
        tasks = (
            EventTask.objects.filter(next_attempt_at=None)
            .order_by("created_at", "pk")
            .select_related("merchant", "event")
        )
        at = now()
        count = 0
        for task in tasks.iterator():
            count += 1
            self.stdout.write(
                f"{task.pk}  {_age((at - task.created_at).total_seconds()):>8}  {task.merchant.slug}  "
                f"{task.event.type}  {task.handler}  {task.error or '-'}"
            )
        self.stdout.write(f"Given up: {counted(count, 'task')}")


def _age(seconds: float) -> str:
    """`seconds` as the two largest units: 3d 4h, 2h 5m, 1m 10s."""
    days, rest = divmod(max(0, int(seconds)), SECONDS_PER_DAY)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"
