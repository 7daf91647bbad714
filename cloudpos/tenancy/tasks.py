"""Housekeeping of sessions."""

from celery import shared_task
from django.core.management import call_command


@shared_task
def forget_expired_tokens() -> None:
    """Delete refresh tokens that have run out: they are refused by their own date."""
    call_command("flushexpiredtokens")
