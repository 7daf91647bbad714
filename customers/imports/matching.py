"""Which customer a row means: by what it says of them, and whether an earlier row of the file means the same."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from django.db import connection

from customers.imports.rows import ReadRow
from customers.models import Purpose
from customers.services.finding import CustomerNotFound, visible_customer_id

if TYPE_CHECKING:
    import numpy as np


# A prepared plan does not hash the keys, and compares each with every customer of the merchant where statistics are missing: an
# import is what makes them wrong. The setting must be gone before the commit, which would plan each check of a reference anew.
_FOR_THESE_KEYS = "SET LOCAL plan_cache_mode = force_custom_plan"
_AS_EVER = "SET LOCAL plan_cache_mode = auto"
_BY_EMAIL, _BY_PHONE = (
    f"SELECT {column}, id, customer_number, true FROM customers"  # noqa: S608 - a column of ours
    f" WHERE merchant_id = %s AND {column} = ANY(%s) AND {column} <> '' AND deleted_at IS NULL"
    for column in ("email_key", "phone")
)
_BY_NUMBER = (
    "SELECT customer_number, id, customer_number, deleted_at IS NULL FROM customers"
    " WHERE merchant_id = %s AND customer_number = ANY(%s)"
)
_BY_EXTERNAL_ID = (
    "SELECT e.external_id, c.id, c.customer_number, c.deleted_at IS NULL FROM customer_external_ids e"
    " JOIN customers c ON c.merchant_id = e.merchant_id AND c.id = e.customer_id"
    " WHERE e.merchant_id = %s AND e.external_id = ANY(%s)"
)


@dataclass(frozen=True, slots=True)
class Hit:
    id: uuid.UUID
    number: str


@dataclass(slots=True)
class Found:
    """Who has the keys of a chunk's rows."""

    by_email: dict[str, Hit] = field(default_factory=dict)
    by_phone: dict[str, Hit] = field(default_factory=dict)
    by_number: dict[str, Hit] = field(default_factory=dict)
    by_external_id: dict[str, Hit] = field(default_factory=dict)

    def of(self, row: ReadRow) -> dict[str, Hit]:
        """By each key of a row who has it."""
        hits = {
            "email": self.by_email.get(row.email_key),
            "phone": self.by_phone.get(row.phone),
            "customerNumber": self.by_number.get(row.customer_number),
            "externalId": self.by_external_id.get(row.external_id),
        }
        return {key: hit for key, hit in hits.items() if hit is not None}


def find_customers(merchant_id: uuid.UUID, rows: Sequence[ReadRow]) -> Found:
    """Who has the keys of these rows, inside the caller's transaction; at most a statement for each kind of key."""
    found = Found()
    emails = {row.email_key for row in rows if row.email_key}
    phones = {row.phone for row in rows if row.phone}
    numbers = {row.customer_number for row in rows if row.customer_number}
    external_ids = {row.external_id for row in rows if row.external_id}
    hidden: list[tuple[str, dict[str, Hit], uuid.UUID, str]] = []
    with connection.cursor() as cursor:
        cursor.execute(_FOR_THESE_KEYS)
        for sql, keys, into in (
            (_BY_EMAIL, emails, found.by_email),
            (_BY_PHONE, phones, found.by_phone),
            (_BY_NUMBER, numbers, found.by_number),
            (_BY_EXTERNAL_ID, external_ids, found.by_external_id),
        ):
            if not keys:
                continue
            cursor.execute(sql, [merchant_id, list(keys)])
            for key, id_, number, is_visible in cursor.fetchall():
                if is_visible:
                    into[key] = Hit(id_, number)
                else:
                    hidden.append((key, into, id_, number))
        cursor.execute(_AS_EVER)
    for key, into, id_, number in hidden:
        # Of one that was merged into another, that one is meant; one that was deleted is nobody's.
        try:
            into[key] = Hit(visible_customer_id(merchant_id=merchant_id, customer_id=id_), number)
        except CustomerNotFound:
            continue
    return found


# What people said who are hidden by now; of one who was merged into another, what that one said counts too.
_WITHDRAWN = """
SELECT c.email_key, c.phone, p.consents FROM customers c
JOIN customer_preferences p ON p.merchant_id = c.merchant_id AND p.customer_id IN (c.id, c.merged_into_id)
WHERE c.merchant_id = %s AND c.deleted_at IS NOT NULL AND c.{column} = ANY(%s) AND c.{column} <> ''
"""


