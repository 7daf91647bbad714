"""The links of an e-mail: numbered in its template, so that a link has the same number in everybody's mail."""

import re
from collections.abc import Iterator

from marketing.content.html import HtmlWrong, Tag, tags
from marketing.content.language import Piece, pieces
from marketing.content.plain_text import marked, unmarked

LINKS_MAX = 500
NUMBER = "data-link"
_NUMBERED = re.compile(rf' {NUMBER}="[0-9]{{1,4}}"')
_LINK = re.compile(rf"""<(\w+) {NUMBER}="([0-9]{{1,4}})"((?:[^"'<>]|"[^"]*"|'[^']*')*)>""")


def numbered(source: str) -> str:
    """The template with a number on each of its links, for `links_in`. HTML that cannot be read stays as it is."""
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


def links_in(html: str) -> Iterator[tuple[Tag, int]]:
    """The links of a mail, each with its number. Raises HtmlWrong where they have none and the HTML cannot be read."""
    if f' {NUMBER}="' in html:
        # Numbers stand on links alone: the rest need not be read.
        for match in _LINK.finditer(html):
            inside = match.group(3)
            yield (
                Tag(match.start(), match.end(), match.group(1), False, inside, match.start(3)),
                int(match.group(2)),
            )
    else:
        for number, tag in enumerate(_links(html), start=1):
            yield tag, number


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
