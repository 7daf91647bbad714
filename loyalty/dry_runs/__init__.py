"""Dry runs: real purchases of a period, replayed with a change, beside what really happened. Nothing is written."""

from loyalty.dry_runs.runs import DRY_RUN_DAYS_MAX, Trial, dry_run, prepare, run
from loyalty.dry_runs.tally import DryRun

__all__ = ["DRY_RUN_DAYS_MAX", "DryRun", "Trial", "dry_run", "prepare", "run"]
