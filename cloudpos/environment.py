"""Typed readers of the environment for the settings: a value that makes no sense stops the start and is named."""

from urllib.parse import urlparse

import environ
from django.core.exceptions import ImproperlyConfigured

TCP_PORT_MAX = 65535

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
