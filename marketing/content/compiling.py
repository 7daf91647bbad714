"""A campaign's content, read once and put together for each customer."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from markupsafe import escape

from marketing.content.foot import foot_of_html, foot_of_text
from marketing.content.html import HtmlWrong
from marketing.content.language import RenderFailed, Template, pieces, read_template
from marketing.content.links import numbered
from marketing.content.plain_text import plain_template, plain_text
from marketing.content.text_links import TextLink, numbered_text, read_links, text_links_of
from marketing.content.variables import TRIGGER

SUBJECT_CHARS_MAX = 250
PUSH_TITLE_CHARS_MAX = 120
PUSH_BODY_CHARS_MAX = 1_000
SMS_CHARS_MAX = 1_530
URL_CHARS_MAX = 2_000
COMPILED_KEPT = 256
# Parts of a content whose values are HTML.
HTML_PARTS = frozenset({"html"})

_CONTROLS = re.compile("[\u0000-\u001f\u007f-\u009f\u2028\u2029]+")
_CONTROLS_IN_TEXT = re.compile("[\u0000-\u0008\u000b-\u001f\u007f-\u009f]+")
_BODY_OPENS = re.compile(r"<body\b[^<>]*>", re.IGNORECASE)
_BODY_ENDS = re.compile(r"</body\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message for one customer. Of e-mail: subject, html, text; of SMS: text; of push: title, body, link; of a webhook: body,
    which is JSON. `links`: where they stand in the text of an SMS."""

    subject: str = ""
    html: str = ""
    text: str = ""
    title: str = ""
    body: str = ""
    link: str = ""
    links: tuple[TextLink, ...] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """Content that was read. `names`: the variables that it uses, for `read_variables`; `links`: those of an SMS, from 1 on."""

    channel: str
    names: frozenset[str]
    parts: Mapping[str, Template]
    body: Any = None
    links: tuple[str, ...] = ()

    def render(self, variables: Mapping[str, Any]) -> Rendered:
        """`variables`: as `read_variables` gives them, with `unsubscribe_url`, `incentive_points`, `reward` and `trigger`.

        Raises RenderFailed.
        """
        return _RENDERERS[self.channel](self, variables)

    def part(self, name: str, variables: Mapping[str, Any]) -> str:
        template = self.parts.get(name)
        return "" if template is None else template.render(variables)

    def line(self, name: str, variables: Mapping[str, Any], most: int) -> str:
        """One line: no header is begun by what is in a name."""
        return one_line(self.part(name, variables))[:most].rstrip()


def one_line(text: str) -> str:
    return " ".join(_CONTROLS.sub(" ", unicodedata.normalize("NFC", text)).split())


def compile_content(channel: str, content: Any) -> Compiled:
    """Of content that `check_content` returned. Kept for whoever comes next with the same. Raises TextWrong."""
    return _compile(channel, orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def content_hash(channel: str, content: Any) -> str:
    """What content is known by."""
    said = channel.encode() + b"\n" + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(said, digest_size=12).hexdigest()


@lru_cache(maxsize=COMPILED_KEPT)
def _compile(channel: str, content: bytes) -> Compiled:
    said = orjson.loads(content)
    parts: dict[str, Template] = {}
    body: Any = None
    if channel == "webhook":
        body = _templates(said["body"])
        texts = list(_leaves(body))
    else:
        for name, source in said.items():
            if source:
                is_html = name in HTML_PARTS
                number = numbered if is_html else numbered_text if channel == "sms" else str
                parts[name] = read_template(number(source), html=is_html)
        if channel == "email" and not said.get("text"):
            text = plain_template(said["html"], list(pieces(said["html"])))
            if text is not None:
                parts["text"] = read_template(text)
        texts = list(parts.values())
    names = frozenset(
        used.name for template in texts for used in template.used if used.segments[0] != TRIGGER
    )
    links = tuple(text_links_of(said["text"])) if channel == "sms" else ()
    return Compiled(channel, names, parts, body, links)


def _templates(value: Any) -> Any:
    if isinstance(value, str):
        return read_template(value)
    if isinstance(value, dict):
        return {key: _templates(each) for key, each in value.items()}
    return [_templates(each) for each in value] if isinstance(value, list) else value


def _leaves(value: Any) -> list[Template]:
    if isinstance(value, Template):
        return [value]
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [leaf for each in below for leaf in _leaves(each)]


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, Template):
        return value.render(variables)
    if isinstance(value, dict):
        return {key: _filled(each, variables) for key, each in value.items()}
    return [_filled(each, variables) for each in value] if isinstance(value, list) else value


