"""Every parameter of every route x values that break services: no answer of 5xx, and none that is not ours.

Query, path, body and headers. Bodies: each value in every field at once (every validator sees it), then in every
field that lets it through (so that it reaches the services and the database), then alone where a service objects.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from cloudpos.api.errors import ApiError
from cloudpos.api.parsing import parse_json
from cloudpos.api.serializers import CamelSerializer
from tests.fixtures import ApiClient, Shop
from tests.hostile import TEXTS, VALUES
from tests.routes import CASES, PUBLIC, World, absent_world, all_routes

pytestmark = pytest.mark.django_db

ROUTES = {route.key: route for route in all_routes()}
FILTERED = sorted(key for key, route in ROUTES.items() if route.view and route.view.filters.get(route.method))
IN_PATH = sorted(key for key in ROUTES if "<" in key)
WITH_BODY = sorted(key for key, route in ROUTES.items() if route.view and route.view.inputs.get(route.method))

# A test each takes longer to begin than most routes take to try, and a route leaves nothing behind.
ROUTES_PER_TEST = 8


def shares(keys: list[str]) -> list[Any]:
    """Those keys, some at a time."""
    return [
        pytest.param(keys[start : start + ROUTES_PER_TEST], id=f"{start + 1}-{keys[start]}")
        for start in range(0, len(keys), ROUTES_PER_TEST)
    ]


Path = tuple[str | int, ...]


@pytest.fixture(autouse=True)
def no_limits(settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**9)


@pytest.fixture
def shop(kept_world: tuple[Shop, World]) -> Shop:
    return kept_world[0]


@pytest.fixture
def world(kept_world: tuple[Shop, World]) -> World:
    return kept_world[1]


def request(client: ApiClient, method: str, path: str, **more: Any) -> Any:
    """The answer, with everything that it wrote taken back; fails on 5xx and on what is not our JSON."""
    # Sums that a question brings up to date may stay, and a savepoint takes longer than most answers.
    before = None if method == "get" else transaction.savepoint()
    try:
        response = client.generic(method.upper(), path, **more)
    finally:
        if before is not None:
            transaction.savepoint_rollback(before)
    assert response.status_code < 500, (method, path, str(more)[:500], response.content)
    if response.status_code >= 400:
        body = response.json()
        assert body["success"] is False, (method, path)
        assert set(body) >= {"message", "errors", "code", "requestId"}
    return response


def as_utf8(text: str) -> str:
    """What a server makes of a header's bytes."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


# --- Query ------------------------------------------------------------------------------------------------------


def own_names(key: str) -> list[str]:
    return list(ROUTES[key].view.filters[ROUTES[key].method].parameters())


def shared_names(key: str) -> list[str]:
    """Parameters that every list reads by the same code: all values at one list, a sample at the others."""
    filters = ROUTES[key].view.filters[ROUTES[key].method]
    names = ["page", "limit", "cursor"] if filters.paged else []
    if filters.sortable:
        names += ["sortBy", "sortOrder"]
    return [*names, "unknown"]


@pytest.mark.parametrize("keys", shares(FILTERED))
def test_query(shop: Shop, world: World, keys: list[str]) -> None:
    for key in keys:
        try_query(shop, world, key)


def try_query(shop: Shop, world: World, key: str) -> None:
    method, path = ROUTES[key].method, world.path(ROUTES[key].template)
    own, shared = own_names(key), shared_names(key)
    for index, text in enumerate(TEXTS):
        encoded = quote(text.encode("utf-8", "surrogatepass"), safe="")
        # Filters are of a few kinds: every value at every one of one list, in turn at those of the others.
        everything = key == "GET /api/v1/customers"
        names = own if everything or len(own) < 2 else [own[index % len(own)]]
        for name in names + (shared if everything or index % 12 == 0 else []):
            response = request(shop.owner, method, f"{path}?{name}={encoded}")
            assert response.status_code in (200, 400, 404, 413, 414), (key, name, text[:80], response.content)
        # All at once, and every one twice.
        request(shop.owner, method, f"{path}?" + "&".join(f"{name}={encoded}" for name in (own + shared) * 2))
    for raw in (
        "%",
        "%zz",
        "%ff",
        "=",
        "&",
        "&&=&",
        "a",
        "a[]=1",
        "a[b]=1",
        ";",
        "\u00e9",
        "x=" + "%00" * 300,
        "q&" * 500,
    ):
        request(shop.owner, method, f"{path}?{raw}")


def test_absurd_pages_are_cheap(shop: Shop, world: World) -> None:
    for query in (
        "page=1000000000000",
        "page=1000000&limit=100",
        "limit=0",
        "limit=-1",
        "limit=101",
        "sortBy=password",
    ):
        response = request(shop.owner, "get", f"/customers?{query}")
        assert response.status_code in (200, 400)
        if response.status_code == 200:
            assert response.json()["data"]["customers"] == []


