"""Typed readers of the environment for the settings: a value that makes no sense stops the start and is named."""

from typing import Any
from urllib.parse import urlparse

import environ
from django.core.exceptions import ImproperlyConfigured

TCP_PORT_MAX = 65535
_SUCH_AS = "such as smtp+tls://user:password@smtp.example.com:587"
_ENCODED = "in a user name or password / is written %2F, # %23, ? %3F, @ %40 and : %3A"

env = environ.Env()


def choice(name: str, allowed: tuple[str, ...], default: str) -> str:
    """One of `allowed`. Raises ImproperlyConfigured."""
    value: str = env.str(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}={value!r} is not one of {', '.join(allowed)}")
    return value


def whole_number(name: str, default: int) -> int:
    """Raises ImproperlyConfigured."""
    try:
        return int(env.int(name, default))
    except ValueError:
        raise ImproperlyConfigured(f"{name}={env.str(name)!r} is not a whole number") from None


def port(name: str, default: int) -> int:
    """A TCP port. Raises ImproperlyConfigured."""
    value = whole_number(name, default)
    if not 1 <= value <= TCP_PORT_MAX:
        raise ImproperlyConfigured(f"{name}={value} is not a TCP port")
    return value


def origins(name: str, default: list[str]) -> list[str]:
    """Origins of browsers, comma-separated, without a slash at the end. Raises ImproperlyConfigured."""
    found: list[str] = env.list(name, default=default)
    for origin in found:
        parsed = urlparse(origin)
        if parsed.scheme not in ("http", "https") or not parsed.netloc or parsed.path not in ("", "/"):
            raise ImproperlyConfigured(
                f"{name}: {origin!r} is not an origin such as https://till.example.com"
            )
    return [origin.rstrip("/") for origin in found]


def email_url(name: str, default: str) -> dict[str, Any]:
    """How mails go out, by the names of Django's settings. Raises ImproperlyConfigured, which does not say the value: it
    holds a password.
    """
    value = env.str(name, default).strip()
    if not value:
        raise ImproperlyConfigured(
            f"{name} is empty: leave it out to have mails printed, or set it, {_SUCH_AS}"
        )
    scheme, separator, _ = value.partition("://")
    if not separator or scheme.lower() not in env.EMAIL_SCHEMES:
        known = ", ".join(f"{each}://" for each in env.EMAIL_SCHEMES)
        raise ImproperlyConfigured(f"{name} must begin with one of {known}: {_SUCH_AS}")
    try:
        parsed = urlparse(value)
        parsed.port  # noqa: B018  # read for what it refuses
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} cannot be read: {_ENCODED}, and its port is a number; {_SUCH_AS}"
        ) from None
    if "@" in f"{parsed.path}{parsed.query}{parsed.fragment}":
        raise ImproperlyConfigured(f"{name} cannot be read: {_ENCODED}; {_SUCH_AS}")
    if scheme.lower().startswith("smtp") and not parsed.hostname:
        raise ImproperlyConfigured(f"{name} names no mail server: {_SUCH_AS}")
    found: dict[str, Any] = env.email_url_config(value)
    return found