def _email(compiled: Compiled, variables: Mapping[str, Any]) -> Rendered:
    subject = compiled.line("subject", variables, SUBJECT_CHARS_MAX)
    if not subject:
        raise RenderFailed("the subject is empty")
    html = compiled.part("html", variables)
    text = compiled.part("text", variables) if "text" in compiled.parts else _text_of(html)
    preheader = compiled.line("preheader", variables, SUBJECT_CHARS_MAX)
    if preheader:
        html = _at_top(html, _PREHEADER.format(escape(preheader)))
    if foot := foot_of_html(html, variables):
        at = body_end(html)
        html = html[:at] + foot + html[at:]
    return Rendered(subject=subject, html=html, text=_text_with_foot(text, variables))


def _text_of(html: str) -> str:
    try:
        return plain_text(html)
    except HtmlWrong as wrong:
        raise RenderFailed(wrong.message.rstrip(".")) from None


_PREHEADER = '<div style="display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden">{}</div>'


def _at_top(html: str, piece: str) -> str:
    opening = _BODY_OPENS.search(html)
    at = opening.end() if opening else 0
    return html[:at] + piece + html[at:]


def body_end(html: str) -> int:
    """Where the last thing of a mail belongs."""
    ends = list(_BODY_ENDS.finditer(html))
    return ends[-1].start() if ends else len(html)


def _text_with_foot(text: str, variables: Mapping[str, Any]) -> str:
    lines = foot_of_text(text, variables)
    text = _CONTROLS_IN_TEXT.sub("", text.replace("\r\n", "\n")).strip()
    return f"{text}\n\n-- \n" + "\n".join(lines) + "\n" if lines else f"{text}\n"


def _sms(compiled: Compiled, variables: Mapping[str, Any]) -> Rendered:
    text = _CONTROLS_IN_TEXT.sub("", compiled.part("text", variables).replace("\r\n", "\n")).strip()
    if not text:
        raise RenderFailed("the text is empty")
    text, links = read_links(text)
    if len(text) > SMS_CHARS_MAX:
        raise RenderFailed(f"the text has more than {SMS_CHARS_MAX} characters")
    return Rendered(text=text, links=links)


def _push(compiled: Compiled, variables: Mapping[str, Any]) -> Rendered:
    title = compiled.line("title", variables, PUSH_TITLE_CHARS_MAX)
    body = _CONTROLS_IN_TEXT.sub("", compiled.part("body", variables)).strip()[:PUSH_BODY_CHARS_MAX]
    if not title or not body:
        raise RenderFailed("the title or the text is empty")
    link = compiled.part("link", variables).strip()
    if link and not is_web_url(link):
        raise RenderFailed("the link does not begin with https://")
    return Rendered(title=title, body=body, link=link)


def is_web_url(url: str) -> bool:
    return url.startswith(("https://", "http://")) and len(url) <= URL_CHARS_MAX and url.isprintable()


def _webhook(compiled: Compiled, variables: Mapping[str, Any]) -> Rendered:
    return Rendered(body=orjson.dumps(_filled(compiled.body, variables)).decode())


_RENDERERS = {"email": _email, "sms": _sms, "push": _push, "webhook": _webhook}
