"""`manage.py sweep`: all background work in one process, for an installation without Redis.

Runs what Celery beat would ask for, when it would, and every task that this work asks for, right here. What is pending is rows
in the database, so any number of these may run beside each other or beside Celery workers, and be killed at any moment.
"""

import logging
import signal
import threading
import time
from typing import Any, cast

from celery.schedules import BaseSchedule, maybe_schedule
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections

from cloudpos.celery import app, beat_heart

logger = logging.getLogger(__name__)

PAUSE_SECONDS_MAX = 1.0


class Command(BaseCommand):
    help = "Does the background work in this process, without a broker. Ends on SIGTERM or Ctrl-C after the task at hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="run everything once and end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        # Whatever asks for a task gets it done at once, by this process.
        app.conf.task_always_eager = True
        app.loader.import_default_modules()
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())
        entries = app.conf.beat_schedule
        if once:
            for name, entry in entries.items():
                self._run(name, entry)
            return
        due_at = dict.fromkeys(entries, 0.0)
        while not stopping.is_set():
            beat_heart()
            for name, entry in entries.items():
                if time.monotonic() < due_at[name] or stopping.is_set():
                    continue
                self._run(name, entry)
                schedule = cast(BaseSchedule, maybe_schedule(entry["schedule"]))
                pause = schedule.remaining_estimate(app.now()).total_seconds()
                due_at[name] = time.monotonic() + max(pause, PAUSE_SECONDS_MAX)
            stopping.wait(PAUSE_SECONDS_MAX)

    def _run(self, name: str, entry: dict[str, Any]) -> None:
        close_old_connections()
        try:
            app.tasks[entry["task"]](*entry.get("args", ()), **entry.get("kwargs", {}))
        except Exception:
            # One broken job must not keep the others from being done; it is tried again when it is next due.
            logger.exception("sweep_failed", extra={"sweep": name})
        finally:
            close_old_connections()
