"""What a customer is found by: lexemes that carry the merchant, in one GIN index for all merchants.

A lexeme is `<merchant search_key>:<kind><text>`; a query is a conjunction of lexemes and prefixes of the same form,
so that a small merchant reads only its own part of the index. Pure functions, no database. Why: ADR 0004.
"""

import re
import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from django.contrib.postgres.search import SearchVectorField
from django.db import models

# Kinds of lexeme: word of a name, company, e-mail or number; run of digits to the end of a phone number; and facts
# that a list is filtered by, which would else each need an index that every sale pays for.
WORD = "w"
DIGITS = "d"
TAG = "g"
BIRTH_MONTH = "m"
HOME_STORE = "s"
PHONE_DIGITS_MIN = 4
WORD_CHARS_MAX = 40
WORDS_MAX = 40
QUERY_WORDS_MAX = 8
# So many first letters of a word lead to its customers in the order of their creation: see CustomerWord.
HEAD_CHARS = 3

_SPLIT = re.compile(r"[^\w@.+-]+", re.UNICODE)
_PARTS = re.compile(r"[\W_]+", re.UNICODE)
_LAST_CHARACTER = "\U0010ffff"
# Letters that do not decompose into a base letter and a mark.
_FOLD = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i"})


def fold(text: str) -> str:
    """`text` without case and accents: É, e and E are one letter, ß is ss."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c)).translate(_FOLD)


def words(text: str) -> list[str]:
    """Folded words of `text`: whole ones (`o'neil-smith@x.org`) and their parts."""
    folded = fold(text)
    if folded.isalnum():
        return [folded[:WORD_CHARS_MAX]]
    found: dict[str, None] = {}
    for whole in _SPLIT.split(folded):
        whole = whole.strip(".+-@")
        if not whole:
            continue
        found[whole[:WORD_CHARS_MAX]] = None
        for part in _PARTS.split(whole):
            if part:
                found[part[:WORD_CHARS_MAX]] = None
    return list(found)


def lexemes(
    *,
    search_key: str,
    texts: Iterable[str | None],
    phone: str | None,
    tags: Iterable[str] = (),
    birth: date | None = None,
    home_store_id: uuid.UUID | None = None,
) -> list[str]:
    """The lexemes of one customer. `phone` is E.164; every end of it of at least 4 digits is one."""
    found: dict[str, None] = {}
    for text in texts:
        for word in words(text or ""):
            found[word] = None
    listed = [f"{search_key}:{WORD}{word}" for word in list(found)[:WORDS_MAX]]
    digits = (phone or "").removeprefix("+")
    if not digits.isdigit():
        digits = "".join(c for c in digits if c.isdigit())
    for start in range(max(0, len(digits) - PHONE_DIGITS_MIN + 1)):
        listed.append(f"{search_key}:{DIGITS}{digits[start:]}")
    listed.extend(f"{search_key}:{TAG}{tag}" for tag in tags)
    if birth is not None:
        listed.append(f"{search_key}:{BIRTH_MONTH}{birth.month:02}")
    if home_store_id is not None:
        listed.append(f"{search_key}:{HOME_STORE}{home_store_id.hex}")
    return listed


def tags_query(*, search_key: str, tags: Sequence[str], any_of: bool) -> str:
    """Customers with all (or any) of the normalised `tags`, as a tsquery literal."""
    return (" | " if any_of else " & ").join(_quoted(f"{search_key}:{TAG}{tag}") for tag in tags)


def birth_month_query(*, search_key: str, month: int) -> str:
    """Customers born in `month` (1-12), as a tsquery literal."""
    return _quoted(f"{search_key}:{BIRTH_MONTH}{month:02}")


def home_store_query(*, search_key: str, store_id: uuid.UUID) -> str:
    """Customers of a home store, as a tsquery literal."""
    return _quoted(f"{search_key}:{HOME_STORE}{store_id.hex}")


def prefix_query(*, search_key: str, text: str) -> str | None:
    """`text` as a tsquery literal: every word a prefix, all must match; None when nothing can be searched for.

    Runs of digits match a customer number from its start and a phone number anywhere to its end.
    """
    terms = []
    compact = re.sub(r"[\s().+/-]", "", text)
    if compact.isdecimal() and compact.isascii():
        groups = [compact]
    else:
        groups = [w.strip(".+-@") for w in _SPLIT.split(fold(text))]
    for word in [w for w in groups if w][:QUERY_WORDS_MAX]:
        word = word[:WORD_CHARS_MAX]
        term = f"{_quoted(f'{search_key}:{WORD}{word}')}:*"
        if word.isdecimal() and word.isascii():
            # A national trunk zero, or the 00 before a country, is not part of E.164; a zero inside a number is.
            for run in dict.fromkeys((word, word.lstrip("0"))):
                if len(run) >= PHONE_DIGITS_MIN:
                    term += f" | {_quoted(f'{search_key}:{DIGITS}{run}')}:*"
            term = f"({term})"
        terms.append(term)
    return " & ".join(terms) or None


class WordStart(NamedTuple):
    """Where `customer_words` holds those found by the start of one word: from lexeme `first` on, below `end`.

    `head` is what its index by time begins with, None for a start that is shorter.
    """

    first: str
    end: str
    head: str | None

    @property
    def tsquery(self) -> str:
        """What `prefix_query` makes of it: letters need no care."""
        return f"'{self.first}':*"


def word_start(*, search_key: str, text: str) -> WordStart | None:
    """`text` as the start of one word.

    None for what only the search index knows: several words, numbers, whole e-mail addresses.
    """
    word = fold(text)
    if not word.isalpha():
        return None
    lead = f"{search_key}:{WORD}"
    first = lead + word[:WORD_CHARS_MAX]
    head = lead + word[:HEAD_CHARS] if len(word) >= HEAD_CHARS else None
    return WordStart(first, first + _LAST_CHARACTER, head)


def tsvector_literal(found: Iterable[str]) -> str:
    """Lexemes as the text of a tsvector, for COPY."""
    listed = list(found)
    plain = "".join(listed)
    if "'" in plain or "\\" in plain or not plain:
        return " ".join(map(_quoted, listed))
    return "'" + "' '".join(listed) + "'"


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


class LexemesField(SearchVectorField):
    """A tsvector written from a list of lexemes, without positions and without a text search configuration."""

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "array_to_tsvector(%s::text[])"

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        return list(value) if value is not None else []


class Matches(models.Lookup):
    """`search__matches="'m7:wjoh':*"`: the tsquery literal that `prefix_query` makes."""

    lookup_name = "matches"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        lhs, params = self.process_lhs(compiler, connection)
        return f"{lhs} @@ %s::tsquery", (*params, self.rhs)


LexemesField.register_lookup(Matches)
