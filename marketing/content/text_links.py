"""The links of a text message: numbered in its template, so that a link has the same number in everybody's message."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from marketing.content.language import Piece, TextWrong, pieces, read_template
from marketing.content.plain_text import MARK, marked, unmarked
from marketing.content.variables import TRIGGER, VARIABLES

LINKS_MAX = 20
# Private characters around a link and its number in a template and in what is rendered of it.
_OPENS, _NUMBERED, _ENDS = "\ue002", "\ue003", "\ue004"
_MARKS = re.compile(f"[{_OPENS}{_NUMBERED}{_ENDS}]")
_SPAN = re.compile(f"{_OPENS}([0-9]{{1,2}}){_NUMBERED}([^{_OPENS}{_NUMBERED}{_ENDS}]*){_ENDS}")
_MARKED_PIECE = re.compile(f"{MARK}([0-9]+)\ue001")
_URL = re.compile(r"https?://[^\s<>\"]+")
# The host is the author's own: what stands for a variable begins behind it.
_HOST = re.compile(rf"https?://[^/?#{MARK}]+(?=[/?#]|$)")
_AFTER_A_LINK = ".,;:!?'»”’…"
_OPENED_BY = {")": "(", "]": "["}
_GOES_ON = re.compile(rf"[{re.escape(_AFTER_A_LINK)})\]]*[^\s{re.escape(_AFTER_A_LINK)})\]]")


@dataclass(frozen=True, slots=True)
class TextLink:
    """Where a link stands in a rendered text, and its number."""

    number: int
    start: int
    end: int


def numbered_text(source: str) -> str:
    """The template with its links marked, for `read_links`."""
    found = list(pieces(source))
    text = marked(source, found)
    parts, at = [], 0
    for number, (start, end) in enumerate(_links(text, source, found), start=1):
        parts += [text[at:start], f"{_OPENS}{number}{_NUMBERED}", text[start:end], _ENDS]
        at = end
    return unmarked("".join(parts) + text[at:], source, found)


def text_links_of(source: str) -> list[str]:
    """Where the links of a template lead, as its author wrote it, from number 1 on."""
    found = list(pieces(source))
    text = marked(source, found)
    return [unmarked(text[start:end], source, found) for start, end in _links(text, source, found)]


def read_links(text: str) -> tuple[str, tuple[TextLink, ...]]:
    """A text that was rendered from a numbered template: without the marks, and where its links stand.

    No links where one of them goes on behind its end, in what a tag added: replaced, it would lead elsewhere.
    """
    parts, at, length = [], 0, 0
    links = []
    for match in _SPAN.finditer(text):
        if _GOES_ON.match(text, match.end()):
            return _MARKS.sub("", _SPAN.sub(r"\2", text)), ()
        before = _MARKS.sub("", text[at : match.start()])
        start = length + len(before)
        length = start + len(match[2])
        parts += [before, match[2]]
        links.append(TextLink(int(match[1]), start, length))
        at = match.end()
    return "".join(parts) + _MARKS.sub("", text[at:]), tuple(links)


def _links(text: str, source: str, found: Sequence[Piece]) -> list[tuple[int, int]]:
    """Of a marked template: what begins with http(s):// and a host, as far as no tag comes."""
    links: list[tuple[int, int]] = []
    at = 0
    while (match := _URL.search(text, at)) is not None and len(links) < LINKS_MAX:
        start, at = match.start(), _end(match, found)
        if _HOST.match(text, start, at) and _is_whole(unmarked(text[start:at], source, found)):
            links.append((start, at))
    return links


def _end(match: re.Match[str], found: Sequence[Piece]) -> int:
    url = match.group()
    tag = next((each for each in _MARKED_PIECE.finditer(url) if found[int(each[1])].name), None)
    if tag is not None:
        url = url[: tag.start()]
    while url and (url[-1] in _AFTER_A_LINK or (url[-1] in _OPENED_BY and _OPENED_BY[url[-1]] not in url)):
        url = url[:-1]
    return match.start() + len(url)


def _is_whole(url: str) -> bool:
    """Whether it can be put together by itself: not with what the text around it assigns."""
    try:
        used = read_template(url).used
    except TextWrong:
        return False
    return all(
        each.segments[0] == TRIGGER or (each.name in VARIABLES and VARIABLES[each.name].type != "url")
        for each in used
    )
