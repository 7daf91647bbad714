"""Workers that tests kill, again and again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psutil
from django.conf import settings
from django.db import connection

# Forks a worker for each line that it reads, so that Django is set up once.
BEGIN = """
import os, signal, sys, time
import django
django.setup()
from cloudpos.jobs import running

running.LEASE_SECONDS = 0.5
"""
FORK = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
nursery = os.getpid()
for line in sys.stdin:
    worker = os.fork()
    if worker:
        print(worker, flush=True)
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while os.getppid() == nursery:
        running.run_jobs()
        time.sleep(0.05)
    os._exit(0)
"""


class Workers:
    """One worker at a time that runs jobs, each a process of its own. `prepare` is what it does before its first."""

    def __init__(self, prepare: str) -> None:
        # The test database, wherever the server is.
        url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        self._nursery = subprocess.Popen(
            [sys.executable, "-c", BEGIN + prepare + FORK],
            env={**os.environ, "DATABASE_URL": url, "REDIS_URL": "none", "ENVIRONMENT": "test"},
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._worker: psutil.Process | None = None

    def begin(self) -> None:
        assert self._worker is None and self._nursery.stdin is not None and self._nursery.stdout is not None
        print(file=self._nursery.stdin, flush=True)
        self._worker = psutil.Process(int(self._nursery.stdout.readline()))

    def kill(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None

    def close(self) -> None:
        self.kill()
        self._nursery.kill()
        self._nursery.communicate()


@contextmanager
def workers_that(prepare: str) -> Iterator[Workers]:
    workers = Workers(prepare)
    try:
        yield workers
    finally:
        workers.close()