# --- Path -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", shares(IN_PATH))
def test_path(shop: Shop, world: World, keys: list[str]) -> None:
    for key in keys:
        try_path(shop, world, key)


def try_path(shop: Shop, world: World, key: str) -> None:
    method, template = ROUTES[key].method, ROUTES[key].template
    start, end = template.index("<"), template.index(">") + 1
    rest = (
        template[end:]
        .replace("<uuid:address_id>", str(world.address))
        .replace("<uuid:merge_id>", str(world.merge))
        .replace("<uuid:reward_id>", str(world.reward))
        .replace("<int:number>", "0")
    )
    body = {} if method in ("get", "delete") else {"data": json.dumps(CASES[key].body(world))}
    # One converter reads the ids of all: every value at one route of it, a sample at the others.
    everything = key == "GET /api/v1/customers/<uuid:customer_id>" or "<path:" in key
    for text in TEXTS if everything else TEXTS[::8]:
        encoded = quote(text.encode("utf-8", "surrogatepass"), safe="/")
        path = template[:start] + encoded + rest
        response = request(shop.owner, method, path, content_type="application/json", **body)
        assert response.status_code in (400, 404, 405, 414), (key, text[:80], response.content)


# --- Headers ----------------------------------------------------------------------------------------------------

# Of these a write depends; the others are read by a GET just as well.
WRITE_HEADERS = (
    "Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Idempotency-Key", "If-Match", "Origin",
)  # fmt: skip
HEADERS = (
    "Authorization", "X-Store-Id", "If-None-Match", "X-Request-Id", "Accept", "Accept-Language", "Accept-Encoding",
    "Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "User-Agent", "Cookie", "Range",
    "X-Http-Method-Override",
)  # fmt: skip
BODY = json.dumps({"firstName": "Carol"})


@pytest.mark.parametrize("header", [*WRITE_HEADERS, *HEADERS])
def test_header(shop: Shop, world: World, header: str) -> None:
    name = header.upper().replace("-", "_")
    statuses = []
    for text in TEXTS:
        if header == "Content-Length" and _is_short(text):
            # The test client refuses to be read beyond its body; a server just ends.
            continue
        meta = {name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}": as_utf8(text)}
        path = f"/customers/{world.customer}"
        if header in WRITE_HEADERS:
            answer = request(shop.owner, "patch", path, **_body(BODY, meta))
        else:
            answer = request(shop.owner, "get", path, **meta)
        statuses.append(answer.status_code)
    assert statuses
    assert max(statuses) < 500, statuses


