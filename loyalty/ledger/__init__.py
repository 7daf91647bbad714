from loyalty.ledger.account import WRITTEN, Account, StaleAccount
from loyalty.ledger.awards import AwardRow, Budgets, PromotionCapped, use_budgets
from loyalty.ledger.records import Cause, Entry, LotState, ShortfallRow
from loyalty.ledger.tables import COLUMNS

__all__ = [
    "COLUMNS",
    "WRITTEN",
    "Account",
    "AwardRow",
    "Budgets",
    "Cause",
    "Entry",
    "LotState",
    "PromotionCapped",
    "ShortfallRow",
    "StaleAccount",
    "use_budgets",
]
