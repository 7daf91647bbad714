"""Asking for a dry run: small ones are answered at once, large ones by a job."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import date, timedelta
from typing import Any

from cloudpos.api.encoding import encode
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import Work
from cloudpos.jobs.services import JobNotFound, find_job, start_job
from loyalty.dry_runs.runs import Trial, prepare, run
from loyalty.reading import describe_program
from loyalty.reading_dry_runs import describe_run, period_of
from loyalty.reading_promotions import describe_promotion, vocabulary_of
from loyalty.serializers_promotions import DryRunInput

DRY_RUN = "loyalty.dry_run"
# A person waits for these, and a process that serves tills is busy with them: about a second.
PURCHASES_AT_ONCE_MAX = 20_000
# Counting more would take as long as reading them: how far such a run is, is said without "of so many".
PURCHASES_COUNTED_MAX = 5_000_000


def try_out(
    *,
    merchant_id: uuid.UUID,
    actor_id: uuid.UUID | None,
    days: int | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    **change: Any,
) -> dict[str, Any] | Job:
    """Try a change, as `prepare` takes it, on the last `days`, or on those from one to another (both included).

    The result as it is shown; or, when there are more purchases than PURCHASES_AT_ONCE_MAX, the job whose result that will
    be: the same one for whoever asks the same while it is under way. Raises what `prepare` raises, and TooManyJobs.
    """
    words = vocabulary_of(merchant_id)
    begin, end = period_of(words, days, first_day, last_day)
    trial = prepare(merchant_id=merchant_id, begin=begin, end=end, **change)
    most = PURCHASES_AT_ONCE_MAX // trial.readings
    if trial.count(most=most + 1) <= most:
        return describe_run(run(trial), words)
    parameters = _parameters(trial)
    return start_job(
        merchant_id=merchant_id,
        kind=DRY_RUN,
        parameters=parameters,
        key=hashlib.sha256(encode(parameters)).hexdigest(),
        actor_id=actor_id,
    )


def run_job(work: Work) -> dict[str, Any]:
    """A job of `try_out`. It only reads: whoever takes it over begins anew, and reads what is there by then."""
    asked = DryRunInput.parse(work.parameters)
    words = vocabulary_of(work.merchant_id)
    begin, end = period_of(words, None, asked.pop("first_day"), asked.pop("last_day"))
    trial = prepare(merchant_id=work.merchant_id, begin=begin, end=end, **asked)
    purchases = trial.count(most=PURCHASES_COUNTED_MAX + 1)
    if purchases <= PURCHASES_COUNTED_MAX:
        work.expect(purchases * trial.readings)
    found = describe_run(run(trial, work), words)
    # Histories of customers who bought nothing in the period were not read.
    work.expect(work.done)
    return found


def find_dry_run(*, merchant_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    """A job of `try_out`. Raises JobNotFound."""
    job = find_job(merchant_id=merchant_id, job_id=job_id)
    if job.kind != DRY_RUN:
        raise JobNotFound()
    return job


def _parameters(trial: Trial) -> dict[str, Any]:
    """The change with all of its values, and the days, in the words of the API: what `DryRunInput` reads."""
    if trial.promotion is not None:
        shown = describe_promotion(trial.promotion, vocabulary_of(trial.merchant_id))
        if trial.promotion._state.adding:
            del shown["id"]
        change: dict[str, Any] = {"promotion": _but(shown, "version", "summary", "createdAt", "updatedAt")}
    else:
        assert trial.proposal is not None
        shown = describe_program(trial.proposal.after, trial.proposal.tiers_after)
        change = {"program": _but(shown, "id", "isActive", "revision", "createdAt")}
    zone, period = trial.zone, trial.period
    change["firstDay"] = period.begin.astimezone(zone).date()
    change["lastDay"] = (period.end - timedelta(microseconds=1)).astimezone(zone).date()
    plain: dict[str, Any] = json.loads(encode(change))
    return plain


def _but(shown: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in names}
