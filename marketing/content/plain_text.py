"""The plain text of an e-mail, made of its HTML: for those who read no HTML, and for spam filters that miss it."""

import re
from collections.abc import Sequence
from html import unescape

from marketing.content.html import HtmlWrong, Tag, tags
from marketing.content.language import Piece

_SKIPPED = frozenset({"head", "style", "script", "title", "template", "textarea"})
_PARAGRAPHS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "pre", "hr", "section", "article", "header",
     "footer"}
)  # fmt: skip
_LINES = frozenset({"div", "tr", "li", "br", "dt", "dd", "center"})
_CELLS = frozenset({"td", "th"})
_COMMENTS = re.compile(r"<!--.*?-->|<[!?][^>]*>", re.DOTALL)
_SPACES = re.compile(r"[ \t\r\n\f\u00a0]+")
_SPACES_IN_LINE = re.compile(r" {2,}")
_AROUND_BREAKS = re.compile(r" *\n *")
_BREAKS = re.compile(r"\n{3,}")

# Private characters that stand for the pieces of a template while it is no HTML yet.
MARK, _MARK_END = "\ue000", "\ue001"
_MARKED = re.compile(f"{MARK}([0-9]+){_MARK_END}")


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._skipping = ""
        self._links: list[tuple[str, int]] = []

    def text(self, piece: str) -> None:
        if self._skipping or not piece:
            return
        if "<" in piece:
            piece = _COMMENTS.sub("", piece)
        self.parts.append(_SPACES.sub(" ", unescape(piece) if "&" in piece else piece))

    def tag(self, tag: Tag) -> None:
        name = tag.name
        if self._skipping:
            if tag.is_end and name == self._skipping:
                self._skipping = ""
            return
        if name in _SKIPPED and not tag.is_end:
            self._skipping = name
        elif name in _PARAGRAPHS:
            self.parts.append("\n\n")
        elif name in _LINES:
            if name != "li":
                self.parts.append("\n")
            elif not tag.is_end:
                self.parts.append("\n- ")
        elif name in _CELLS:
            self.parts.append(" ")
        elif name == "img":
            self.parts.append(_attribute(tag, "alt"))
        elif name == "a":
            self._link(tag)

    def _link(self, tag: Tag) -> None:
        if not tag.is_end:
            self._links.append((_attribute(tag, "href").strip(), len(self.parts)))
        elif self._links:
            url, since = self._links.pop()
            shown = url.removeprefix("mailto:").removeprefix("tel:")
            said = "".join(self.parts[since:]).strip()
            if url and not url.startswith("#") and shown != said:
                self.parts.append(f" ({shown})" if said else shown)


def _attribute(tag: Tag, name: str) -> str:
    return next((each.value for each in tag.attributes() if each.name == name), "")


def plain_text(html: str) -> str:
    """Paragraphs apart, links behind their words, lists with dashes. Raises HtmlWrong."""
    writer, at = _Writer(), 0
    for tag in tags(html):
        writer.text(html[at : tag.start])
        writer.tag(tag)
        at = tag.end
    writer.text(html[at:])
    text = _AROUND_BREAKS.sub("\n", _SPACES_IN_LINE.sub(" ", "".join(writer.parts)))
    return _BREAKS.sub("\n\n", text).strip()


def marked(source: str, found: Sequence[Piece], *, keep_lines: bool = False) -> str:
    """The template with a mark for each of its pieces: HTML, whatever signs of comparison stand in the pieces."""
    parts, at = [], 0
    for number, piece in enumerate(found):
        parts += [source[at : piece.start], f"{MARK}{number}{_MARK_END}"]
        if keep_lines:
            parts.append("\n" * source.count("\n", piece.start, piece.end))
        at = piece.end
    return "".join(parts) + source[at:]


def plain_template(source: str, found: Sequence[Piece]) -> str | None:
    """The same for the template of an e-mail, once for all its customers; None where a tag would be lost on the way."""
    if MARK in source or _MARK_END in source:
        return None
    try:
        text = plain_text(marked(source, found))
    except HtmlWrong:
        return None
    kept = [int(number) for number in _MARKED.findall(text)]
    # Of tags each, once and in its place; of variables those that are seen.
    wanted = [number for number, piece in enumerate(found) if piece.name]
    if [number for number in kept if found[number].name] != wanted:
        return None
    return unmarked(text, source, found)


def unmarked(text: str, source: str, found: Sequence[Piece]) -> str:
    """What was marked, with its pieces again."""
    return _MARKED.sub(lambda match: source[found[int(match[1])].start : found[int(match[1])].end], text)
