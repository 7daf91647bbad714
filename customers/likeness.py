"""How alike two customers are, in numbers and in words. Pure functions, no database.

The score adds up independent evidence (1 minus the product of what each piece leaves open) and shrinks when birth
dates contradict each other. It orders a list for a person who decides; it is not a probability.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher
from itertools import combinations

from customers.search import fold

MAILBOX_WEIGHT = 0.9
TAX_ID_WEIGHT = 0.9
BIRTH_WEIGHT = 0.6
PHONE_WEIGHT = 0.6
LOCAL_PART_WEIGHT = 0.5
NAME_WEIGHT = 0.4
POSTCODE_WEIGHT = 0.4
SWAPPED_BIRTH_WEIGHT = 0.4
SIMILAR_NAME_WEIGHT = 0.25
# Two birth dates that differ: most likely two people of one family.
CONTRADICTION = 0.3
SIMILAR_SPELLING_MIN = 0.75
PHONE_TAIL_DIGITS = 9

# Mailboxes of a function, not of a person.
_SHARED_LOCAL_PARTS = frozenset(
    {
        "admin", "billing", "contact", "hello", "help", "hi", "info", "mail", "me", "noreply", "office", "orders",
        "post", "reception", "sales", "service", "shop",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Traits:
    """What two customers are compared by. `name_key`, `mailbox` and `phone_tail` are the database's blocking keys."""

    id: uuid.UUID
    first_name: str
    last_name: str
    company_name: str
    name_key: str
    mailbox: str
    phone_tail: str
    birth: date | None
    postcodes: frozenset[str]
    tax_id: str

    @property
    def local_part(self) -> str:
        """The mailbox's name without its domain; "" when it says nothing about a person."""
        local = self.mailbox.partition("@")[0]
        return "" if local in _SHARED_LOCAL_PARTS else local


@dataclass(frozen=True, slots=True)
class Likeness:
    """`score` from 0 to 1, and the reasons in words, strongest first."""

    score: float
    reasons: tuple[str, ...]


def compare(a: Traits, b: Traits) -> Likeness:
    """How alike two customers are."""
    found: list[tuple[float, str]] = []
    if a.mailbox and a.mailbox == b.mailbox:
        found.append((MAILBOX_WEIGHT, "E-mail addresses lead to the same mailbox"))
    elif a.local_part and a.local_part == b.local_part:
        found.append((LOCAL_PART_WEIGHT, "E-mail addresses are the same before the @"))
    if a.tax_id and a.tax_id == b.tax_id:
        found.append((TAX_ID_WEIGHT, "Same tax number"))
    if a.phone_tail and a.phone_tail == b.phone_tail:
        found.append((PHONE_WEIGHT, f"Phone numbers end in the same {len(a.phone_tail)} digits"))
    found.extend(_names(a, b))
    if a.postcodes & b.postcodes:
        found.append((POSTCODE_WEIGHT, "Same postal code"))
    contradicted = False
    if a.birth and b.birth:
        if a.birth == b.birth:
            found.append((BIRTH_WEIGHT, "Same date of birth"))
        elif (a.birth.year, a.birth.month, a.birth.day) == (b.birth.year, b.birth.day, b.birth.month):
            found.append((SWAPPED_BIRTH_WEIGHT, "Dates of birth with day and month swapped"))
        else:
            contradicted = True
    left_open = 1.0
    for weight, _ in found:
        left_open *= 1 - weight
    score = 1 - left_open
    found.sort(key=lambda evidence: -evidence[0])
    reasons = [reason for _, reason in found]
    if contradicted:
        score *= CONTRADICTION
        reasons.append("But the dates of birth differ")
    return Likeness(round(score, 3), tuple(reasons))


def compare_group(members: Sequence[Traits]) -> Likeness:
    """The likeness of several: the score of the one who fits least to the one they fit best."""
    best: dict[uuid.UUID, float] = dict.fromkeys((member.id for member in members), 0.0)
    reasons: dict[str, None] = {}
    for a, b in combinations(members, 2):
        likeness = compare(a, b)
        reasons |= dict.fromkeys(likeness.reasons)
        best[a.id] = max(best[a.id], likeness.score)
        best[b.id] = max(best[b.id], likeness.score)
    return Likeness(min(best.values(), default=0.0), tuple(reasons))


def same_name_and_more(members: Sequence[Traits]) -> bool:
    """Whether all have one name, and a birth date, postal code or mailbox name in common."""
    if not _shared(members, "name_key"):
        return False
    common = frozenset.intersection(*(member.postcodes for member in members))
    return bool(common) or _shared(members, "birth") or _shared(members, "local_part")


def same_mailbox(members: Sequence[Traits]) -> bool:
    return _shared(members, "mailbox")


def same_phone_tail(members: Sequence[Traits]) -> bool:
    return _shared(members, "phone_tail")


def _shared(members: Sequence[Traits], trait: str) -> bool:
    values = {getattr(member, trait) for member in members}
    return len(values) == 1 and bool(values.pop())


def _names(a: Traits, b: Traits) -> list[tuple[float, str]]:
    if not (_named(a) and _named(b)):
        return []
    if a.name_key and a.name_key == b.name_key:
        if fold(a.first_name) != fold(b.first_name) and fold(a.first_name) == fold(b.last_name):
            return [(NAME_WEIGHT, "Same name with first and last name swapped")]
        return [(NAME_WEIGHT, "Same name")]
    if a.company_name or b.company_name:
        similar = _alike(fold(a.company_name), fold(b.company_name))
    else:
        similar = _alike(fold(a.last_name), fold(b.last_name)) and (
            _alike(fold(a.first_name), fold(b.first_name)) or _initial(a.first_name, b.first_name)
        )
    return [(SIMILAR_NAME_WEIGHT, "Similar name")] if similar else []


def _named(traits: Traits) -> bool:
    # Customers without a name are sorted by their e-mail or phone: that is no name in common.
    return bool(traits.first_name or traits.last_name or traits.company_name)


def _alike(a: str, b: str) -> bool:
    return bool(a and b) and (a == b or SequenceMatcher(None, a, b).ratio() >= SIMILAR_SPELLING_MIN)


def _initial(a: str, b: str) -> bool:
    shorter, longer = sorted((fold(a).rstrip("."), fold(b).rstrip(".")), key=len)
    return len(shorter) <= 1 and longer.startswith(shorter)
