"""Versions as ETags: `If-Match` guards a write, `If-None-Match` spares a read.

The tag is the row's version, not a hash of bytes, so a weak form of it (a proxy that compresses makes one) means
the same and is accepted.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from cloudpos.api.errors import BadRequest, PreconditionFailed

TAGS_MAX = 10


def etag(version: int) -> str:
    return f'"{version}"'


def _tags(header: str, name: str) -> list[str]:
    tags = []
    for part in header.split(","):
        tag = part.strip().removeprefix("W/")
        if len(tag) < 2 or tag[0] != '"' or tag[-1] != '"':
            raise BadRequest(f"{name} is not a list of entity tags.", field=name, code="invalid_etag")
        tags.append(tag)
    if len(tags) > TAGS_MAX:
        raise BadRequest(f"{name} has too many entity tags.", field=name, code="invalid_etag")
    return tags


def expected_version(request: Any) -> int | None:
    """The version that `If-Match` demands, for the service to compare under its lock; None when there is none.

    Raises PreconditionFailed for tags that no version of ours can have.
    """
    header = request.META.get("HTTP_IF_MATCH", "").strip()
    if not header or header == "*":
        return None
    tags = _tags(header, "If-Match")
    if len(tags) > 1:
        raise BadRequest("Give one entity tag in If-Match.", field="If-Match", code="invalid_etag")
    text = tags[0][1:-1]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise PreconditionFailed()
    return int(text)


def require_version(expected: int | None, actual: int) -> None:
    """Raises PreconditionFailed when somebody changed the row since the caller read it."""
    if expected is not None and expected != actual:
        raise PreconditionFailed(extra={"version": actual})


def not_modified(request: Any, version: int) -> HttpResponse | None:
    """A 304 when the caller has this version already, else None."""
    header = request.META.get("HTTP_IF_NONE_MATCH", "").strip()
    if not header:
        return None
    tag = etag(version)
    if header != "*" and tag not in _tags(header, "If-None-Match"):
        return None
    return HttpResponse(status=304, headers={"ETag": tag})
