"""How a customer is told apart: e-mail keys, E.164 phone numbers, customer numbers, tags, the name to sort by.

Pure functions, no database.
"""

import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import email_validator
import phonenumbers

from customers.search import fold

EMAIL_CHARS_MAX = 254
NUMBER_DIGITS = 10
NUMBERS_AT_ONCE = 256
SORT_NAME_CHARS_MAX = 200

# Everyday addresses: what the library would say of them is known, and takes 0.5 us instead of 40 us.
_PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"
)
_SPECIAL_DOMAINS = tuple(f".{name}" for name in email_validator.SPECIAL_USE_DOMAIN_NAMES if name != "test")
_LOCAL_CHARS_MAX = 64
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
# Digits with what people put between them.
_PLAIN_NATIONAL = re.compile(r"\(?[0-9](?:[ ()/.-]{0,2}[0-9]){3,16}", re.ASCII)
_PUNCTUATION = str.maketrans("", "", " ()/.-")


class NotAnEmail(ValueError):
    """Not an address that mail could be sent to."""


class NotAPhone(ValueError):
    """Not a telephone number of the country."""


def normal_email(raw: str) -> tuple[str, str]:
    """(the address as people see it, its key). The key is what makes two spellings one person.

    The domain is normalised (NFKC, IDNA 2008, lower case), in the key in its ASCII form; the key's local part is
    NFKC and case-folded. "" gives ("", ""). Raises NotAnEmail.
    """
    text = raw.strip()
    if not text:
        return "", ""
    if len(text) > EMAIL_CHARS_MAX:
        raise NotAnEmail(f"An e-mail address has at most {EMAIL_CHARS_MAX} characters.")
    if _PLAIN_EMAIL.fullmatch(text) and "--" not in text:
        local, _, domain = text.rpartition("@")
        domain = domain.lower()
        if len(local) <= _LOCAL_CHARS_MAX and not domain.endswith(_SPECIAL_DOMAINS):
            return f"{local}@{domain}", f"{local.lower()}@{domain}"
    try:
        # .test is nobody's, and what test tills send.
        valid = email_validator.validate_email(
            text, check_deliverability=False, strict=True, test_environment=True
        )
    except email_validator.EmailNotValidError as exc:
        raise NotAnEmail(str(exc)) from None
    local = unicodedata.normalize("NFKC", valid.local_part).casefold()
    key = f"{local}@{valid.ascii_domain.lower()}"
    if len(key) > EMAIL_CHARS_MAX or len(valid.normalized) > EMAIL_CHARS_MAX:
        raise NotAnEmail(f"An e-mail address has at most {EMAIL_CHARS_MAX} characters.")
    return valid.normalized, key


def normal_phone(raw: str, *, country: str) -> str:
    """`raw` in E.164 (+442071838750). `country` (ISO 3166-1 alpha-2) is where a number without + was written.

    "" gives "". Raises NotAPhone for what is no number, has an extension or the wrong length. Whether a range is in
    use is not checked: numbering plans change faster than libraries, and a till must not refuse a new range.
    """
    text = unicodedata.normalize("NFKC", raw).strip()
    if not text:
        return ""
    if _E164.fullmatch(text) and _is_plainly_possible(text[1:]):
        return text
    if country and _PLAIN_NATIONAL.fullmatch(text):
        known = _plain_national(text.translate(_PUNCTUATION), country.upper())
        if known is not None:
            return known
    try:
        number = phonenumbers.parse(text, country.upper() or None)
    except phonenumbers.NumberParseException:
        raise NotAPhone(
            "This is not a telephone number. Give it as +442071838750, or with its country."
        ) from None
    if number.extension:
        raise NotAPhone("Give the number without an extension.")
    if not phonenumbers.is_possible_number(number):
        raise NotAPhone("This telephone number is too short or too long for its country.")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _is_plainly_possible(digits: str) -> bool:
    """Whether the library would find country and number in `digits` and change nothing: a tenth of its time.

    So it is where the national number has a length of its country and does not begin with a prefix to be dialled.
    """
    for places in (1, 2, 3):
        numbering = _numbering(int(digits[:places]))
        if numbering is not None:
            lengths, prefix = numbering
            national = digits[places:]
            return len(national) in lengths and national[0] != "0" and not prefix.match(national)
    return False


