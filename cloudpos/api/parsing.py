"""JSON bodies: bounded in bytes and depth before they are parsed, and free of text no database can store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser

from cloudpos.api.errors import (
    BadRequest,
    FieldError,
    LengthRequired,
    MalformedJson,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
)

JSON_INTEGER_BITS = 64
CONTENT_LENGTH_DIGITS_MAX = 18

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BRACES_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_LONG_NUMBER = re.compile(rb"\d{19}")


def too_deep(body: bytes, depth_max: int) -> bool:
    """Whether arrays and objects nest deeper than `depth_max`, found without recursion and without parsing."""
    if body.count(b"[") + body.count(b"{") <= depth_max:
        return False
    brackets = _STRINGS.sub(b"", body).translate(_BRACES_AS_BRACKETS, _NOT_BRACKETS)
    for _ in range(depth_max):
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            # Nothing closes any more: balanced and done, or unbalanced, which the parser refuses.
            break
        brackets = shorter
    else:
        return bool(brackets)
    return len(brackets) > depth_max


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Every (path, string or number), keys included, without recursion."""
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        path, found = pending.pop()
        if isinstance(found, dict):
            for key, child in found.items():
                yield path, key
                pending.append((f"{path}.{key}" if path else key, child))
        elif isinstance(found, list):
            pending.extend(
                (f"{path}.{index}" if path else str(index), child) for index, child in enumerate(found)
            )
        else:
            yield path, found


def storable(text: str) -> bool:
    """False for NUL and for lone surrogates, which neither PostgreSQL nor UTF-8 can hold."""
    if "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\u0000")


def _refuse_unstorable(value: Any) -> None:
    for path, found in _leaves(value):
        if isinstance(found, str) and not storable(found):
            where = _printable(path)
            message = "Text must not contain NUL or unpaired surrogate characters."
            raise BadRequest(errors=[FieldError(where or None, message, "invalid_text")])


def _bounded_int(digits: str) -> int:
    # Python refuses to convert thousands of digits; how much too large does not matter.
    return int(digits) if len(digits) <= 20 else 2**JSON_INTEGER_BITS


def _refuse_huge_integers(body: bytes) -> None:
    # orjson reads integers beyond 64 bits as floats, and so would change them silently.
    for path, found in _leaves(json.loads(body, parse_int=_bounded_int)):
        if isinstance(found, int) and not -(2 ** (JSON_INTEGER_BITS - 1)) <= found < 2**JSON_INTEGER_BITS:
            raise BadRequest(
                errors=[FieldError(path or None, "This number is too large.", "number_too_large")]
            )


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises MalformedJson or BadRequest, naming the path where there is one."""
    if too_deep(body, settings.JSON_DEPTH_MAX):
        raise BadRequest(
            f"JSON may nest {settings.JSON_DEPTH_MAX} levels deep at most.", code="json_too_deep"
        )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        if b"\\ud" in body or b"\\uD" in body:
            # Lone surrogates are what orjson refuses and the standard library reads: say where they stand.
            try:
                lenient = json.loads(body)
            except ValueError:
                pass
            else:
                _refuse_unstorable(lenient)
        raise MalformedJson(f"The body is not valid JSON: line {exc.lineno}, column {exc.colno}.") from None
    if b"\\u0000" in body:
        _refuse_unstorable(value)
    if _LONG_NUMBER.search(body):
        _refuse_huge_integers(body)
    return value


def _content_length(meta: Mapping[str, Any]) -> int:
    text = meta.get("CONTENT_LENGTH") or ""
    if not text:
        if meta.get("HTTP_TRANSFER_ENCODING"):
            raise LengthRequired()
        return 0
    if not (text.isascii() and text.isdigit()):
        raise BadRequest("Content-Length is not a number.", code="bad_request")
    # Python refuses to convert thousands of digits; how much too large does not matter.
    return int(text[:CONTENT_LENGTH_DIGITS_MAX])


class StrictJsonParser(BaseParser):
    """The only parser. The view's `body_bytes_max` (else REQUEST_BODY_BYTES_MAX) bounds the body."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        context = parser_context or {}
        meta = context["request"].META if "request" in context else stream.META
        bytes_max = getattr(context.get("view"), "body_bytes_max", None) or settings.REQUEST_BODY_BYTES_MAX
        return parse_json(read_body(stream, meta, bytes_max=bytes_max))


def read_body(stream: Any, meta: Mapping[str, Any], *, bytes_max: int) -> bytes:
    """The bytes of a request's body. Raises UnsupportedMediaType, LengthRequired, TooLarge and RequestTimeout."""
    if meta.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType("Compressed bodies are not accepted.")
    length = _content_length(meta)
    if length > bytes_max:
        raise TooLarge(f"The body may have {bytes_max} bytes at most.", extra={"bytesMax": bytes_max})
    body: bytes = stream.read(length)
    if len(body) < length:
        # cloudpos.worker ended the reading, or the client did.
        raise RequestTimeout()
    return body
