"""Whether a campaign's content can be sent, and if not, what is wrong with it where, for a store manager to read."""

import re
from collections.abc import Iterator
from typing import Any

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.parsing import storable
from marketing.content.compiling import compile_content, is_web_url
from marketing.content.html import HtmlWrong, Tag, tags
from marketing.content.language import RenderFailed, Template, TextWrong, meant, pieces, read_template
from marketing.content.plain_text import MARK, marked
from marketing.content.text_messages import segments
from marketing.content.variables import TRIGGER, VARIABLES, empty_values, example_values

# Gmail cuts off what is longer.
HTML_CHARS_MAX = 100_000
TEXT_CHARS_MAX = 50_000
SUBJECT_SOURCE_CHARS_MAX = 500
SMS_SOURCE_CHARS_MAX = 2_000
SMS_SEGMENTS_MAX = 10
PUSH_SOURCE_CHARS_MAX = 2_000
WEBHOOK_DEPTH_MAX = 8
WEBHOOK_VALUES_MAX = 200
WEBHOOK_TEXT_CHARS_MAX = 5_000
WEBHOOK_KEY_CHARS_MAX = 100
ERRORS_MAX = 20

# Of each channel its parts: how long they may be, and whether they must be there.
_PARTS: dict[str, dict[str, tuple[int, bool]]] = {
    "email": {
        "subject": (SUBJECT_SOURCE_CHARS_MAX, True),
        "preheader": (SUBJECT_SOURCE_CHARS_MAX, False),
        "html": (HTML_CHARS_MAX, True),
        "text": (TEXT_CHARS_MAX, False),
    },
    "sms": {"text": (SMS_SOURCE_CHARS_MAX, True)},
    "push": {
        "title": (SUBJECT_SOURCE_CHARS_MAX, True),
        "body": (PUSH_SOURCE_CHARS_MAX, True),
        "link": (PUSH_SOURCE_CHARS_MAX, False),
    },
}
# Mail programs remove them, and spam filters hold them against the sender.
_REFUSED_ELEMENTS = frozenset(
    {"script", "iframe", "frame", "frameset", "object", "embed", "applet", "base", "form", "svg", "math"}
)
_REFUSED_SCHEMES = re.compile(r"[\s\x00-\x1f]*(javascript|vbscript|data|file)\s*:", re.IGNORECASE)
_LINKS = frozenset({"href", "src", "action", "background", "poster", "srcset"})


class ContentRefused(BadRequest):
    """`errors` say where and what."""

    code = "content_refused"
    message = "The text has mistakes. Please correct the marked places."


def check_content(channel: str, content: Any, *, field: str) -> dict[str, Any]:
    """The content as it is kept. Raises ContentRefused, whose fields begin with `field`."""
    errors: list[FieldError] = []
    if not isinstance(content, dict):
        raise ContentRefused(errors=[FieldError(field, "This must be an object.")])
    cleaned = (
        _check_webhook(content, field, errors)
        if channel == "webhook"
        else _check_parts(_PARTS[channel], content, field, errors)
    )
    if not errors:
        _try(channel, cleaned, field, errors)
    if errors:
        raise ContentRefused(errors=errors[:ERRORS_MAX])
    return cleaned


def _check_parts(
    parts: dict[str, tuple[int, bool]], content: dict[str, Any], field: str, errors: list[FieldError]
) -> dict[str, Any]:
    errors += [
        FieldError(f"{field}.{str(name)[:60]}", f"Here are only {', '.join(parts)}.", "unknown_field")
        for name in content
        if name not in parts
    ]
    cleaned: dict[str, Any] = {}
    for name, (most, is_required) in parts.items():
        value = content.get(name)
        where = f"{field}.{name}"
        if value in (None, "") or (isinstance(value, str) and not value.strip()):
            if is_required:
                errors.append(FieldError(where, "This must not be empty.", "required"))
        elif (text := _text(value, most, where, errors)) is not None:
            cleaned[name] = text
            errors += _mistakes(text, where, html=name == "html")
    return cleaned


def _text(value: Any, most: int, where: str, errors: list[FieldError]) -> str | None:
    if not isinstance(value, str):
        errors.append(FieldError(where, "This must be text."))
    elif not storable(value):
        errors.append(FieldError(where, "Text must not contain NUL or unpaired surrogate characters."))
    elif len(value) > most:
        errors.append(FieldError(where, f"This may have {most} characters at most.", "too_long"))
    else:
        return value.replace("\r\n", "\n").strip()
    return None


def _mistakes(source: str, where: str, *, html: bool) -> Iterator[FieldError]:
    try:
        template = read_template(source, html=html)
    except TextWrong as wrong:
        yield FieldError(where, f"Line {wrong.line}: {wrong.message}", wrong.code)
        return
    yield from _unknown_variables(template, where)
    if html:
        yield from _refused_html(source, where)


