"""Paths lead where Django's own resolver leads them, the second time as well."""

import uuid

import pytest
from django.urls import Resolver404, get_resolver

from cloudpos import urls
from cloudpos.api import routing
from cloudpos.api.routing import resolve

ONE = uuid.UUID("0190a000-0000-7abc-8def-00000000000a")
OTHER = uuid.UUID("0190b000-0000-7abc-8def-00000000000b")


def every_path(patterns: list, prefix: str = "") -> list[str]:
    found = []
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            found += every_path(pattern.url_patterns, route)
        elif route.startswith("api/"):
            found.append(route)
    return found


def test_every_route_of_the_service(settings) -> None:
    settings.ROOT_URLCONF = "cloudpos.urls"
    routes = every_path(urls.urlpatterns)
    assert len(routes) > 30
    for route in routes:
        for given in (ONE, OTHER, ONE):
            path = "/" + routing.re.sub(r"<uuid:\w+>", str(given), route)
            path = routing.re.sub(r"<int:\w+>", "7", path)
            path = routing.re.sub(r"<\w+(:\w+)?>", "T-1", path)
            expected = get_resolver().resolve(path)
            found = resolve(path)
            assert (found.func, found.args, found.kwargs, found.route) == (
                expected.func,
                expected.args,
                expected.kwargs,
                expected.route,
            )


def test_patterns_are_tried_once_for_each_kind_of_path(monkeypatch) -> None:
    tried: list[str] = []
    resolver = get_resolver()
    original = resolver.resolve
    monkeypatch.setattr(resolver, "resolve", lambda path: (tried.append(path), original(path))[1])
    for given in (ONE, OTHER, ONE):
        assert resolve(f"/api/v1/stores/{given}").kwargs == {"store_id": given}
        assert resolve("/api/v1/stores").kwargs == {}
        # A UUID where any text is allowed is that text.
        assert resolve(f"/api/v1/fail/{given}").kwargs == {"how": str(given)}
    assert sorted(tried) == sorted(
        ["/api/v1/stores", f"/api/v1/stores/{ONE}"] + [f"/api/v1/fail/{given}" for given in (ONE, OTHER, ONE)]
    )


@pytest.mark.parametrize("last", ["stores/x", "stores/*", f"stores/{str(ONE).upper()}", "nowhere"])
def test_absent(last: str) -> None:
    resolve(f"/api/v1/stores/{ONE}")
    for _ in range(2):
        with pytest.raises(Resolver404):
            resolve(f"/api/v1/{last}")


def test_nothing_of_one_request_stays_for_the_next() -> None:
    first = resolve(f"/api/v1/stores/{ONE}")
    second = resolve(f"/api/v1/stores/{ONE}")
    second.kwargs["store_id"] = OTHER
    assert first.kwargs == {"store_id": ONE}
    assert resolve(f"/api/v1/stores/{ONE}").kwargs == {"store_id": ONE}
