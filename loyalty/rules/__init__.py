"""What purchases earn, which tier they reach and why: pure functions of a history and the program's rules.

No database, no clock: every function takes the instant it is asked about.
"""

from loyalty.rules.arithmetic import POINTS_PER_ENTRY_MAX, from_cents, plain, to_cents
from loyalty.rules.basis import Basis, Line
from loyalty.rules.expiry import AFTER_EARNING, AFTER_INACTIVITY, Expiry, Pending
from loyalty.rules.explanation import explain
from loyalty.rules.fold import (
    Outcome,
    Returned,
    Sale,
    SalePoints,
    TakeBack,
    eligible_cents,
    gross_of,
    replay,
    taken_back,
)
from loyalty.rules.program import (
    KEEP,
    PROPORTIONAL,
    UNLIMITED,
    WITHIN_BALANCE,
    NextTier,
    RuleBook,
    Rules,
    next_tier,
)
from loyalty.rules.qualifying import HUNDREDTHS, Course, Qualification
from loyalty.rules.tiers import (
    Ladder,
    TierOverride,
    TierRule,
    TierStanding,
    check_tiers,
)

__all__ = [
    "AFTER_EARNING",
    "AFTER_INACTIVITY",
    "HUNDREDTHS",
    "KEEP",
    "POINTS_PER_ENTRY_MAX",
    "PROPORTIONAL",
    "UNLIMITED",
    "WITHIN_BALANCE",
    "Basis",
    "Course",
    "Expiry",
    "Ladder",
    "Line",
    "NextTier",
    "Outcome",
    "Pending",
    "Qualification",
    "Returned",
    "RuleBook",
    "Rules",
    "Sale",
    "SalePoints",
    "TakeBack",
    "TierOverride",
    "TierRule",
    "TierStanding",
    "check_tiers",
    "eligible_cents",
    "explain",
    "from_cents",
    "gross_of",
    "next_tier",
    "plain",
    "replay",
    "taken_back",
    "to_cents",
]
