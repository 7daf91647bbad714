"""The made-up people behind the source's customer numbers.

Only the number, the country and what was bought are real. Nobody's name, address or consent is.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from demo import chance
from demo.names import (
    BUSINESS_NOTES,
    COMPANY_KINDS,
    INSTRUCTIONS,
    LANGUAGES,
    NAME_LANGUAGES,
    NAMES,
    NOTES,
    STREET_ENDINGS,
)
from demo.places import CITIES, PHONE_RANGES, City, home_store

EMAIL_DOMAINS = ("example.com", "example.org", "example.net")  # reserved by RFC 2606
PHONE_STRIDE = 613  # coprime to the size of every range, so numbers do not follow each other in a list

EMAIL_SHARE = 0.94
PHONE_SHARE = 0.88
BIRTH_DATE_SHARE = 0.62
GENDER_SHARE = 0.70
BORN = (dt.date(1945, 1, 1), dt.date(2002, 12, 31))
TWICE_REGISTERED = 10

EMAIL_CONSENT_SHARE = 0.58
SMS_CONSENT_SHARE = 0.22
MAIL_CONSENT_SHARE = 0.10
WITHDRAWN_SHARE = 0.17
GRANTED_AGAIN_SHARE = 0.15
NEW_WORDING_DAYS_BACK = 365

_LETTERS = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "æ": "ae", "Æ": "Ae"})

Moment = tuple[int, str]
"""Days before the last day, and local time HH:MM."""


@dataclass(frozen=True)
class Buyer:
    """What is known of a customer from the source. `tags` come from the goods."""

    key: int
    country: str
    business: bool
    first: Moment
    """The first purchase."""
    purchases: int
    tags: tuple[str, ...]


@dataclass
class _Register:
    """What must not be given twice."""

    emails: set[str] = field(default_factory=set)
    phones: Counter[str] = field(default_factory=Counter)
    companies: set[str] = field(default_factory=set)


def make_people(buyers: Iterable[Buyer]) -> list[dict[str, Any]]:
    """One record per buyer, as the README describes it, in the order of their numbers."""
    register = _Register()
    people = {}
    ordered = sorted(buyers, key=lambda buyer: buyer.key)
    for buyer in ordered:
        people[buyer.key] = _person(buyer, register)
    _register_twice(ordered, people, register)
    return [people[buyer.key] for buyer in ordered]


def city_of(*, key: int, country: str) -> City:
    return chance.pick_weighted([(city, city.weight) for city in CITIES[country]], key, "city")


def _person(buyer: Buyer, register: _Register) -> dict[str, Any]:
    key = buyer.key
    city = city_of(key=key, country=buyer.country)
    parts = NAMES[NAME_LANGUAGES.get(city.country, "en")]
    female = chance.share(key, "gender") < 0.64
    first_name = chance.pick(parts.female if female else parts.male, key, "first name")
    last_name = _family_name(city.country, key, "last name")
    company = _company(key, city, register) if buyer.business else ""

    phone = ""
    if city.phones and chance.share(key, "phone") < (1 if buyer.business else PHONE_SHARE):
        phone = _phone(city.phones, register)
    email = ""
    # Everybody can be found by at least one of the two: a till that repeats the sales needs it.
    if not phone or chance.share(key, "email") < EMAIL_SHARE:
        email = _email(key, first_name, last_name, company, register)

    gender = ("female" if female else "male") if chance.share(key, "gender said") < GENDER_SHARE else ""
    if gender and chance.share(key, "diverse") < 0.01:
        gender = "diverse"
    birth_date = None
    if not buyer.business and chance.share(key, "birth date said") < BIRTH_DATE_SHARE:
        days = chance.between(0, (BORN[1] - BORN[0]).days, key, "birth date")
        birth_date = (BORN[0] + dt.timedelta(days=days)).isoformat()

    tags = list(buyer.tags)
    if not buyer.business and city.country == "GB" and chance.share(key, "workshop") < 0.06:
        tags.append("workshop")
    notes = ""
    if chance.share(key, "notes") < 0.06:
        notes = chance.pick(BUSINESS_NOTES if buyer.business else NOTES, key, "note")
    return {
        "key": key,
        "at": buyer.first,
        "type": "business" if buyer.business else "individual",
        "firstName": first_name,
        "lastName": last_name,
        "companyName": company,
        "email": email,
        "phone": phone,
        "dateOfBirth": birth_date,
        "gender": "" if buyer.business else gender,
        "language": LANGUAGES.get(city.country, "en"),
        "notes": notes,
        "tags": sorted(tags),
        "homeStore": home_store(city),
        "addresses": _addresses(buyer, city),
        "consents": _consents(buyer, has_email=bool(email), has_phone=bool(phone)),
    }


def _family_name(country: str, *key: object) -> str:
    parts = NAMES[NAME_LANGUAGES.get(country, "en")]
    return chance.pick(parts.family_first, *key, 1) + chance.pick(parts.family_last, *key, 2)


def _company(key: int, city: City, register: _Register) -> str:
    attempt = 0
    while True:
        family = _family_name(city.country, key, "company", attempt)
        name = f"{family} {chance.pick(COMPANY_KINDS, key, 'kind', attempt)}"
        if name not in register.companies:
            register.companies.add(name)
            return name
        attempt += 1


def _ascii(text: str) -> str:
    """Lower-case letters and digits only: Zoë -> zoe, & Daughters -> daughters."""
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS)).encode("ascii", "ignore").decode()
    return "".join(c for c in plain.lower() if c.isalnum())


def _email(key: int, first_name: str, last_name: str, company: str, register: _Register) -> str:
    domain = chance.pick(EMAIL_DOMAINS, key, "domain")
    if company:
        mailbox, domain = (
            chance.pick(("orders", "hello", "accounts"), key, "mailbox"),
            f"{_ascii(company)}.{domain}",
        )
    else:
        first, last = _ascii(first_name), _ascii(last_name)
        mailbox = chance.pick(
            (f"{first}.{last}", f"{first[0]}.{last}", f"{first}{last}", f"{last}.{first}"), key, "form"
        )
    number = 1
    email = f"{mailbox}@{domain}"
    while email in register.emails:
        number += 1
        email = f"{mailbox}{number}@{domain}"
    register.emails.add(email)
    return email


def _phone(range_name: str, register: _Register) -> str:
    """The next unused number of the range, or "" when all are given."""
    prefix, low, high, digits = PHONE_RANGES[range_name]
    size = high - low + 1
    used = register.phones[range_name]
    if used >= size:
        return ""
    register.phones[range_name] += 1
    return f"{prefix}{low + used * PHONE_STRIDE % size:0{digits}d}"


def _addresses(buyer: Buyer, city: City) -> list[dict[str, Any]]:
    kinds = [("Shop", "work")] if buyer.business else [("Home", "home")]
    if buyer.business and chance.share(buyer.key, "billing address") < 0.4:
        kinds.append(("Office", "billing"))
    if not buyer.business and chance.share(buyer.key, "second address") < 0.1:
        kinds.append(("Work", "shipping"))
    return [
        _address(buyer.key, city, label=label, kind=kind, default=position == 0)
        for position, (label, kind) in enumerate(kinds)
    ]


def _address(key: int, city: City, *, label: str, kind: str, default: bool) -> dict[str, Any]:
    # A few kilometres around the centre, so that a map shows a town and not one pin.
    latitude = city.latitude + (chance.share(key, kind, "latitude") - 0.5) * 0.04
    longitude = city.longitude + (chance.share(key, kind, "longitude") - 0.5) * 0.06
    instructions = (
        chance.pick(INSTRUCTIONS, key, kind, "which")
        if chance.share(key, kind, "instructions") < 0.05
        else ""
    )
    return {
        "label": label,
        "type": kind,
        "street1": _street(key, city, kind),
        "city": city.name,
        "postalCode": _postal_code(key, city, kind),
        "country": city.country,
        "latitude": round(latitude, 3),
        "longitude": round(longitude, 3),
        "isDefault": default,
        "instructions": instructions,
    }


def _street(key: int, city: City, kind: str) -> str:
    language = LANGUAGES.get(city.country, "sv" if city.country in ("NO", "DK", "IS") else "en")
    language = language if language in STREET_ENDINGS else "en"
    number = chance.between(1, 140, key, kind, "house")
    ending = chance.pick(STREET_ENDINGS[language], key, kind, "ending")
    name = NAMES[language]
    stem = chance.pick(name.family_first, key, kind, "stem")
    if language == "en":
        return f"{number} {stem}{chance.pick(name.family_last, key, kind, 'tail')} {ending}".replace(
            "  ", " "
        )
    if language in ("de", "nl", "sv"):
        return f"{stem}{ending} {number}"
    tail = chance.pick(name.family_last, key, kind, "tail")
    return f"{number} {ending} {stem}{tail}" if language == "fr" else f"{ending} {stem}{tail} {number}"


def _postal_code(key: int, city: City, kind: str) -> str:
    if not city.postcodes:
        return ""
    district = chance.pick(city.postcodes, key, kind, "postcode")
    if city.country not in ("GB", "JE"):
        return district
    letters = "ABDEFGHJLNPQRSTUWXYZ"  # never C, I, K, M, O or V
    inward = [chance.pick(letters, key, kind, "inward", n) for n in (1, 2)]
    return f"{district} {chance.between(1, 9, key, kind, 'sector')}{inward[0]}{inward[1]}"


def _consents(buyer: Buyer, *, has_email: bool, has_phone: bool) -> list[dict[str, Any]]:
    """What the customer said about marketing, in order of time. Silence means no."""
    said = []
    reachable = {"email": has_email, "sms": has_phone, "mail": True}
    shares = {"email": EMAIL_CONSENT_SHARE, "sms": SMS_CONSENT_SHARE, "mail": MAIL_CONSENT_SHARE}
    for channel, wanted in shares.items():
        if not reachable[channel] or chance.share(buyer.key, channel, "consent") >= wanted:
            continue
        at_till = buyer.country == "United Kingdom" and chance.share(buyer.key, "till") < 0.7
        source = "till" if at_till else "web"
        said.append(_consent(channel, "granted", source, buyer.first))
        left = buyer.first[0]
        if left < 20 or chance.share(buyer.key, channel, "withdraw") >= WITHDRAWN_SHARE:
            continue
        days_back = chance.between(5, left - 10, buyer.key, channel, "withdrawn on")
        minutes = chance.between(7 * 60, 22 * 60 - 1, buyer.key, channel, "minute")
        time = f"{minutes // 60:02d}:{minutes % 60:02d}"
        said.append(
            _consent(
                channel, "withdrawn", "unsubscribe link" if channel == "email" else "web", (days_back, time)
            )
        )
        if days_back >= 20 and chance.share(buyer.key, channel, "again") < GRANTED_AGAIN_SHARE:
            again = chance.between(1, days_back - 5, buyer.key, channel, "again on")
            said.append(_consent(channel, "granted", "web", (again, "12:00")))
    return sorted(said, key=lambda consent: (-consent["at"][0], consent["at"][1]))


def _consent(channel: str, state: str, source: str, at: Moment) -> dict[str, Any]:
    wording = "1" if at[0] > NEW_WORDING_DAYS_BACK else "2"
    return {
        "channel": channel,
        "purpose": "marketing",
        "state": state,
        "source": source,
        "wordingVersion": wording if state == "granted" else "",
        "at": at,
    }


def _register_twice(buyers: list[Buyer], people: dict[int, dict[str, Any]], register: _Register) -> None:
    """Let a few people stand in the books twice: same name, birthday and address, another e-mail.

    Shops have such customers, and finding and merging them is something to show. Each keeps the store
    where they registered, so some of them did so at two.
    """
    rare = [
        buyer.key
        for buyer in buyers
        if buyer.purchases <= 3 and buyer.country == "United Kingdom" and not buyer.business
        and people[buyer.key]["phone"]
    ]  # fmt: skip
    rare.sort(key=lambda key: chance.digest(key, "twice"))
    dated = [key for key in rare if people[key]["dateOfBirth"]]
    originals = dated[:TWICE_REGISTERED]
    copies = [key for key in rare if key not in originals][:TWICE_REGISTERED]
    for original, copy in zip(originals, copies, strict=False):
        person, again = people[original], people[copy]
        register.emails.discard(again["email"])
        for name in ("firstName", "lastName", "dateOfBirth", "gender"):
            again[name] = person[name]
        again["addresses"] = [dict(address) for address in person["addresses"]]
        again["phone"] = ""
        again["consents"] = [said for said in again["consents"] if said["channel"] != "sms"]
        again["email"] = _email(copy, again["firstName"], again["lastName"], "", register)
