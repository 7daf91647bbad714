"""Running jobs: claimed with a lease, told how far they are, taken over when their process dies, stopped when asked.

A lease is fenced: every write of a running job names the claim under which it runs, so that a process which was thought
dead cannot write beside the one that took over. See docs/adr/0021-jobs.md.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from psycopg.errors import IdleInTransactionSessionTimeout
from psycopg.types.json import Jsonb

from cloudpos.api.encoding import encode
from cloudpos.api.errors import ApiError
from cloudpos.jobs.kinds import KINDS
from cloudpos.jobs.models import Job

logger = logging.getLogger(__name__)

# A process that died gives its job up after this long: no chunk may take longer.
LEASE_SECONDS = 120
# A job that kills its process each time, without coming further, is not tried for ever.
ATTEMPTS_MAX = 5
TELL_SECONDS_MIN = 1.0
LOOK_SECONDS = 0.5
RESULT_BYTES_MAX = 1_048_576

DIED = ("worker_died", "The process that ran it died again and again.")
TOO_LONG = ("took_too_long", "It took too long.")
TOO_LARGE = ("result_too_large", "The result is too large to be kept.")
UNEXPECTED = "Something went wrong; the log says what."


class JobCancelled(Exception):
    """Somebody asked to stop this job."""


class JobLost(Exception):
    """Another process has taken this job over: nothing may be written for it any more."""


# One at a time decides who begins what, so that JOBS_AT_ONCE holds. The key is this statement's own.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7304182)"

# Merchants in turn: who was served last waits, however many jobs they have asked for.
_CLAIM = """
WITH due AS (
    SELECT job.merchant_id, job.id FROM jobs job
    CROSS JOIN LATERAL (
        SELECT max(started_at) AS served_at FROM jobs WHERE merchant_id = job.merchant_id
    ) turn
    WHERE job.state IN ('queued', 'running') AND job.kind = ANY(%s) AND (%s::uuid IS NULL OR job.id = %s)
      AND (job.state = 'queued' OR job.leased_until <= statement_timestamp())
      AND (SELECT count(*) FROM jobs WHERE state = 'running' AND leased_until > statement_timestamp()) < %s
    ORDER BY turn.served_at NULLS FIRST, job.created_at, job.id LIMIT 1
    FOR UPDATE OF job SKIP LOCKED
)
UPDATE jobs SET state = 'running', claim = %s, attempts = attempts + 1,
    leased_until = statement_timestamp() + %s * interval '1 second',
    started_at = coalesce(started_at, statement_timestamp()),
    done = CASE WHEN cursor IS NULL THEN 0 ELSE done END,
    counts = CASE WHEN cursor IS NULL THEN '{}' ELSE counts END
FROM due WHERE jobs.merchant_id = due.merchant_id AND jobs.id = due.id
RETURNING jobs.id
"""

_TELL = """
UPDATE jobs SET done = %s, total = greatest(%s::bigint, %s), counts = %s, cursor = %s,
    attempts = CASE WHEN %s THEN 0 ELSE attempts END,
    leased_until = statement_timestamp() + %s * interval '1 second'
WHERE merchant_id = %s AND id = %s AND claim = %s
RETURNING cancel_requested
"""

_HOLD = """
UPDATE jobs SET leased_until = statement_timestamp() + %s * interval '1 second'
WHERE merchant_id = %s AND id = %s AND claim = %s
RETURNING cancel_requested
"""

_CHUNK = """
SELECT set_config('statement_timeout', %s, true), set_config('synchronous_commit', 'off', true)
"""

_FINISH = """
UPDATE jobs SET state = %s, result = %s, error_code = %s, error = %s, done = %s, total = greatest(%s::bigint, %s), counts = %s,
    claim = NULL, leased_until = NULL, finished_at = statement_timestamp()
WHERE merchant_id = %s AND id = %s AND claim = %s
"""


class Work:
    """A job in the hands of the process that runs it.

    Work that can go on where it was left calls `checkpoint` as the last thing in the transaction of each chunk: the position
    commits together with what was done, so that a kill neither loses nor repeats. Work that only reads calls `advance`, and
    begins anew when its process dies. `progress` is called whenever the row has been told how far it is.
    """

    def __init__(self, job: Job) -> None:
        self.job_id: uuid.UUID = job.pk
        self.merchant_id: uuid.UUID = job.merchant_id
        self.actor_id: uuid.UUID | None = job.actor_id
        self.parameters: dict[str, Any] = job.parameters
        self.cursor: Any = job.cursor
        self.done: int = job.done
        self.total: int | None = job.total
        self.counts: dict[str, int] = dict(job.counts)
        self.progress: Callable[[], None] = lambda: None
        self._claim = job.claim
        self._told_at = time.monotonic()

    def expect(self, total: int) -> None:
        """Say how much there is to do, as soon as that is known."""
        self.total = total

    def advance(self, done: int = 1, **counts: int) -> None:
        """So much more is done, and counted. Written at most once a second; call it as often as you like.

        Raises JobCancelled and JobLost, which end the job: let them pass.
        """
        if self.cursor is not None:
            raise RuntimeError("progress is part of a checkpoint once there is one")
        self._add(done, counts)
        if time.monotonic() - self._told_at >= TELL_SECONDS_MIN:
            self._tell(further=False)

    def checkpoint(self, cursor: Any, done: int = 1, **counts: int) -> None:
        """The chunk up to `cursor` is done. Inside its transaction, at its end: this locks the job's row. Raises as `advance`."""
        if cursor is None:
            raise ValueError("a cursor is never empty: that is the beginning")
        self._add(done, counts)
        self.cursor = cursor
        self._tell(further=True)

    def hold(self, seconds: int) -> None:
        """A statement comes that may take so long: until then nobody takes the job over. Raises as `advance`."""
        with connection.cursor() as cursor:
            cursor.execute(_HOLD, [seconds + LEASE_SECONDS, self.merchant_id, self.job_id, self._claim])
            self._heed(cursor.fetchone())

    def _add(self, done: int, counts: Mapping[str, int]) -> None:
        self.done += done
        for name, number in counts.items():
            self.counts[name] = self.counts.get(name, 0) + number

    def _tell(self, *, further: bool) -> None:
        self._told_at = time.monotonic()
        position: Any = None if self.cursor is None else Jsonb(self.cursor)
        mine = [self.merchant_id, self.job_id, self._claim]
        with connection.cursor() as cursor:
            cursor.execute(_TELL, [*self._progress(), position, further, LEASE_SECONDS, *mine])
            row = cursor.fetchone()
        self._heed(row)

    def _heed(self, row: tuple[bool] | None) -> None:
        """`row`: whether it shall be cancelled; None when it is another process's by now."""
        if row is None:
            raise JobLost()
        self.progress()
        if row[0]:
            raise JobCancelled()

    def _progress(self) -> list[Any]:
        total = self.total
        return [self.done, total, None if total is None else self.done, Jsonb(self.counts)]

    def finish(self, state: Job.State, *, result: Any = None, error_code: str = "", error: str = "") -> None:
        """Write the end, unless another process has taken the job over."""
        with connection.cursor() as cursor:
            cursor.execute(
                _FINISH,
                [
                    state,
                    result,
                    error_code,
                    error[:300],
                    *self._progress(),
                    self.merchant_id,
                    self.job_id,
                    self._claim,
                ],
            )


