"""Is the ledger sound? Every invariant as SQL over the whole database, and purchases' points against the rules."""

from loyalty.verification.checks import Check, Finding
from loyalty.verification.replay import REPLAY, count_accounts, verify_replay
from loyalty.verification.running import CHECKS, verify

__all__ = ["CHECKS", "REPLAY", "Check", "Finding", "count_accounts", "verify", "verify_replay"]
