"""Structured logs: one JSON object per line, the library loggers included, no personal data."""

from __future__ import annotations

import logging
import logging.config
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson
import structlog

# PostgreSQL quotes the values of the offending row after DETAIL, and the statement's in CONTEXT.
_QUOTED_VALUES = re.compile(r"^\s*(?:DETAIL|CONTEXT|HINT|QUERY|LINE \d+):.*(?:\n\s*\^.*)?$", re.MULTILINE)
_KEY_VALUES = re.compile(r"\(([^()]*)\)=\([^()]*\)")
TEXT_CHARS_MAX = 8_000


def scrub(text: str) -> str:
    """`text` without the row values that PostgreSQL's error messages quote."""
    return _KEY_VALUES.sub(r"(\1)=(...)", _QUOTED_VALUES.sub("DETAIL: (removed)", text))[:TEXT_CHARS_MAX]


def _scrub_exception(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in ("exception", "event"):
        text = event.get(key)
        if isinstance(text, str) and ("DETAIL" in text or ")=(" in text or "LINE " in text):
            event[key] = scrub(text)
    return event


def to_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """The line. Values without a JSON form are shown by their type: a repr could hold personal data."""
    return orjson.dumps(
        event, default=lambda value: f"<{type(value).__name__}>", option=orjson.OPT_UTC_Z
    ).decode()


request_logger = logging.getLogger("cloudpos.requests")


def write_request_line(line: Mapping[str, Any], level: int) -> None:
    """One line per request, past the logging machinery: a record with its caller, thread and process costs more
    than the line. The logger "cloudpos.requests" says from which level on.
    """
    if request_logger.isEnabledFor(level):
        sys.stdout.write(orjson.dumps(line).decode() + "\n")
        sys.stdout.flush()


SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _scrub_exception,
]


def configure(options: Mapping[str, Any]) -> None:
    """Django's LOGGING_CONFIG hook. `options`: {"level": "INFO", "format": "json" or "console"}."""
    level = str(options.get("level", "INFO"))
    if options.get("format") == "console":
        renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    else:
        renderer = to_json
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _scrub_exception,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": SHARED_PROCESSORS,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                },
            },
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "line",
                },
            },
            "root": {"handlers": ["stdout"], "level": level},
            "loggers": {
                # Each request has a line of its own, and every 5xx is logged where it is rendered.
                "django.request": {"level": "CRITICAL"},
                "django.server": {"level": "CRITICAL"},
                "django.security.DisallowedHost": {"level": "CRITICAL"},
                "httpx": {"level": "WARNING"},
                "httpcore": {"level": "WARNING"},
                "psycopg.pool": {"level": "ERROR"},
            },
        }
    )