def withdrawn_by_hidden(merchant_id: uuid.UUID, rows: Sequence[ReadRow]) -> dict[str, set[str]]:
    """By e-mail key or phone, on which channels somebody who was deleted or merged had withdrawn consent to marketing."""
    withdrawn: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_FOR_THESE_KEYS)
        for column, keys in (
            ("email_key", {row.email_key for row in rows if row.email_key}),
            ("phone", {row.phone for row in rows if row.phone}),
        ):
            if not keys:
                continue
            cursor.execute(_WITHDRAWN.format(column=column), [merchant_id, list(keys)])
            for email_key, phone, consents in cursor.fetchall():
                said = json.loads(consents)
                channels = {name for name, told in said.items() if told.get(Purpose.MARKETING.value) is False}
                withdrawn.setdefault(email_key if column == "email_key" else phone, set()).update(channels)
        cursor.execute(_AS_EVER)
    return withdrawn


class Seen:
    """Which keys stood in earlier rows of a file, and where: twelve bytes for each, so that millions fit.

    Keys are told apart by 64 bits of their hash.
    """

    def __init__(self) -> None:
        # Sorted, each at least twice as long as the one after it.
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    def mark(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """What is remembered now, for `forget_since`."""
        return list(self._runs)

    def forget_since(self, mark: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take back what was remembered after `mark`."""
        self._runs = list(mark)

    def earlier(self, rows: Sequence[ReadRow]) -> dict[int, tuple[str, int]]:
        """By the number of a row: (a key of it that stood in an earlier one, that row's number). They are remembered."""
        named = [(row.number, name, _hash(name, key)) for row in rows for name, key in _keys(row)]
        first = self._note([hashed for _, _, hashed in named], [number for number, _, _ in named])
        found: dict[int, tuple[str, int]] = {}
        for (number, name, _), before in zip(named, first, strict=True):
            if before:
                found.setdefault(number, (name, before))
        return found

    def earlier_customers(self, customers: Sequence[tuple[uuid.UUID, int]]) -> dict[int, int]:
        """Of (customer, number of the row that means them): by row the number of an earlier one that means the same."""
        hashes = [_hash("customer", customer_id.hex) for customer_id, _ in customers]
        first = self._note(hashes, [number for _, number in customers])
        return {number: before for (_, number), before in zip(customers, first, strict=True) if before}

    def _note(self, hashes: list[int], numbers: list[int]) -> list[int]:
        """The number of the row where each stood first, 0 for those that are new; those are remembered."""
        if not hashes:
            return []
        # Here, as below: every process knows the tasks, and only one that imports needs numpy.
        import numpy as np

        wanted = np.array(hashes, dtype=np.uint64)
        first = np.zeros(len(wanted), dtype=np.uint32)
        for keys, rows in self._runs:
            places = np.searchsorted(keys, wanted)
            places[places == len(keys)] = 0
            first = np.where((keys[places] == wanted) & (first == 0), rows[places], first)
        known = first.tolist()
        new: dict[int, int] = {}
        for place, (hashed, number) in enumerate(zip(hashes, numbers, strict=True)):
            if known[place]:
                continue
            before = new.setdefault(hashed, number)
            if before != number:
                known[place] = before
        self._add(new)
        return known

    def _add(self, new: dict[int, int]) -> None:
        if not new:
            return
        import numpy as np

        keys = np.fromiter(new.keys(), dtype=np.uint64, count=len(new))
        rows = np.fromiter(new.values(), dtype=np.uint32, count=len(new))
        while self._runs and len(self._runs[-1][0]) < 2 * len(keys):
            more_keys, more_rows = self._runs.pop()
            keys, rows = np.concatenate([more_keys, keys]), np.concatenate([more_rows, rows])
        order = np.argsort(keys)
        self._runs.append((keys[order], rows[order]))


def _hash(name: str, key: str) -> int:
    return int.from_bytes(blake2b(f"{name}:{key}".encode(), digest_size=8).digest(), "big")


def _keys(row: ReadRow) -> list[tuple[str, str]]:
    keys = [
        ("email", row.email_key),
        ("phone", row.phone),
        ("customerNumber", row.customer_number),
        ("externalId", row.external_id),
    ]
    return [(name, key) for name, key in keys if key]
