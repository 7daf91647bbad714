"""What is known about the request being served, for logs and for the events that it causes."""

import os
import re

from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

REQUEST_ID_CHARS_MAX = 128
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{REQUEST_ID_CHARS_MAX}}}")


def begin(offered_id: str | None) -> str:
    """Start a request's context; return its id: the caller's when it is well-formed, else a new one.

    An ill-formed id is replaced, not refused: it is a convenience, and it must never break a sale.
    """
    request_id = offered_id if offered_id and _REQUEST_ID.fullmatch(offered_id) else os.urandom(12).hex()
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    return request_id


def end() -> None:
    """Forget the request: the thread serves another one next."""
    clear_contextvars()


def current_request_id() -> str:
    """The id of the request (or task) being served; "" outside of any."""
    return str(get_contextvars().get("request_id", ""))
