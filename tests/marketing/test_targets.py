"""marketing.targets: a merchant's URL never reaches into our own network. No name is asked outside of this machine."""

import asyncio
import socket
import threading
import time
from typing import Any

import pytest
from django.test import override_settings

from marketing.webhooks import targets
from marketing.webhooks.targets import HostNotFound, UrlRefused, check_url, is_public, read_url, vet

public_only = override_settings(WEBHOOKS_ALLOW_PRIVATE=False)


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def answer(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2001:4860:4860::8888"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "not an address",
        "",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@public_only
@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/x",
        "ftp://hooks.example.com/x",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "//hooks.example.com/x",
        "hooks.example.com",
        "https://",
        "https:///x",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com:8080/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://localhost/",
        "https://intranet/",
        "https://127.0.0.1/",
        "https://8.8.8.8/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[2001:4860:4860::8888]/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nx: y",
        "https://hooks.example.com/\x00",
        "https://\u202ehooks.example.com/",
        "https://hooks.example.com/" + "x" * 2000,
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        read_url(url)


@public_only
@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://hooks.example.com", "hooks.example.com", 443, "/"),
        ("https://HOOKS.example.com:8443/a?b=c", "hooks.example.com", 8443, "/a?b=c"),
        ("https://bücher.example/x", "xn--bcher-kva.example", 443, "/x"),
    ],
)
def test_urls_that_are_accepted(url: str, host: str, port: int, path: str) -> None:
    target = read_url(url)
    assert (target.scheme, target.host, target.port, target.path) == ("https", host, port, path)


@public_only
def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "93.184.215.14", "10.0.0.1")
    with pytest.raises(UrlRefused, match="not reachable from the public internet"):
        check_url("https://hooks.example.com/")
    resolves_to(monkeypatch, "93.184.215.14")
    check_url("https://hooks.example.com/")
    assert asyncio.run(vet(read_url("https://hooks.example.com/"))) == ["93.184.215.14"]


@public_only
def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(HostNotFound):
        check_url("https://hooks.example.com/")


@public_only
def test_name_servers_that_do_not_answer_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(targets, "RESOLVE_SECONDS_MAX", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(10) and [])
    started = time.monotonic()
    with pytest.raises(HostNotFound):
        check_url("https://hooks.example.com/")
    assert time.monotonic() - started < 2
    release.set()


@public_only
def test_names_without_an_answer_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked = threading.Event(), []

    def answer(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        if host.startswith("dead"):
            release.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", port))]

    async def ask() -> list[str]:
        dead = [vet(read_url(f"https://dead{number % 50}.example.com/")) for number in range(100)]
        waiting = [asyncio.ensure_future(each) for each in dead]
        await asyncio.sleep(0)
        found = await asyncio.wait_for(vet(read_url("https://hooks.example.com/")), 2)
        release.set()
        await asyncio.gather(*waiting)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert asyncio.run(ask()) == ["93.184.215.14"]
    # Whoever asks at the same moment shares an answer.
    assert len(asked) == len(set(asked)) == 51


@override_settings(WEBHOOKS_ALLOW_PRIVATE=True)
def test_a_development_machine_may_send_to_itself() -> None:
    check_url("http://127.0.0.1:9000/hook")
    check_url("http://localhost:9000/hook")
    assert read_url("http://127.0.0.1:9000/hook").authority == "127.0.0.1:9000"
    assert read_url("http://[::1]:9000/hook").authority == "[::1]:9000"
    for url in ("ftp://localhost/", "http://user:secret@localhost/"):
        with pytest.raises(UrlRefused):
            check_url(url)
