"""The links of an e-mail: numbered in its template, so that a link has the same number in everybody's mail."""

import re
from collections.abc import Iterator

from marketing.content.html import HtmlWrong, Tag, tags
from marketing.content.language import Piece, pieces
from marketing.content.plain_text import marked, unmarked

LINKS_MAX = 500
NUMBER = "data-link"
_NUMBERED = re.compile(rf' {NUMBER}="([0-9]{{1,4}})"')


def numbered(source: str) -> str:
    """The template with a number on each of its links, for `take_number`. HTML that cannot be read stays as it is."""
    found = list(pieces(source))
    html = marked(source, found)
    parts, at = [], 0
    try:
        for number, tag in enumerate(_links(html), start=1):
            after = tag.start + 1 + len(tag.name)
            parts += [html[at:after], f' {NUMBER}="{number}"']
            at = after
    except HtmlWrong:
        return source
    return unmarked("".join(parts) + html[at:], source, found)


def links_of(source: str) -> list[str]:
    """Where the links of a template lead, as its author wrote it, from number 1 on."""
    found: list[Piece] = list(pieces(source))
    html = marked(source, found)
    try:
        return [unmarked(_href(tag), source, found) for tag in _links(html)]
    except HtmlWrong:
        return []


def take_number(tag: Tag) -> tuple[int | None, str]:
    """The number that a link was given, and what is inside of its tag without it."""
    match = _NUMBERED.match(tag.inside)
    return (int(match.group(1)), tag.inside[match.end() :]) if match else (None, tag.inside)


def without_numbers(html: str) -> str:
    return _NUMBERED.sub("", html) if NUMBER in html else html


def _links(html: str) -> Iterator[Tag]:
    count = 0
    for tag in tags(html):
        if not tag.is_end and tag.name in ("a", "area") and count < LINKS_MAX:
            count += 1
            yield tag


def _href(tag: Tag) -> str:
    return next((each.value for each in tag.attributes() if each.name == "href"), "")
