"""Points that the service gives on the merchant's behalf, such as with a campaign."""

from cloudpos.tenancy.statements import Statement
from customers.events import add_events
from customers.models import Customer
from customers.services import add_standing
from loyalty.ledger import WRITTEN, Cause
from loyalty.services.effects import NoProgram
from loyalty.services.sales import open_settled_account
from loyalty.services.spending import adjust


def give_points(*, customer: Customer, points: int, description: str, transaction_id: str) -> None:
    """Credit a locked customer, inside the caller's transaction, which sees to it that it happens once. Raises NoProgram."""
    account = open_settled_account(customer=customer)
    if account is None:
        raise NoProgram()
    cause = Cause(at=account.at, description=description, transaction_id=transaction_id)
    adjust(account=account, points=points, cause=cause)
    statement = Statement()
    account.add_to(statement)
    add_standing(statement, customer, points=account.balance, tier=account.tier)
    add_events(statement, account.events(store_id=None, actor_id=None, request_id=""))
    (written,) = statement.execute(f"SELECT {WRITTEN}")
    if not written:
        raise AssertionError("a gift under its customer's lock was not written")