def _unknown_variables(template: Template, where: str) -> Iterator[FieldError]:
    told = set()
    for used in template.used:
        if used.name in VARIABLES or used.segments[0] == TRIGGER or used.name in told:
            continue
        told.add(used.name)
        name = used.name[:100]
        said = f"Line {used.line}: There is no variable {name}.{meant(name, VARIABLES)}"
        yield FieldError(where, said, "unknown_variable")


def _refused_html(source: str, where: str) -> Iterator[FieldError]:
    html = marked(source, list(pieces(source)), keep_lines=True)
    try:
        for tag in tags(html):
            line = html.count("\n", 0, tag.start) + 1
            for said in _refusals(tag):
                yield FieldError(where, f"Line {line}: {said}", "html_refused")
    except HtmlWrong as wrong:
        line = html.count("\n", 0, wrong.index) + 1
        yield FieldError(where, f"Line {line}: {wrong.message}", "html_refused")


def _refusals(tag: Tag) -> Iterator[str]:
    if tag.is_end:
        return
    if tag.name in _REFUSED_ELEMENTS:
        yield f"Mail programs do not show <{tag.name}>: please remove it."
    for each in tag.attributes():
        if each.name.startswith("on"):
            yield f"Mail programs do not run {each.name[:30]}: please remove it."
        elif each.name in _LINKS and _REFUSED_SCHEMES.match(each.value):
            yield "A link begins with https://, mailto: or tel:."
        elif tag.name == "meta" and each.name == "http-equiv" and each.value.strip().lower() == "refresh":
            yield "A mail cannot lead on to another page by itself."
        elif MARK in each.name or (MARK in each.value and not each.quote):
            # A space in a name would begin another attribute there.
            yield f'Put quotes around what {{{{ }}}} stands for: {_tidy(each.name)}="...".'


def _tidy(name: str) -> str:
    return "href" if MARK in name else name[:30]


def _check_webhook(content: dict[str, Any], field: str, errors: list[FieldError]) -> dict[str, Any]:
    errors += [
        FieldError(f"{field}.{str(name)[:60]}", "Here is only body.", "unknown_field")
        for name in content
        if name != "body"
    ]
    body = content.get("body")
    if not isinstance(body, dict) or not body:
        errors.append(FieldError(f"{field}.body", "This must be an object with at least one value."))
        return {}
    counted = [0]
    cleaned = _check_value(body, f"{field}.body", 1, counted, errors)
    if counted[0] > WEBHOOK_VALUES_MAX:
        errors.append(FieldError(f"{field}.body", f"{WEBHOOK_VALUES_MAX} values are the most.", "too_long"))
    return {"body": cleaned}


def _check_value(value: Any, where: str, depth: int, counted: list[int], errors: list[FieldError]) -> Any:
    counted[0] += 1
    if counted[0] > WEBHOOK_VALUES_MAX:
        return None
    if isinstance(value, str):
        text = _text(value, WEBHOOK_TEXT_CHARS_MAX, where, errors)
        if text:
            errors += _mistakes(text, where, html=False)
        return text
    if isinstance(value, dict | list) and depth > WEBHOOK_DEPTH_MAX:
        errors.append(FieldError(where, f"This is nested more than {WEBHOOK_DEPTH_MAX} deep.", "too_deep"))
        return None
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or not 0 < len(key) <= WEBHOOK_KEY_CHARS_MAX or not storable(key):
                errors.append(FieldError(where, f"Names have 1 to {WEBHOOK_KEY_CHARS_MAX} characters."))
                return None
        return {
            key: _check_value(each, f"{where}.{key}", depth + 1, counted, errors)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [
            _check_value(each, f"{where}.{number}", depth + 1, counted, errors)
            for number, each in enumerate(value)
        ]
    return value


def _try(channel: str, content: dict[str, Any], field: str, errors: list[FieldError]) -> None:
    """For somebody of whom everything is known, and for somebody of whom nothing is."""
    compiled = compile_content(channel, content)
    try:
        shown = compiled.render(example_values())
        if channel == "sms" and (count := segments(shown.text).count) > SMS_SEGMENTS_MAX:
            said = f"This takes {count} text messages; {SMS_SEGMENTS_MAX} is the most."
            errors.append(FieldError(f"{field}.text", said, "too_long"))
        if channel == "push" and shown.link and not is_web_url(shown.link):
            errors.append(FieldError(f"{field}.link", "A link begins with https://.", "invalid_link"))
        compiled.render(empty_values())
    except RenderFailed as failed:
        said = f"This cannot be put together: {failed}."
        errors.append(FieldError(_where(channel, field), said, "cannot_render"))


def _where(channel: str, field: str) -> str:
    return f"{field}.{ {'email': 'html', 'sms': 'text'}.get(channel, 'body') }"
