from customers.models.consent import Channel, Consent, ConsentState, Preferences, Purpose
from customers.models.customer import Address, Customer, CustomerCount, CustomerWord, Erasure, Merge
from customers.models.event import Event
from customers.models.event_type import CustomEventType
from customers.models.imports import ExternalId, Import, ImportPart, ImportRow
from customers.models.purchase import Purchase, PurchaseItem, PurchaseReturn, PurchaseReturnItem

__all__ = [
    "Address",
    "Channel",
    "Consent",
    "ConsentState",
    "CustomEventType",
    "Customer",
    "CustomerCount",
    "CustomerWord",
    "Erasure",
    "Event",
    "ExternalId",
    "Import",
    "ImportPart",
    "ImportRow",
    "Merge",
    "Preferences",
    "Purchase",
    "PurchaseItem",
    "PurchaseReturn",
    "PurchaseReturnItem",
    "Purpose",
]