@cache
def _numbering(calling_code: int) -> tuple[frozenset[int], re.Pattern[str]] | None:
    """The lengths of a calling code's national numbers, and what is dialled before them; None: no such code."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(calling_code)
    if regions is None:
        return None
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(regions[0], None)
    if metadata is None or metadata.general_desc is None:
        return frozenset(), re.compile("")
    return frozenset(metadata.general_desc.possible_length), re.compile(
        metadata.national_prefix_for_parsing or "0"
    )


@dataclass(frozen=True, slots=True)
class _Dialling:
    """How numbers are written inside a country. `prefix` is dialled before a national number, `abroad` before another country's.

    `own`: what a national number looks like. `lengths`: the possible ones of a number with its area.
    """

    code: str
    abroad: re.Pattern[str]
    prefix: re.Pattern[str] | None
    own: re.Pattern[str]
    lengths: frozenset[int]


def _plain_national(digits: str, country: str) -> str | None:
    """What the library would make of `digits` written in `country`, in a tenth of its time; None where that is not plain.

    It is plain where they cannot be read as another country's, where what is dialled before them is certain, and the rest has a
    length that numbers of the country have.
    """
    dialling = _dialling(country)
    if dialling is None or digits.startswith(dialling.code) or dialling.abroad.match(digits):
        return None
    national = digits
    dialled = dialling.prefix.match(digits) if dialling.prefix is not None else None
    if dialled is not None:
        if dialling.own.fullmatch(digits):
            return None
        national = digits[dialled.end() :]
    if len(national) not in dialling.lengths:
        return None
    return f"+{dialling.code}{national}"


@cache
def _dialling(country: str) -> _Dialling | None:
    """None: there is no such country, or its prefixes change the number behind them."""
    # Before its metadata are asked for: the library keeps what it was asked for, and callers may ask for anything.
    if country not in phonenumbers.SUPPORTED_REGIONS:
        return None
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    if metadata is None or metadata.general_desc is None or metadata.national_prefix_transform_rule:
        return None
    prefix = metadata.national_prefix_for_parsing
    # Guernsey's numbers are, once the country's code is before them, measured as those of Great Britain.
    code_lengths, _ = _numbering(metadata.country_code) or (frozenset(), None)
    return _Dialling(
        str(metadata.country_code),
        re.compile(metadata.international_prefix or ""),
        re.compile(prefix) if prefix else None,
        re.compile(metadata.general_desc.national_number_pattern or ""),
        code_lengths.intersection(metadata.general_desc.possible_length),
    )


# Twice a digit, as the sum of its own digits.
_DOUBLED = str.maketrans("0123456789", "0246813579")


def luhn_digit(digits: str) -> str:
    """The check digit of `digits` (ISO/IEC 7812-1 annex B): catches every single wrong or swapped digit but 09/90."""
    doubled, others = digits[::-2].translate(_DOUBLED), digits[-2::-2]
    return str(-(sum(map(int, doubled)) + sum(map(int, others))) % 10)


def is_customer_number(text: str) -> bool:
    """Whether `text` has the form of a customer number, its check digit included."""
    return (
        len(text) == NUMBER_DIGITS
        and text.isascii()
        and text.isdecimal()
        and text[0] != "0"
        and luhn_digit(text[:-1]) == text[-1]
    )


def new_customer_number() -> str:
    """A random number with a check digit. Random, so that no counter row is fought over and none can be guessed."""
    return next(customer_numbers(at_once=1))


def customer_numbers(*, share: int = 0, shares: int = 1, at_once: int = NUMBERS_AT_ONCE) -> Iterator[str]:
    """New customer numbers without end. Of those who draw with the same `shares` and each their own `share` (from 0), no two
    draw the same.

    Random bytes are asked for `at_once` for so many: each time a thread asks, another one takes the interpreter.
    """
    first = 10 ** (NUMBER_DIGITS - 2)
    while True:
        drawn = secrets.token_bytes(8 * at_once)
        for at in range(0, len(drawn), 8):
            number = int.from_bytes(drawn[at : at + 8], "big") % (9 * first // shares)
            digits = str(number * shares + share + first)
            yield digits + luhn_digit(digits)


def normal_tags(tags: Iterable[str]) -> list[str]:
    """Tags in lower case, NFC, single spaces, each once, in alphabetical order."""
    found = {" ".join(unicodedata.normalize("NFC", tag).casefold().split()) for tag in tags}
    found.discard("")
    return sorted(found)


def name_to_sort_by(
    *, is_business: bool, first_name: str, last_name: str, company_name: str, email: str, phone: str
) -> str:
    """Last name first, folded; a business stands under its company, a nameless customer under e-mail or phone."""
    person = f"{last_name} {first_name}".strip()
    name = (company_name or person if is_business else person or company_name) or email or phone
    return fold(name)[:SORT_NAME_CHARS_MAX]
