"""An export whose process is killed on its way: in the end there is one whole file, and nothing beside it."""

import os
import signal
import subprocess
import sys
import time
import uuid
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from cloudpos.exports.models import Export as Row
from cloudpos.exports.models import ExportPart
from cloudpos.jobs.models import Job
from customers.models import Event
from customers.services import create_customer
from tests.exports.conftest import asked
from tests.fixtures import Shop
from tests.ops.processes import wait_for

ROWS, KILLS = 6, 1

WORKER = """
import time
import django
django.setup()
from cloudpos.exports import running as exports
from cloudpos.exports import storage
from cloudpos.jobs import running

exports.CHUNK_ROWS, storage.PART_BYTES = 1, 20
running.LEASE_SECONDS, running.TELL_SECONDS_MIN = 0.5, 0
hold = running.Work.hold
running.Work.hold = lambda work, seconds: hold(work, 0)
read = exports._read
exports._read = lambda *arguments: (time.sleep(0.06), read(*arguments))[1]
while True:
    running.run_jobs()
    time.sleep(0.05)
"""


def start_worker() -> subprocess.Popen[bytes]:
    url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, "DATABASE_URL": url, "REDIS_URL": "none", "ENVIRONMENT": "test"},
        cwd=settings.BASE_DIR,
    )


@pytest.mark.django_db(transaction=True)
def test_killed_there_is_one_whole_file_in_the_end(shop: Shop) -> None:
    for number in range(ROWS):
        create_customer(access=shop.access, data={"first_name": f"Ann{number}"})
    found = asked(shop.manager, columns=["firstName"], filters={"sortOrder": "asc"})
    job = Job.objects.get(pk=uuid.UUID(found.read()["jobId"]))

    def done() -> int:
        job.refresh_from_db()
        return job.done

    worker = start_worker()
    try:
        for kill in range(1, KILLS + 1):
            wait_for(lambda kill=kill: done() >= kill * ROWS // (KILLS + 1))  # type: ignore[misc]
            time.sleep(kill * 0.004)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            assert done() < ROWS and job.state == Job.State.RUNNING
            worker = start_worker()
        wait_for(lambda: bool(done()) and not job.is_active)
    finally:
        worker.kill()
        worker.wait()
    assert (job.state, job.done, job.result["rows"]) == (Job.State.DONE, ROWS, ROWS)
    names = [f"Ann{number}" for number in range(ROWS)]
    assert [row["First name"] for row in found.rows()] == names
    assert set(ExportPart.objects.values_list("run", flat=True)) == {Row.objects.get().run}
    assert Event.objects.filter(type="export.made").count() == 1
