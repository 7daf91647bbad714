"""Who may call what: every route of the URLconf x anonymous, cashier, service, manager, owner."""

import pytest
from django.test import Client

from cloudpos.tenancy.roles import Role, at_least
from tests.fixtures import Shop
from tests.routes import CASES, PUBLIC, SIGNED_IN, absent_world, all_routes, send

pytestmark = pytest.mark.django_db

ROUTES = {route.key: route for route in all_routes()}


def test_every_route_is_declared_and_nothing_else() -> None:
    assert sorted(ROUTES.keys() - CASES.keys()) == [], "declare these in tests/routes.py"
    assert sorted(CASES.keys() - ROUTES.keys()) == [], "these routes are gone"


@pytest.mark.parametrize("key", sorted(CASES))
def test_the_view_declares_the_same_role(key: str) -> None:
    view = ROUTES[key].view
    if view is None:
        assert CASES[key].least == PUBLIC
    else:
        assert view.roles.get(ROUTES[key].method) == CASES[key].least


@pytest.mark.parametrize("caller", ["anonymous", *[str(role) for role in Role]])
def test_every_cell(shop: Shop, caller: str) -> None:
    """Whoever may call a route gets past its guard (ids are absent, so mostly to a 404); nobody else does."""
    client = Client() if caller == "anonymous" else getattr(shop, caller)
    wrong = []
    for key, case in CASES.items():
        response = send(client, key, absent_world())
        if case.least == PUBLIC:
            expected = True
        elif caller == "anonymous" or case.least == SIGNED_IN:
            expected = caller != "anonymous"
        else:
            expected = at_least(caller, case.least)
        if case.least == PUBLIC and response.status_code == 401:
            # Their own business: a wrong password, a token that is none.
            assert key.split("/")[-2] == "auth", key
            continue
        passed = response.status_code not in (401, 403)
        if passed != expected or response.status_code >= 500:
            wrong.append((key, response.status_code))
        elif not passed:
            code = response.json()["code"]
            assert code == ("not_authenticated" if caller == "anonymous" else "role_too_low"), key
    assert wrong == []


def test_a_role_that_nobody_declared_lets_nobody_in(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    view = ROUTES["GET /api/v1/customers"].view
    monkeypatch.setattr(view, "roles", {})
    assert shop.owner.get("/customers").status_code == 403
