"""Where a webhook may be sent: URLs that a merchant typed must never reach into our own network (SSRF).

Checked when an endpoint is created and changed, and again at every send, because what a name resolves to changes. The send
connects to the very address that was checked.
"""

import asyncio
import ipaddress
import os
import re
import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from queue import SimpleQueue

import httpx
from django.conf import settings

from cloudpos.api.errors import BadRequest

URL_CHARS_MAX = 2_000
RESOLVE_SECONDS_MAX = 5.0
ADDRESSES_MAX = 32
LOOKUPS_MAX = 256
PORTS = frozenset({443, 8443})

_PRINTABLE = re.compile(r"[\x21-\x7e\u00a1-\uffff]+")
# A host whose last label is a number is an address in one of inet_aton's spellings (WHATWG URL, "ends in a number").
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?$")

# Global unicast is 2000::/3; of it and of IPv4, what the IANA special-purpose registries take out.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
        "2001::/23",  # Teredo, ORCHID, benchmarks ...
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",  # documentation
    )
)


class UrlRefused(BadRequest):
    code = "url_refused"
    message = "Webhooks cannot be sent to this URL."


class HostNotFound(UrlRefused):
    code = "host_not_found"
    message = "The host of this URL was not found."


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart, in the only reading of it that is ever used."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


def is_public(address: str) -> bool:
    """Whether an IP address is global unicast: an allow-list, so that what nobody thought of is refused."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_V6:
        # Mapped IPv4, NAT64 (64:ff9b::/96), unique local, link-local and loopback all lie outside of it.
        return False
    return not any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)


def read_url(url: str) -> Target:
    """The parts of `url`. Raises UrlRefused for what no endpoint of ours may look like."""
    target = _parse(url)
    if not settings.WEBHOOKS_ALLOW_PRIVATE:
        _refuse_unless_public_name(target)
    return target


# Each delivery reads its endpoint's again.
@lru_cache(maxsize=1_024)
def _parse(url: str) -> Target:
    if len(url) > URL_CHARS_MAX or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise UrlRefused("This is not a URL such as https://hooks.example.com/cloudpos", field="url")
    try:
        parsed = httpx.URL(url)
        scheme, host = parsed.scheme, parsed.raw_host.decode("ascii")
        port = {"http": 80, "https": 443}.get(scheme, 0) if parsed.port is None else parsed.port
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise UrlRefused(
            "This is not a URL such as https://hooks.example.com/cloudpos", field="url"
        ) from None
    if scheme not in ("http", "https") or not host or not 1 <= port <= 65_535:
        raise UrlRefused("The URL must begin with https://", field="url")
    if parsed.userinfo:
        raise UrlRefused("The URL must not hold a user name or a password.", field="url")
    return Target(scheme, host.strip("[]").lower(), port, parsed.raw_path.decode("ascii"))


def _refuse_unless_public_name(target: Target) -> None:
    if target.scheme != "https":
        raise UrlRefused("The URL must begin with https://", field="url")
    if target.port not in PORTS:
        raise UrlRefused("The port must be 443 or 8443.", field="url")
    if ":" in target.host or _ENDS_IN_NUMBER.search(target.host) or "." not in target.host.strip("."):
        raise UrlRefused("The host must be a public name, not an address.", field="url")


async def vet(target: Target) -> list[str]:
    """The addresses to connect to. Raises HostNotFound, and UrlRefused when any address of the host is not public."""
    found = _look_up(target.host, target.port)
    if found.done():
        return _vetted(found.result())
    try:
        # Shielded: others may be waiting for the same look-up.
        waiting = asyncio.shield(asyncio.wrap_future(found))
        addresses = await asyncio.wait_for(waiting, RESOLVE_SECONDS_MAX)
    except TimeoutError:
        addresses = []
    return _vetted(addresses)


def check_url(url: str) -> None:
    """What a merchant typed. Raises UrlRefused; takes up to RESOLVE_SECONDS_MAX."""
    target = read_url(url)
    if settings.WEBHOOKS_ALLOW_PRIVATE:
        return
    try:
        addresses = _look_up(target.host, target.port).result(RESOLVE_SECONDS_MAX)
    except TimeoutError:
        addresses = []
    _vetted(addresses)


def _vetted(addresses: list[str]) -> list[str]:
    if not addresses:
        raise HostNotFound(field="url")
    if not settings.WEBHOOKS_ALLOW_PRIVATE and not all(is_public(address) for address in addresses):
        # Any, not the first: a name with a public and a private address would be tried until the private one comes.
        raise UrlRefused("The host of this URL is not reachable from the public internet.", field="url")
    return addresses


Key = tuple[str, int]
_lock = threading.Lock()
_under_way: dict[Key, Future[list[str]]] = {}
_asked: SimpleQueue[tuple[Key, Future[list[str]]]] = SimpleQueue()
_resolvers: list[threading.Thread] = []
# Threads are not forked along.
os.register_at_fork(after_in_child=_resolvers.clear)


def _look_up(host: str, port: int) -> Future[list[str]]:
    """Every address of a host, [] when there is none. Each look-up is new, except that those of the same moment share one.

    getaddrinfo knows no time limit: a name server that never answers holds one thread for each name. Threads are used again,
    and end with the process, whatever they wait for.
    """
    found: Future[list[str]] = Future()
    if _is_literal(host):
        found.set_result([host])
        return found
    key = (host, port)
    with _lock:
        shared = _under_way.get(key)
        if shared is not None:
            return shared
        if len(_under_way) >= LOOKUPS_MAX:
            found.set_result([])
            return found
        _under_way[key] = found
        if len(_under_way) > len(_resolvers):
            _resolvers.append(threading.Thread(target=_resolve, name="resolve", daemon=True))
            _resolvers[-1].start()
    _asked.put((key, found))
    return found


def _resolve() -> None:
    while True:
        key, found = _asked.get()
        try:
            answers = socket.getaddrinfo(*key, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in answers))[:ADDRESSES_MAX]
        except (OSError, ValueError):
            addresses = []
        with _lock:
            del _under_way[key]
        found.set_result(addresses)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
