"""A merchant's URL never makes this service connect to an address inside: every form of address, names that move, redirects.

What counts is what the operating system was asked to connect to, whatever our own code believes.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from django.test import override_settings

from marketing.models import Webhook, WebhookAttempt
from marketing.webhooks import targets
from marketing.webhooks.dispatch import send_due
from marketing.webhooks.sending import Outcome, post
from marketing.webhooks.services import create_webhook, update_webhook
from marketing.webhooks.targets import UrlRefused, check_url
from tests.fixtures import Shop
from tests.marketing.conftest import Receiver, make_due, queue, says

pytestmark = [pytest.mark.django_db]

PUBLIC = "93.184.215.14"

# Addresses that must never be connected to, in the form in which name servers give them.
BLOCKED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254 127.0.0.1 127.0.0.2 127.1.2.3
127.255.255.254 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.20.10.1 172.31.255.254
192.0.0.1 192.0.0.170 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.1.254
192.175.48.1 198.18.0.1 198.19.255.254 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255 :: ::1 ::7f00:1 ::127.0.0.1 ::ffff:0:0 ::ffff:127.0.0.1 ::ffff:7f00:1
::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:93.184.215.14 64:ff9b::7f00:1 64:ff9b::10.0.0.1
64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1 2001:2::1
2001:db8::1 2002:7f00:1:: 2002:a00:1:: 2002:a9fe:a9fe:: 2620:4f:8000::1 3fff::1 4000::1 5f00::1
fc00::1 fd00:ec2::254 fd12:3456:789a::1 fe80::1 fe80::1%lo fec0::1 feff::1 ff01::1 ff02::1 ff05::2
""".split()  # noqa: SIM905

# What a URL can hold in place of a name: every spelling of an address that some library has ever understood.
SPELLINGS = """
127.0.0.1 127.1 127.0.1 127.0.0.1. 0 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1 017700000001 2130706433
2130706433. 0x7F.0x0.0x0.0x1 127.0.0.0x1 00000177.0.0.1 4294967295 10.0.0.1 10.1 0xa000001
0x0a.0.0.1 012.0.0.1 167772161 192.168.1.1 192.168.257 3232235777 169.254.169.254 0xa9fea9fe
0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376 2852039166 172.16.0.1 100.64.0.1 0.0.0.0 255.255.255.255
224.0.0.1 198.18.0.1 93.184.215.14 8.8.8.8 [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1]
[::ffff:7f00:1] [::127.0.0.1] [64:ff9b::127.0.0.1] [2002:7f00:1::] [2001::1] [fe80::1]
[fe80::1%25lo] [fc00::1] [fd00:ec2::254] [ff02::1] [::ffff:a9fe:a9fe]
[2606:2800:21f:cb07:6820:80da:af6b:8b2c] localhost localhost. LOCALHOST localhost6 ip6-localhost
loopback ①②⑦.⓪.⓪.① 127。0。0。1 １２７.0.0.1 127．0．0．1 ⓛocalhost lºcalhost metadata kubernetes redis
postgres
""".split()  # noqa: SIM905

# Addresses like names outside, but not a URL that an endpoint of ours may have.
SHAPES = [
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:11211/",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    "data:text/plain,x",
    "//hooks.example.com/",
    "hooks.example.com",
    "https:/hooks.example.com/",
    "https:///hooks.example.com/",
    "https:hooks.example.com/",
    "https://",
    "https:// hooks.example.com/",
    "https://hooks.example.com /",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:80/",
    "https://hooks.example.com:6379/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:443@127.0.0.1/",
    "https://hooks.example.com@127.0.0.1/",
    "https://hooks.example.com%40127.0.0.1/",
    "https://user@hooks.example.com/",
    "https://user:secret@hooks.example.com/",
    "https://127.0.0.1\\@hooks.example.com/",
    "https://127.0.0.1\\.hooks.example.com/",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com\t.evil.example/",
    "https://hooks.example.com\r\nHost: evil.example/",
    "https://hooks.example.com/\r\nX-Injected: yes",
    "https://hooks.example.com\x00.evil.example/",
    "https://hooks.exa\u202emple.com/",
    "https://[::1/",
    "https://::1/",
    "https://[hooks.example.com]/",
    "https://127.0.0.1#@hooks.example.com/",
    "https://127.0.0.1?@hooks.example.com/",
    "https://127.0.0.1;@hooks.example.com/",
    "https://hooks..example.com/",
    "https://.hooks.example.com/",
    "https://-/",
]
LITERALS = [f"https://{host}{port}/hook" for host, port in product(SPELLINGS, ("", ":8443"))]
URLS = [*SHAPES, *LITERALS]


_watching: list[Any] | None = None


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching is not None and event == "socket.connect":
        sock, address = arguments
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            _watching.append(address)


# Cannot be removed again; while nobody watches it does nothing.
sys.addaudithook(_notice)


