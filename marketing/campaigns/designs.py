"""E-mails for people who write no HTML: a heading, a text and a button, laid out to be read anywhere. Pure."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from cloudpos.api.errors import FieldError

LINE_CHARS_MAX = 200
TEXT_CHARS_MAX = 20_000
LINK_CHARS_MAX = 2_000
_PARTS = {"heading": LINE_CHARS_MAX, "text": TEXT_CHARS_MAX, "button": LINE_CHARS_MAX, "link": LINK_CHARS_MAX}
_LIQUID = re.compile(r"(\{\{.*?\}\}|\{%.*?%\})", re.DOTALL)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n+")


def check_design(said: Any, field: str, problems: list[FieldError]) -> dict[str, str]:
    """{"heading", "text", "button", "link"}, with what is wrong appended to `problems`."""
    if not isinstance(said, dict) or said.keys() - _PARTS.keys():
        problems.append(FieldError(field, f"An object of {', '.join(_PARTS)} is expected.", "invalid"))
        return {}
    found = {}
    for name, most in _PARTS.items():
        value = said.get(name, "")
        if not isinstance(value, str) or len(value) > most:
            problems.append(
                FieldError(f"{field}.{name}", f"A text of at most {most} characters is expected.")
            )
            continue
        found[name] = value.replace("\r\n", "\n").strip()
    if not found.get("text"):
        problems.append(FieldError(f"{field}.text", "Write something.", "required"))
    if found.get("button") and not found.get("link"):
        problems.append(FieldError(f"{field}.link", "Say where the button leads.", "required"))
    return found


def html_of(design: dict[str, str]) -> str:
    """One column of at most 600 pixels, tables and inline styles, as mail programs want it; Liquid in the texts is kept."""
    parts = []
    if design.get("heading"):
        parts.append(f'<h1 style="{_HEADING}">{_safe(design["heading"])}</h1>')
    for paragraph in _PARAGRAPHS.split(design["text"]):
        parts.append(f'<p style="{_TEXT}">{_safe(paragraph.strip()).replace(chr(10), "<br>")}</p>')
    if design.get("button"):
        link, button = _safe(design["link"]), _safe(design["button"])
        parts.append(f'<p style="margin:28px 0 8px"><a href="{link}" style="{_BUTTON}">{button}</a></p>')
    return _PAGE.format(card=_CARD, body="\n".join(parts))


def _safe(text: str) -> str:
    """Escaped, but for what Liquid reads."""
    return "".join(piece if number % 2 else escape(piece) for number, piece in enumerate(_LIQUID.split(text)))


_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_HEADING = f"{_FONT};font-size:24px;line-height:1.3;color:#111827;margin:0 0 16px"
_TEXT = f"{_FONT};font-size:16px;line-height:1.6;color:#374151;margin:0 0 16px"
_BUTTON = (
    f"{_FONT};font-size:16px;font-weight:600;color:#ffffff;background:#1f2937;border-radius:6px;display:inline-block;"
    "padding:12px 22px;text-decoration:none"
)
_CARD = "max-width:600px;background:#ffffff;border-radius:10px"
_PAGE = """<!doctype html>
<html lang="{{{{ customer.language | default: 'en' }}}}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body style="margin:0;padding:0;background:#f3f4f6">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#f3f4f6">
<tr><td align="center" style="padding:24px 12px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="{card}">
<tr><td style="padding:32px 28px">
{body}
</td></tr></table>
</td></tr></table>
</body>
</html>"""
