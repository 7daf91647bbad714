"""Loyalty in the background."""

from typing import Any

from celery import shared_task
from django.utils.timezone import now

from cloudpos.jobs.kinds import job_kind
from cloudpos.jobs.running import Work
from loyalty import analytics_rollups
from loyalty.dry_runs import jobs as dry_run_jobs
from loyalty.services import (
    announcing,
    expire_lots,
    lapsing,
    merchants_with_due_lots,
    merchants_with_due_tiers,
    programs_with_stale_tiers,
    refresh_tiers,
    review_tiers,
)

# A million lots at one merchant's midnight: two transactions at once halve the time until lists show the true balances.
EXPIRY_JOBS = 2


@shared_task(name="loyalty.tasks.refresh_stale_tiers")
def refresh_stale_tiers() -> int:
    """Bring members' tiers up to thresholds that have changed. Returns how many changed."""
    return sum(refresh_tiers(program_id=program_id) for program_id in programs_with_stale_tiers())


@shared_task(name="loyalty.tasks.review_due_tiers")
def review_due_tiers() -> int:
    """Write down the tiers of members whose time has come. Returns how many changed; most times there are none."""
    at = now()
    return sum(
        review_tiers(merchant_id=merchant_id, at=at) for merchant_id in merchants_with_due_tiers(at=at)
    )


@shared_task(name="loyalty.tasks.lapse_holds")
def lapse_holds() -> int:
    """Write down which holds and vouchers are over. Returns how many."""
    at = now()
    return lapsing.lapse_holds(at=at) + lapsing.lapse_vouchers(at=at)


@shared_task(name="loyalty.tasks.expire_points")
def expire_points() -> int:
    """Expire the lots of each merchant whose day has ended. Returns how many; most times there are none."""
    at = now()
    return sum(
        expire_lots(merchant_id=merchant_id, at=at, jobs=EXPIRY_JOBS).lots
        for merchant_id in merchants_with_due_lots(at=at)
    )


@shared_task(name="loyalty.tasks.announce_expiring_points")
def announce_expiring_points() -> int:
    """Tell of points that will soon be over, at each merchant's own midnight. Returns the number of events."""
    at = now()
    return sum(
        announcing.announce_expiring(merchant_id=merchant_id, at=at)
        for merchant_id in announcing.merchants_at_midnight(at=at)
    )


@shared_task(name="loyalty.tasks.refresh_program_analytics")
def refresh_program_analytics() -> int:
    """Sum up what is new in the ledgers, so that reading the figures stays quick. Returns the number of entries."""
    return sum(
        analytics_rollups.refresh(merchant_id=merchant_id)
        for merchant_id in analytics_rollups.merchants_behind()
    )


@job_kind(dry_run_jobs.DRY_RUN, title="Dry run")
def dry_run(work: Work) -> Any:
    return dry_run_jobs.run_job(work)
