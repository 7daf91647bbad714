"""What people write for a day, a yes or a country. Pure functions: what they cannot read they refuse, in words for people."""

import re
from collections.abc import Mapping
from datetime import date

from customers.countries import COUNTRIES
from customers.imports.fields import word_of


class Unreadable(ValueError):
    """What is wrong with a cell, for the person who wrote it; `code` for programs."""

    def __init__(self, message: str, code: str = "invalid") -> None:
        super().__init__(message)
        self.code = code


DAY_ORDERS = ("dmy", "mdy", "ymd")
_DAY = re.compile(r"(\d{1,4})[./\-\s](\d{1,2})[./\-\s](\d{1,4})\.?(?:[T\s]\d{1,2}:\d{2}.*)?")
_COMPACT_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})")
# Where the month comes first in writing.
MONTH_FIRST_COUNTRIES = frozenset({"US", "PH", "FM", "MH", "PW", "PR", "GU"})

_YES_WORDS = """
    yes y true t 1 on x ja j oui o si s sim sant da tak subscribed optin optedin granted accepted agreed active
    erteilt zugestimmt angemeldet abonniert
"""
_NO_WORDS = """
    no n false f 0 off nein non nao nee nej nie unsubscribed optout optedout withdrawn declined denied never
    revoked widerrufen abgelehnt abgemeldet inactive bounced cleaned complained notsubscribed
"""
_TYPES = {
    "individual": "individual person private privat privatkunde consumer particulier persona b2c privatperson",
    "business": "business company firma firmenkunde geschaftskunde unternehmen entreprise empresa azienda bedrijf b2b",
}
_STATUSES = {
    "active": "active aktiv actif activo attivo actief enabled",
    "inactive": "inactive inaktiv inactif inactivo inattivo disabled archived passiv",
    "suspended": "suspended gesperrt blocked banned suspendu suspendido sospeso geblokkeerd",
}
_GENDERS = {
    "female": "female f w woman weiblich frau mrs ms miss femme feminin femenino femminile vrouw mme mevrouw sra",
    "male": "male m man mannlich herr mr homme masculin masculino maschile heer dhr sr",
    "diverse": "diverse d divers nonbinary nb x other andere autre otro",
}
_LANGUAGES = {
    "en": "english englisch anglais ingles inglese engels",
    "de": "german deutsch allemand aleman tedesco duits",
    "fr": "french franzosisch francais frances francese frans",
    "es": "spanish spanisch espagnol espanol castellano spagnolo spaans",
    "it": "italian italienisch italien italiano italiaans",
    "nl": "dutch niederlandisch neerlandais holandes olandese nederlands",
    "pt": "portuguese portugiesisch portugais portugues portoghese",
    "pl": "polish polnisch polonais polski",
    "da": "danish danisch danois dansk",
    "sv": "swedish schwedisch suedois svenska",
    "no": "norwegian norwegisch norvegien norsk",
}
_COUNTRIES = {
    "GB": "unitedkingdom uk greatbritain england scotland wales northernireland grossbritannien royaumeuni reinounido",
    "US": "unitedstates usa unitedstatesofamerica america vereinigtestaaten etatsunis estadosunidos",
    "DE": "germany deutschland allemagne alemania germania duitsland d",
    "AT": "austria osterreich autriche oostenrijk a",
    "CH": "switzerland schweiz suisse svizzera suiza zwitserland",
    "FR": "france frankreich francia frankrijk f",
    "ES": "spain spanien espagne espana spagna spanje",
    "IT": "italy italien italie italia italie i",
    "NL": "netherlands thenetherlands holland niederlande paysbas paisesbajos nederland",
    "BE": "belgium belgien belgique belgie belgica belgio",
    "LU": "luxembourg luxemburg",
    "IE": "ireland irland irlande irlanda ierland republicofireland",
    "DK": "denmark danemark danmark dinamarca denemarken",
    "SE": "sweden schweden suede sverige suecia zweden",
    "NO": "norway norwegen norvege norge noruega noorwegen",
    "FI": "finland finnland finlande suomi",
    "PL": "poland polen pologne polska polonia",
    "PT": "portugal",
    "CZ": "czechrepublic czechia tschechien tcheque",
    "CA": "canada kanada",
    "AU": "australia australien australie",
    "NZ": "newzealand neuseeland",
    "MX": "mexico mexiko mexique",
    "BR": "brazil brasilien bresil brasil",
    "IN": "india indien inde",
    "JP": "japan japon",
    "CN": "china chine",
    "ZA": "southafrica sudafrika",
    "GR": "greece griechenland grece",
    "HU": "hungary ungarn hongrie",
}


