"""How many text messages a text takes: 3GPP TS 23.038 (the GSM 7-bit alphabet) and TS 23.040 (concatenation)."""

from dataclasses import dataclass

# TS 23.038 table 6.2.1, and 6.2.1.1, whose characters take two places.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED = frozenset("\f^{}\\[~]|€")
GSM, UCS2 = "GSM-7", "UCS-2"
# Places of one message alone, and of each of several: the header of a part takes the rest.
_PLACES = {GSM: (160, 153), UCS2: (70, 67)}


@dataclass(frozen=True, slots=True)
class Segments:
    """`places`: characters as they count in this encoding."""

    encoding: str
    places: int
    count: int


def segments(text: str) -> Segments:
    """A single character outside of the GSM alphabet, such as an emoji or a typographic quote, makes all of it UCS-2."""
    if all(char in _GSM or char in _GSM_EXTENDED for char in text):
        encoding, widths = GSM, [2 if char in _GSM_EXTENDED else 1 for char in text]
    else:
        encoding, widths = UCS2, [2 if ord(char) > 0xFFFF else 1 for char in text]
    alone, each = _PLACES[encoding]
    places = sum(widths)
    if places <= alone:
        return Segments(encoding, places, 1 if places else 0)
    # What takes two places is not torn apart between two parts.
    count, left = 1, each
    for width in widths:
        if width > left:
            count, left = count + 1, each
        left -= width
    return Segments(encoding, places, count)
