"""Housekeeping of the HTTP layer."""

from celery import shared_task
from django.utils import timezone

from cloudpos.api import idempotency


@shared_task(name="cloudpos.api.tasks.forget_idempotency_keys")
def forget_idempotency_keys() -> int:
    """Delete stored answers that are past their time. Harmless when run twice."""
    return idempotency.forget(at=timezone.now())
