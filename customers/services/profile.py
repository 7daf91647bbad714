"""From what a caller says of a customer to the columns of its row: normalised, checked, indexed."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

from cloudpos.api.errors import BadRequest, Conflict, FieldError
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Store
from customers.identity import NotAnEmail, NotAPhone, name_to_sort_by, normal_email, normal_phone, normal_tags
from customers.models import Customer
from customers.models.customer import TAGS_MAX
from customers.search import lexemes

# What a caller may write, with what it is when nobody says.
PROFILE_DEFAULTS: Mapping[str, Any] = {
    "first_name": "",
    "last_name": "",
    "company_name": "",
    "tax_id": "",
    "email": "",
    "phone": "",
    "date_of_birth": None,
    "gender": "",
    "language": "",
    "notes": "",
    "tags": [],
    "metadata": {},
}
# A PUT that leaves these out keeps them: a till that replaces a name must not reactivate a suspended customer.
KEPT_UNLESS_SAID = frozenset({"type", "status", "home_store_id"})
WRITABLE = KEPT_UNLESS_SAID | PROFILE_DEFAULTS.keys()
SEARCHED = frozenset(
    {
        "type",
        "first_name",
        "last_name",
        "company_name",
        "email",
        "phone",
        "tags",
        "date_of_birth",
        "home_store_id",
        "customer_number",
    }
)


class InvalidCustomer(BadRequest):
    """`errors` says what is wrong with which field."""


class EmailTaken(Conflict):
    code = "email_taken"
    message = "Another customer has this e-mail address"


class PhoneTaken(Conflict):
    code = "phone_taken"
    message = "Another customer has this phone number"


def taken(*, field: str, customer_id: uuid.UUID | None) -> Conflict:
    """The 409 that names the customer who has this e-mail or phone."""
    error = EmailTaken if field == "email" else PhoneTaken
    extra = {"customerId": customer_id} if customer_id else {}
    return error(field=field, extra=extra)


def apply_profile(
    customer: Customer,
    data: Mapping[str, Any],
    *,
    access: Access,
    today: date,
    stores: Collection[uuid.UUID] | None = None,
    email_key: str | None = None,
) -> tuple[set[str], list[FieldError]]:
    """Put the writable part of `data` on the instance, normalised: (columns that changed, what is wrong).

    `data` has Python names; `phone_country` hints at where a phone number without + was written. `stores` are the
    merchant's, when the caller knows them already. `email_key` is said where e-mail, phone and tags are normalised already.
    """
    errors: list[FieldError] = []
    values = {name: data[name] for name in WRITABLE & data.keys()}
    # What is absent may be said as null.
    for name, value in values.items():
        if value is None:
            default = PROFILE_DEFAULTS.get(name)
            if default is not None:
                values[name] = type(default)()
    if email_key is not None:
        if "email" in values:
            values["email_key"] = email_key if values["email"] else ""
    elif "email" in values:
        try:
            values["email"], values["email_key"] = normal_email(values["email"])
        except NotAnEmail as exc:
            errors.append(FieldError("email", str(exc), "invalid_email"))
            del values["email"]
    if "phone" in values and email_key is None:
        try:
            country = data.get("phone_country") or access.country
            values["phone"] = normal_phone(values["phone"], country=country)
        except NotAPhone as exc:
            errors.append(FieldError("phone", str(exc), "invalid_phone"))
            del values["phone"]
    if "tags" in values:
        if email_key is None:
            values["tags"] = normal_tags(values["tags"])
        if len(values["tags"]) > TAGS_MAX:
            errors.append(FieldError("tags", f"A customer has at most {TAGS_MAX} tags.", "max_length"))
    birth = values.get("date_of_birth")
    if birth is not None and birth > today:
        errors.append(FieldError("dateOfBirth", "This day is in the future.", "future_date"))
    store_id = values.get("home_store_id")
    if store_id not in (None, access.store_id, customer.home_store_id) and not (
        store_id in stores
        if stores is not None
        else Store.objects.for_merchant(access.merchant_id).filter(pk=store_id).exists()
    ):
        errors.append(FieldError("homeStoreId", "There is no such store.", "store_not_found"))
    changed = {name for name, value in values.items() if getattr(customer, name) != value}
    for name in changed:
        setattr(customer, name, values[name])
    if not errors:
        errors.extend(_incomplete(customer))
    return changed, errors


def _incomplete(customer: Customer) -> list[FieldError]:
    if customer.type == Customer.Type.BUSINESS and not customer.company_name:
        return [FieldError("companyName", "A business needs its company name.", "required")]
    known_by = (
        customer.first_name,
        customer.last_name,
        customer.company_name,
        customer.email_key,
        customer.phone,
    )
    if not any(known_by):
        message = "Give at least a name, a company, an e-mail address or a phone number."
        return [FieldError("firstName", message, "required")]
    return []


def tsvector(lexemes: Iterable[str]) -> str:
    """Lexemes as PostgreSQL writes them, for where no placeholder of the field's is."""
    return " ".join("'" + each.replace("\\", "\\\\").replace("'", "''") + "'" for each in lexemes)


def index_customer(customer: Customer, *, search_key: str) -> None:
    """Set what the list searches and sorts by, from the instance's own columns. A hidden customer is not found."""
    customer.sort_name = name_to_sort_by(
        is_business=customer.type == Customer.Type.BUSINESS,
        first_name=customer.first_name,
        last_name=customer.last_name,
        company_name=customer.company_name,
        email=customer.email_key,
        phone=customer.phone,
    )
    if customer.deleted_at is not None:
        customer.search = []
        return
    customer.search = lexemes(
        search_key=search_key,
        texts=[
            customer.first_name,
            customer.last_name,
            customer.company_name,
            customer.email_key,
            customer.customer_number,
        ],
        phone=customer.phone,
        tags=customer.tags,
        birth=customer.date_of_birth,
        home_store_id=customer.home_store_id,
    )
