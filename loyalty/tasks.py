"""Loyalty in the background."""

from celery import shared_task

from loyalty.services import programs_with_stale_tiers, refresh_tiers


@shared_task(name="loyalty.tasks.refresh_stale_tiers")
def refresh_stale_tiers() -> int:
    """Bring members' tiers up to thresholds that have changed. Returns how many changed."""
    return sum(refresh_tiers(program_id=program_id) for program_id in programs_with_stale_tiers())
