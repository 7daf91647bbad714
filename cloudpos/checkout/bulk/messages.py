"""A history in the words of the REST API, as `replay_purchases` sends it: made ready for the bulk load.

Messages are purchases as POST /purchases takes them, and returns as POST /purchases/{transactionId}/returns takes them
(with `purchase`, the sale's transactionId), each with `store`, a store's code.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils.timezone import now
from rest_framework.exceptions import ValidationError

from cloudpos.api.errors import ApiError, BadRequest, Problem, describe
from cloudpos.checkout.bulk import LoadReport, load_history, tell_planner
from cloudpos.checkout.returns import record_return
from cloudpos.checkout.serializers import PurchaseInput, ReturnInput
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Store
from customers.identity import NotAnEmail, NotAPhone, normal_email, normal_phone
from customers.models import Customer
from customers.services import CustomerNotFound

MESSAGES_PER_STEP = 20_000
REFUSALS_KEPT_MAX = 20


class UnknownStore(BadRequest):
    code = "unknown_store"
    message = "The merchant has no store with this code"


@dataclass(slots=True)
class MessageReport:
    """What became of the messages. `refusals`: (number from 1, what is wrong), the first REFUSALS_KEPT_MAX."""

    loaded: LoadReport = field(default_factory=LoadReport)
    refused: int = 0
    refusals: list[tuple[int, Problem]] = field(default_factory=list)

    def refuse(self, number: int, exc: Exception) -> None:
        self.refused += 1
        if len(self.refusals) < REFUSALS_KEPT_MAX:
            self.refusals.append((number, describe(exc)))


def load_messages(
    *, access: Access, messages: Iterable[Mapping[str, Any]], progress: Callable[[int], None] | None = None
) -> MessageReport:
    """Load a history step by step, each MESSAGES_PER_STEP messages; faster the nearer they are to the order of time.

    A message that is refused is counted and left out. May be killed and run again: what is on record is passed over.
    """
    report = MessageReport()
    stores = dict(Store.objects.for_merchant(access.merchant_id).values_list("code", "pk"))
    numbered = enumerate(messages, start=1)
    while step := list(islice(numbered, MESSAGES_PER_STEP)):
        _load_step(access, stores, step, report)
        if progress is not None:
            progress(len(step))
    tell_planner()
    return report


def _load_step(
    access: Access,
    stores: Mapping[str, uuid.UUID],
    step: list[tuple[int, Mapping[str, Any]]],
    report: MessageReport,
) -> None:
    sales: list[tuple[int, dict[str, Any]]] = []
    backs: list[tuple[int, dict[str, Any]]] = []
    for number, message in step:
        try:
            parsed = _parsed(message, stores)
        except (ValidationError, ApiError) as exc:
            report.refuse(number, exc)
            continue
        parsed.setdefault("occurred_at", now())
        (backs if "purchase" in message else sales).append((number, parsed))
    customers = _Customers(access, [sale for _, sale in sales])
    by_customer: dict[uuid.UUID, list[dict[str, Any]]] = {}
    by_number: dict[tuple[uuid.UUID, str], dict[str, Any]] = {}
    for number, sale in sales:
        customer_id = customers.find(sale)
        if customer_id is None:
            report.refuse(number, CustomerNotFound())
            continue
        row = {**sale, "customer_id": customer_id, "returns": []}
        by_customer.setdefault(customer_id, []).append(row)
        by_number[row["store_id"], row["transaction_id"]] = row
    later = []
    for number, back in backs:
        origin = by_number.get((back["purchase_store_id"], back["purchase"]))
        # Without an amount it is whatever is left, which only the books know.
        if origin is not None and back.get("amount") is not None:
            origin["returns"].append(back)
        else:
            later.append((number, back))
    report.loaded.add(load_history(access=access, sales=_flat(by_customer)))
    for number, back in later:
        _take_back(access, number, back, report)


def _flat(by_customer: Mapping[uuid.UUID, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for rows in by_customer.values():
        yield from rows


def _parsed(message: Mapping[str, Any], stores: Mapping[str, uuid.UUID]) -> dict[str, Any]:
    body = {name: value for name, value in message.items() if name not in ("store", "purchase")}
    store_id = stores.get(message.get("store", ""))
    if store_id is None:
        raise UnknownStore(field="store")
    if "purchase" not in message:
        return {**PurchaseInput.parse(body), "store_id": store_id}
    back = ReturnInput.parse(body)
    return {"purchase_store_id": store_id, **back, "store_id": store_id, "purchase": message["purchase"]}


def _take_back(access: Access, number: int, back: dict[str, Any], report: MessageReport) -> None:
    try:
        with transaction.atomic():
            taken = record_return(
                access=replace(access, store_id=back["store_id"]),
                purchase_transaction_id=back["purchase"],
                back=back,
                at=now(),
            )
    except ApiError as exc:
        report.refuse(number, exc)
        return
    if taken.is_new:
        report.loaded.returns += 1
    else:
        report.loaded.repeated += 1


class _Customers:
    """The ids of everybody whom some sales name, in one query per way of naming."""

    def __init__(self, access: Access, sales: list[dict[str, Any]]) -> None:
        self._country = access.country
        self._found: dict[tuple[str, Any], uuid.UUID] = {}
        wanted: dict[str, set[Any]] = {}
        for sale in sales:
            column, key = self._key(sale)
            wanted.setdefault(column, set()).add(key)
        for column, keys in wanted.items():
            rows = (
                Customer.objects.for_merchant(access.merchant_id)
                .visible()
                .filter(**{f"{column}__in": keys - {"", None}})
                .values_list(column, "pk")
            )
            self._found.update(((column, key), customer_id) for key, customer_id in rows)

    def find(self, sale: Mapping[str, Any]) -> uuid.UUID | None:
        return self._found.get(self._key(sale))

    def _key(self, sale: Mapping[str, Any]) -> tuple[str, Any]:
        if "customer_id" in sale:
            return "id", sale["customer_id"]
        if "customer_number" in sale:
            return "customer_number", sale["customer_number"]
        try:
            if "phone" in sale:
                return "phone", normal_phone(sale["phone"], country=self._country)
            return "email_key", normal_email(sale["email"])[1]
        except (NotAnEmail, NotAPhone):
            return "id", None