def _reversed(words: Mapping[str, str]) -> dict[str, str]:
    return {word: value for value, listed in words.items() for word in listed.split()}


_TYPE_OF, _STATUS_OF, _GENDER_OF = _reversed(_TYPES), _reversed(_STATUSES), _reversed(_GENDERS)
_LANGUAGE_OF, _COUNTRY_OF = _reversed(_LANGUAGES), _reversed(_COUNTRIES)


_YES, _NO = frozenset(_YES_WORDS.split()), frozenset(_NO_WORDS.split())


def read_yes_or_no(text: str) -> bool:
    word = word_of(text)
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Unreadable("This must be yes or no.", "invalid_choice")


def read_type(text: str) -> str:
    return _one_of(text, _TYPE_OF, "This must be individual or business.")


def read_status(text: str) -> str:
    return _one_of(text, _STATUS_OF, "This must be active, inactive or suspended.")


def read_gender(text: str) -> str:
    word = word_of(text)
    if word in ("unknown", "notsaid", "unbekannt", "none", "firma", "company"):
        return ""
    return _one_of(text, _GENDER_OF, "This must be female, male or diverse, or empty.")


def _one_of(text: str, words: Mapping[str, str], message: str) -> str:
    found = words.get(word_of(text))
    if found is None:
        raise Unreadable(message, "invalid_choice")
    return found


_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


def read_language(text: str) -> str:
    named = _LANGUAGE_OF.get(word_of(text))
    if named is not None:
        return named
    if _LANGUAGE_TAG.fullmatch(text) and len(text) <= 10:
        return text.replace("_", "-")
    raise Unreadable("This must be a language such as de, pt-BR or German.", "invalid_language")


def read_country(text: str) -> str:
    code = text.upper()
    if code in COUNTRIES:
        return code
    named = _COUNTRY_OF.get(word_of(text))
    if named is None:
        raise Unreadable(
            "This country is not known. Write its code of two letters, such as GB.", "invalid_country"
        )
    return named


def read_day(text: str, order: str) -> date:
    """A day with a year of four digits, of which the first, second and third number are as `order` says (dmy, mdy, ymd).

    One that begins with the year is year, month, day in any case. A time of day after it is left out.
    """
    compact = _COMPACT_DAY.fullmatch(text)
    match = compact or _DAY.fullmatch(text)
    if match is None:
        raise Unreadable("This is not a day. Write it as 1990-01-31.", "invalid_date")
    parts = match.groups()
    if compact or len(parts[0]) == 4:
        order = "ymd"
    year, month, day = (parts[order.index(letter)] for letter in "ymd")
    if len(year) != 4:
        raise Unreadable("Write the year with four digits.", "year_too_short")
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        said = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}[order]
        raise Unreadable(f"There is no such day, read as {said}.", "invalid_date") from None
    if not 1900 <= found.year <= 2200:
        raise Unreadable("This year cannot be right.", "invalid_date")
    return found


def order_of_days(texts: list[str], *, country: str) -> tuple[str, str]:
    """(the order of day, month and year in these, a note when they could be read in two ways)"""
    day_first = month_first = both = 0
    for text in texts:
        match = _DAY.fullmatch(text.strip())
        if match is None or len(match[1]) == 4:
            continue
        first, second = int(match[1]), int(match[2])
        if first > 12 >= second:
            day_first += 1
        elif second > 12 >= first:
            month_first += 1
        else:
            both += 1
    usual = "mdy" if country in MONTH_FIRST_COUNTRIES else "dmy"
    if day_first and month_first:
        return usual, "Some days can only be day first, others only month first. Look at them closely."
    if day_first or month_first:
        return ("dmy" if day_first else "mdy"), ""
    if both:
        said = "day first" if usual == "dmy" else "month first"
        return usual, f"Nothing tells whether the day or the month comes first: they are read {said}."
    return "ymd", ""


def split_name(text: str) -> tuple[str, str]:
    """(first name, last name) of a whole one: at its comma, else before its last word."""
    if "," in text:
        last, _, first = text.partition(",")
        return first.strip(), last.strip()
    first, _, last = text.rpartition(" ")
    return (first.strip(), last) if first else (last, "")