@contextmanager
def chunk_transaction(*, ms_max: int) -> Iterator[None]:
    """The transaction of a chunk that ends with a checkpoint; no statement of it may take longer than `ms_max`.

    Its commit does not wait for the disk. A server that loses its power then may lose the last chunks, and with them that they
    were done: the job does them again. Whoever builds upon one commits after it, and by that waits for it too.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_CHUNK, [str(ms_max)])
        yield


def run_jobs() -> int:
    """Run what is due, one job after the other, until there is nothing or JOBS_AT_ONCE are running. Returns how many."""
    ran = 0
    while (work := claim_job()) is not None:
        run(work)
        ran += 1
    return ran


def run_here(job_id: uuid.UUID, *, progress: Callable[[Job | Work], None] = lambda _: None) -> Job:
    """Have a job done before this returns: by this process, unless another one is at it. Returns it when it is over.

    `progress` is called with who knows how far it is: whenever that changes here, and twice a second while it is elsewhere.
    """
    while True:
        work = claim_job(job_id=job_id)
        if work is not None:
            work.progress = partial(progress, work)
            run(work)
        job: Job = Job.objects.get(pk=job_id)
        progress(job)
        if not job.is_active:
            return job
        time.sleep(LOOK_SECONDS)


def claim_job(*, job_id: uuid.UUID | None = None) -> Work | None:
    """Take the next job that waits, or that a dead process left; or this one. None: there is none, or enough are running."""
    claim = uuid.uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ONE_AT_A_TIME)
        cursor.execute(_CLAIM, [list(KINDS), job_id, job_id, settings.JOBS_AT_ONCE, claim, LEASE_SECONDS])
        row = cursor.fetchone()
    return Work(Job.objects.get(pk=row[0])) if row is not None else None


def _is_away(error: Exception) -> bool:
    """Whether the database is, or has ended the session of a process that did not get to its next statement for too long."""
    return isinstance(error, OperationalError | InterfaceError) or isinstance(
        error.__cause__, IdleInTransactionSessionTimeout
    )


def run(work: Work) -> None:
    """Run a claimed job to its end, whatever that is. Only a database that is away leaves it to be taken over."""
    job = Job.objects.for_merchant(work.merchant_id).get(pk=work.job_id)
    where = {"job_id": str(work.job_id), "merchant_id": str(work.merchant_id), "kind": job.kind}
    try:
        if job.cancel_requested:
            raise JobCancelled()
        if job.attempts > ATTEMPTS_MAX:
            logger.error("job_given_up", extra=where)
            work.finish(Job.State.FAILED, error_code=DIED[0], error=DIED[1])
            return
        result = KINDS[job.kind].run(work)
        encoded = None if result is None else encode(result)
        if encoded is not None and len(encoded) > RESULT_BYTES_MAX:
            work.finish(Job.State.FAILED, error_code=TOO_LARGE[0], error=TOO_LARGE[1])
        else:
            work.finish(Job.State.DONE, result=encoded.decode() if encoded is not None else None)
    except JobCancelled:
        work.finish(Job.State.CANCELLED)
    except JobLost:
        logger.warning("job_lost", extra=where)
    except ApiError as error:
        work.finish(Job.State.FAILED, error_code=error.error_code, error=error.detail)
    except SoftTimeLimitExceeded:
        logger.exception("job_took_too_long", extra=where)
        work.finish(Job.State.FAILED, error_code=TOO_LONG[0], error=TOO_LONG[1])
    except Exception as error:
        if _is_away(error):
            # Tried again when the lease is over, so not in a hurry.
            logger.exception("job_interrupted", extra=where)
            return
        logger.exception("job_failed", extra=where)
        # The class alone: messages may quote values of a customer's row.
        work.finish(Job.State.FAILED, error_code="unexpected", error=f"{UNEXPECTED} ({type(error).__name__})")
