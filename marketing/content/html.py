"""Reading the HTML of e-mails in one pass.

Stricter than browsers: what is opened has to be closed. html.parser would take anything, but looks to the end of the text again
for each thing that is never closed (100 kB of "<!--" took six seconds), and a mail is read for each of its customers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

# Each character by one alternative alone: nothing to try again.
_TAG = re.compile(r"""<(/?)([a-zA-Z][a-zA-Z0-9:-]*)((?:[^"'<>]|"[^"]*"|'[^']*')*)>""")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'<>]*))?""")
_OPENING = re.compile(r"<(?=[a-zA-Z/!?])")
# Their content is no HTML.
_RAW = {
    name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style", "title", "textarea")
}


class HtmlWrong(Exception):
    def __init__(self, index: int, message: str) -> None:
        self.index, self.message = index, message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`start` and `end`: where its value stands in the text, without quotes. `quote` is "" where it has none."""

    name: str
    value: str
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Tag:
    start: int
    end: int
    name: str
    is_end: bool
    inside: str
    inside_at: int

    def attributes(self) -> Iterator[Attribute]:
        for match in _ATTRIBUTE.finditer(self.inside):
            raw = match.group(2) or ""
            quote = raw[:1] if raw[:1] in ('"', "'") else ""
            start = self.inside_at + (match.start(2) if match.group(2) is not None else match.end(1))
            plain = raw[1:-1] if quote else raw
            start += len(quote)
            yield Attribute(match.group(1).lower(), unescape(plain), start, start + len(plain), quote)


def tags(html: str) -> Iterator[Tag]:
    """Every tag; comments, and what is in style, script, title and textarea, are passed over. Raises HtmlWrong."""
    at = 0
    while (opening := _OPENING.search(html, at)) is not None:
        start = opening.start()
        if html.startswith("<!--", start):
            at = _after(html, "-->", start + 4, start, "A comment is not closed by -->.")
            continue
        if html[start + 1] in "!?":
            at = _after(html, ">", start, start, "<! is not closed by >.")
            continue
        match = _TAG.match(html, start)
        if match is None:
            raise HtmlWrong(start, "A tag is not closed by >, or a quote in it is missing.")
        name, is_end, at = match.group(2).lower(), bool(match.group(1)), match.end()
        yield Tag(start, at, name, is_end, match.group(3), match.start(3))
        if name in _RAW and not is_end:
            closing = _RAW[name].search(html, at)
            if closing is None:
                raise HtmlWrong(start, f"<{name}> is not closed by </{name}>.")
            at = closing.start()


def _after(html: str, sought: str, since: int, start: int, message: str) -> int:
    found = html.find(sought, since)
    if found < 0:
        raise HtmlWrong(start, message)
    return found + len(sought)