def _is_short(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8 and int(text) > len(BODY)


def _body(body: str, meta: dict[str, str]) -> dict[str, Any]:
    return {"data": body, "content_type": meta.pop("CONTENT_TYPE", "application/json"), **meta}


def test_a_request_id_is_never_made_of_what_was_sent(shop: Shop) -> None:
    for text in TEXTS:
        sent = as_utf8(text)
        response = shop.cashier.get("/customers/stats", headers={"x-request-id": sent})
        answered = response.headers["X-Request-ID"]
        assert answered.isascii() and answered.isprintable() and len(answered) <= 128
        assert all(character.isalnum() or character in "._-" for character in answered)


# --- Body -------------------------------------------------------------------------------------------------------


def paths_of(field: serializers.Field, path: Path = ()) -> Iterator[Path]:
    """Where a value can stand in a body: every field of every depth, the first row of every list."""
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        yield path
        yield from paths_of(field.child, (*path, 0))
    elif isinstance(field, serializers.Serializer):
        if path:
            yield path
        for name, child in field.fields.items():
            if not child.read_only:
                yield from paths_of(child, (*path, name))
    elif isinstance(field, serializers.DictField):
        yield path
        yield (*path, "key")
    else:
        yield path


def put(body: Any, path: Path, value: Any) -> Any:
    """`body` with `value` at `path`; what is missing on the way is made."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        first = body[0] if isinstance(body, list) and body else {}
        return [put(first, rest, value)]
    found = dict(body) if isinstance(body, dict) else {}
    found[step] = put(found.get(step), rest, value)
    return found


def serializable(value: Any) -> bytes:
    """As JSON a machine could send: lone surrogates as escapes, numbers of any size."""
    return json.dumps(value).encode()


class Bodies:
    """Sends bodies of one route, and remembers the fields to which a service objects although they are well-formed."""

    def __init__(self, shop: Shop, world: World, key: str) -> None:
        route = ROUTES[key]
        self.client = shop.owner
        self.method = route.method
        self.path = world.path(route.template)
        self.serializer: type[CamelSerializer] = route.view.inputs[route.method]
        self.base = CASES[key].body(world)
        self.places = [path for path in paths_of(self.serializer()) if path]
        self.objected: set[Path] = set()

    def send(self, body: Any) -> Any:
        return request(
            self.client, self.method, self.path, data=serializable(body), content_type="application/json"
        )

    def well_formed(self, body: Any) -> bool:
        try:
            self.serializer.parse(parse_json(serializable(body)), partial=self.method == "patch")
        except (ValidationError, ApiError):
            return False
        return True

    def try_value(self, value: Any) -> None:
        everywhere = deepcopy(self.base)
        for path in self.places:
            # Leaves only: a value in the place of an object would hide the object's own fields.
            if not any(other[: len(path)] == path and other != path for other in self.places):
                everywhere = put(everywhere, path, value)
        self.send(everywhere)
        passing = [path for path in self.places if self.well_formed(put(self.base, path, value))]
        if not passing:
            return
        together = self.base
        for path in passing:
            if path not in self.objected and self.well_formed(put(together, path, value)):
                together = put(together, path, value)
        if self.send(together).status_code < 400:
            passing = [path for path in passing if path in self.objected]
        for path in passing:
            if self.send(put(self.base, path, value)).status_code >= 400:
                self.objected.add(path)


# Fields are of a few kinds, and the values are tried on all of them together: every value at these, every n-th at the others,
# beginning with another one at each.
EVERY_VALUE = ("POST /api/v1/customers", "POST /api/v1/purchases", "POST /api/v1/segments/preview")
STRIDE = 4
# An answer of these is a calculation over the whole program.
SLOW_STRIDE = 8
SLOW = (
    "POST /api/v1/loyalty/program/preview",
    "POST /api/v1/loyalty/dry-runs",
    "POST /api/v1/loyalty/promotions",
)


@pytest.mark.parametrize("key", WITH_BODY)
def test_body(shop: Shop, world: World, key: str) -> None:
    bodies = Bodies(shop, world, key)
    if CASES[key].least != PUBLIC:
        assert bodies.send(bodies.base).status_code < 300, "the base must be good, or nothing is tested"
    if not bodies.places:
        return
    stride = 1 if key in EVERY_VALUE else SLOW_STRIDE if key in SLOW else STRIDE
    for value in [*TEXTS, *VALUES][WITH_BODY.index(key) % stride :: stride]:
        bodies.try_value(value)


@pytest.mark.parametrize("keys", shares(WITH_BODY))
def test_a_body_that_is_something_else(shop: Shop, world: World, keys: list[str]) -> None:
    for key in keys:
        try_something_else(shop, world, key)


def try_something_else(shop: Shop, world: World, key: str) -> None:
    route = ROUTES[key]
    path = world.path(route.template)
    raw = [serializable(value) for value in VALUES if not isinstance(value, dict)]
    raw += [serializable(text) for text in TEXTS[:80]]
    raw += [
        b"", b"{", b"}", b"[", b"nul", b"{'a':1}", b'{"a":1,}', b'{"a":NaN}', b'{"a":1e400}', b"\xff\xfe", b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}', b"[" * 100_000, b'{"a":' * 5_000, b"[" * 40 + b"]" * 40, b'{"a":1}{"b":2}', b"\x00", b'"\\ud800"',
        b'{"a":1,"a":2}', b"1" * 100_000, b'{"' + b"k" * 200_000 + b'":1}', b" " * 200_000, b'"' + b"x" * 1_100_000 + b'"',
    ]  # fmt: skip
    # One parser reads the bodies of all: every one at one route, a sample at the others.
    for body in raw if key == "POST /api/v1/customers" else raw[::5]:
        response = request(shop.owner, route.method, path, data=body, content_type="application/json")
        if not (route.view.inputs[route.method]().fields or body):
            continue
        assert response.status_code < 500
    for kind in (
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ):
        response = request(shop.owner, route.method, path, data=b"a=1", content_type=kind)
        assert response.status_code == 415


def test_unknown_paths_and_methods(shop: Shop) -> None:
    absent = absent_world()
    for text in TEXTS:
        encoded = quote(text.encode("utf-8", "surrogatepass"), safe="/")
        for prefix in ("/", "/api/", "/api/v1/", "/api/v1/customers/"):
            response = shop.owner.get(prefix + encoded.lstrip("/"))
            assert response.status_code < 500, (prefix, text)
    for method in ("TRACE", "CONNECT", "OPTIONS", "HEAD", "PROPFIND", "FOO"):
        for key in CASES:
            path = absent.path(key.split(" ", 1)[1])
            assert shop.owner.generic(method, path).status_code < 500
    assert shop.owner.get(f"/customers/?{urlencode({'page': 1})}").status_code == 404
