"""Everything that writes the loyalty program and its ledger. One verb per function, keyword-only.

Use cases own their transaction; the other functions run inside their caller's, under the customer's lock.
"""

from loyalty.services.accounts import open_account, read_account, read_accounts
from loyalty.services.effects import NoProgram, PointsConflict
from loyalty.services.expiry import Expired, count_due_lots, expire_lots, merchants_with_due_lots
from loyalty.services.points import post_points
from loyalty.services.programs import (
    DEFAULT_TIERS,
    ProgramExists,
    active_program,
    create_program,
    put_program,
    rule_book,
    update_program,
)
from loyalty.services.sales import accrue, enroll, settle, take_back
from loyalty.services.spending import InsufficientPoints
from loyalty.services.tiers import (
    count_due_tiers,
    merchants_with_due_tiers,
    programs_with_stale_tiers,
    refresh_tiers,
    review_tiers,
)
from loyalty.services.transfers import transfer_for_merge, undo_transfer

__all__ = [
    "DEFAULT_TIERS",
    "Expired",
    "InsufficientPoints",
    "NoProgram",
    "PointsConflict",
    "ProgramExists",
    "accrue",
    "active_program",
    "count_due_lots",
    "count_due_tiers",
    "create_program",
    "enroll",
    "expire_lots",
    "merchants_with_due_lots",
    "merchants_with_due_tiers",
    "open_account",
    "post_points",
    "programs_with_stale_tiers",
    "put_program",
    "read_account",
    "read_accounts",
    "refresh_tiers",
    "review_tiers",
    "rule_book",
    "settle",
    "take_back",
    "transfer_for_merge",
    "undo_transfer",
    "update_program",
]
