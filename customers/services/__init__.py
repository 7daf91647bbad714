"""Everything that writes customers, and the look-ups that a till needs. One verb per function, keyword-only.

Functions marked as use cases own their transaction; the others run inside their caller's.
"""

from customers.services.addresses import (
    AddressNotFound,
    TooManyAddresses,
    add_address,
    change_address,
    delete_address,
    keep_one_default,
)
from customers.services.consents import (
    ConsentFromTheFuture,
    append_consents,
    append_own,
    change_preferences,
    record_consent,
    refold_consents,
    say_for_oneself,
)
from customers.services.customers import (
    Draft,
    create_customer,
    create_customers,
    create_with_parts,
    delete_customer,
    hide_customer,
    update_customer,
)
from customers.services.finding import (
    CustomerNotFound,
    find_customer,
    lock_customer,
    lock_customers,
    lock_everybody,
    visible_customer_id,
)
from customers.services.profile import (
    EmailTaken,
    InvalidCustomer,
    PhoneTaken,
    index_customer,
)
from customers.services.standing import (
    add_points_from,
    add_standing,
    write_segments,
    write_standing,
    write_standings,
)

__all__ = [
    "AddressNotFound",
    "ConsentFromTheFuture",
    "CustomerNotFound",
    "Draft",
    "EmailTaken",
    "InvalidCustomer",
    "PhoneTaken",
    "TooManyAddresses",
    "add_address",
    "add_points_from",
    "add_standing",
    "append_consents",
    "append_own",
    "change_address",
    "change_preferences",
    "create_customer",
    "create_customers",
    "create_with_parts",
    "delete_address",
    "delete_customer",
    "find_customer",
    "hide_customer",
    "index_customer",
    "keep_one_default",
    "lock_customer",
    "lock_customers",
    "lock_everybody",
    "record_consent",
    "refold_consents",
    "say_for_oneself",
    "update_customer",
    "visible_customer_id",
    "write_segments",
    "write_standing",
    "write_standings",
]