@pytest.fixture
def connections() -> Iterator[list[Any]]:
    """Every address that this process asks the operating system to connect to."""
    global _watching
    _watching = []
    yield _watching
    _watching = None


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Name servers: each answer once, the last one for ever."""
    answers: dict[str, list[list[str]]] = {}

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        left = answers.get(host)
        if not left:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        given = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in given]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return answers


def create(shop: Shop, url: str) -> Webhook:
    return create_webhook(merchant_id=shop.merchant.pk, url=url, event_types=["*"]).webhook


def test_the_corpus_is_large_enough() -> None:
    assert len(set(URLS)) + len(set(BLOCKED)) >= 150
    assert len(set(URLS)) >= 150


def send_all(urls: list[str]) -> list[Outcome]:
    """As the sender does, at once."""

    async def run() -> list[Outcome]:
        return await asyncio.gather(*[post(url=url, body=b"{}", headers={}) for url in urls])

    return asyncio.run(run())


@override_settings(WEBHOOKS_ALLOW_PRIVATE=False)
def test_each_url_is_refused_when_made_when_changed_and_when_sent(
    shop: Shop, connections: list[Any], names: dict[str, list[list[str]]]
) -> None:
    names["hooks.example.com"] = [[PUBLIC]]
    webhook = create(shop, "https://hooks.example.com/")
    for url in URLS:
        with pytest.raises(UrlRefused):
            create(shop, url)
        with pytest.raises(UrlRefused):
            update_webhook(merchant_id=shop.merchant.pk, webhook_id=webhook.pk, changes={"url": url})
    # As if a row had got past both, from a time with other rules.
    outcomes = send_all(URLS)
    assert [outcome.status for outcome in outcomes] == [None] * len(URLS)
    assert connections == []


@override_settings(WEBHOOKS_ALLOW_PRIVATE=False)
def test_a_row_that_got_past_the_checks_is_refused_by_the_sender(
    shop: Shop, connections: list[Any], names: dict[str, list[list[str]]]
) -> None:
    names["hooks.example.com"] = [[PUBLIC]]
    create(shop, "https://hooks.example.com/")
    queue(shop, "purchase.recorded")
    for url in ("https://127.0.0.1/", "https://[::1]/", "http://hooks.example.com/", "https://localhost/"):
        Webhook.objects.update(url=url)
        make_due()
        assert send_due() == 0
    assert WebhookAttempt.objects.filter(response_status=None).exclude(error="").count() == 4
    assert connections == []


@override_settings(WEBHOOKS_ALLOW_PRIVATE=False)
def test_a_name_that_moves_inside_after_it_was_checked(
    connections: list[Any], names: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: a public address when the endpoint is made, a blocked one whenever something is sent."""
    answers = [answer for address in BLOCKED for answer in ([address], [PUBLIC, address], [address, PUBLIC])]
    for number, answer in enumerate(answers):
        names[f"h{number}.example.com"] = [[PUBLIC], answer]
        check_url(f"https://h{number}.example.com/")
    # More names at once than one process asks for.
    monkeypatch.setattr(targets, "LOOKUPS_MAX", len(answers))
    outcomes = send_all([f"https://h{number}.example.com/" for number in range(len(answers))])
    assert {outcome.error for outcome in outcomes} == {
        "The host of this URL is not reachable from the public internet."
    }
    for number in range(len(answers)):
        with pytest.raises(UrlRefused):
            check_url(f"https://h{number}.example.com/")
    assert connections == []


@override_settings(WEBHOOKS_ALLOW_PRIVATE=False)
def test_a_name_is_asked_once_for_each_send(
    shop: Shop, names: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch, connections: list[Any]
) -> None:
    """The second answer would be the inside: it is never asked for, the address that was vetted is connected to."""
    names["hooks.example.com"] = [[PUBLIC], [PUBLIC], ["127.0.0.1"]]
    create(shop, "https://hooks.example.com/")
    queue(shop, "purchase.recorded")

    async def refuse(*address: Any, **options: Any) -> Any:
        asked.append((address, options["server_hostname"]))
        raise ConnectionRefusedError("nobody is there")

    asked: list[Any] = []
    monkeypatch.setattr("asyncio.open_connection", refuse)
    send_due()
    assert asked == [((PUBLIC, 443), "hooks.example.com")]
    assert names["hooks.example.com"] == [["127.0.0.1"]]
    assert connections == []


def test_a_name_server_that_never_answers_holds_no_process_up() -> None:
    code = """
import django, socket, time
django.setup()
from marketing.webhooks import targets
targets.RESOLVE_SECONDS_MAX = 0.1
socket.getaddrinfo = lambda *asked, **more: time.sleep(600)
try:
    targets.check_url("https://hooks.example.com/")
except targets.HostNotFound:
    print("not found")
"""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "WEBHOOKS_ALLOW_PRIVATE": "false",
    }
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, timeout=120, check=True
    )
    assert ended.stdout == b"not found\n"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_the_inside_is_not_followed(
    shop: Shop, receiver: Receiver, connections: list[Any], status: int
) -> None:
    receiver.answer = says(status, location="http://127.0.0.1:1/inside")
    create(shop, receiver.url)
    queue(shop, "purchase.recorded")
    send_due()
    (address,) = connections
    assert address[1] == int(receiver.url.rpartition(":")[2])
