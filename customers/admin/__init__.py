"""Read-only pages of what customers bought, said and did. The customer page itself is in `cloudpos.admin`."""

from customers.admin.activity import EventAdmin
from customers.admin.consents import ConsentAdmin
from customers.admin.finding import CustomerFilter, SearchesByCustomer, matching_customers
from customers.admin.purchases import PurchaseAdmin, PurchaseReturnAdmin
from customers.admin.words import customer_link, event_words, link, numbers

# Pages are registered where they are written.
__all__ = [
    "ConsentAdmin",
    "CustomerFilter",
    "EventAdmin",
    "PurchaseAdmin",
    "PurchaseReturnAdmin",
    "SearchesByCustomer",
    "customer_link",
    "event_words",
    "link",
    "matching_customers",
    "numbers",
]
