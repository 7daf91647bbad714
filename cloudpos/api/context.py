"""What is known about the request being served, for logs and for the events that it causes."""

import os
import re
from collections.abc import Mapping
from contextvars import Token
from typing import Any

from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

REQUEST_ID_CHARS_MAX = 128
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{REQUEST_ID_CHARS_MAX}}}")


def accepted_id(offered: str | None) -> str:
    """The caller's id when it is well-formed, else a new one.

    An ill-formed id is replaced, not refused: it is a convenience, and it must never break a sale.
    """
    return offered if offered and _REQUEST_ID.fullmatch(offered) else os.urandom(12).hex()


def begin(request_id: str) -> Mapping[str, Token[Any]]:
    """Every log line from here on carries the id. Give what this returns to `end`."""
    return bind_contextvars(request_id=request_id)


def end(begun: Mapping[str, Token[Any]]) -> None:
    """Forget the request: the thread serves another one next."""
    reset_contextvars(**begun)


def current_request_id() -> str:
    """The id of the request (or task) being served; "" outside of any."""
    return str(get_contextvars().get("request_id", ""))
