from loyalty.ledger.account import WRITTEN, Account, StaleAccount
from loyalty.ledger.records import Cause, Entry, LotState, ShortfallRow
from loyalty.ledger.tables import COLUMNS

__all__ = ["COLUMNS", "WRITTEN", "Account", "Cause", "Entry", "LotState", "ShortfallRow", "StaleAccount"]
