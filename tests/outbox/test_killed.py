"""A relay that is killed, as by SIGKILL, at its two worst moments."""

import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from cloudpos import outbox
from tests.fixtures import Shop
from tests.outbox.conftest import PROBE, Probe, open_tasks, pending, send

KILLED = 9

RELAY = f"""
import os
import django
django.setup()
from cloudpos import outbox, wiring
wiring.ROUTES["probe.sent"] = ({PROBE!r},)
die = lambda *_: os._exit({KILLED})
%s
outbox.relay()
"""
BETWEEN_COMMIT_AND_MESSAGE = "outbox.enqueue = die"
# The recorders run after the tasks were decided on and before the events are stamped.
BEFORE_COMMIT = "wiring.RECORDERS = (wiring.Recorder(die, 'some.task', fallback='some.task'),)"


def relay_and_die(moment: str) -> None:
    # The test database, wherever the server is.
    url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    finished = subprocess.run(
        [sys.executable, "-c", RELAY % moment],
        env={
            **os.environ,
            "DATABASE_URL": url,
            "REDIS_URL": "none",
            "ENVIRONMENT": "test",
        },
        cwd=settings.BASE_DIR,
        check=False,
        timeout=60,
    )
    assert finished.returncode == KILLED


@pytest.mark.django_db(transaction=True)
def test_killed_after_the_commit_before_the_message(shop: Shop, probe: Probe, rung: list[Any]) -> None:
    (sent,) = send(shop)
    relay_and_die(BETWEEN_COMMIT_AND_MESSAGE)
    assert (pending(), open_tasks()) == (0, 1), "stamped, and its task is a row"
    outbox.sweep()
    assert probe.seen == {sent.pk: 1}


@pytest.mark.django_db(transaction=True)
def test_killed_before_the_commit(shop: Shop, probe: Probe, rung: list[Any]) -> None:
    (sent,) = send(shop)
    relay_and_die(BEFORE_COMMIT)
    assert (pending(), open_tasks()) == (1, 0), "as if it had never been touched"
    outbox.sweep()
    assert probe.seen == {sent.pk: 1}
