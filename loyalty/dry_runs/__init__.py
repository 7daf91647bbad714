"""Dry runs: real purchases of a period, replayed with a change, beside what really happened. Nothing is written."""

from loyalty.dry_runs.runs import DRY_RUN_DAYS_MAX, PURCHASES_MAX, TooManyPurchases, dry_run
from loyalty.dry_runs.tally import DryRun

__all__ = ["DRY_RUN_DAYS_MAX", "PURCHASES_MAX", "DryRun", "TooManyPurchases", "dry_run"]
