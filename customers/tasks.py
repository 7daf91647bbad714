"""Background work on customers."""

from celery import shared_task

from customers import counting


@shared_task
def compact_counts() -> None:
    """Fold the deltas behind the list's totals."""
    counting.compact_counts()
