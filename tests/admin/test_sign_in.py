"""Who gets into the admin: managers, owners and superusers, with a password."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cloudpos.tenancy.models import User
from tests.admin.conftest import PASSWORD, person
from tests.fixtures import Shop

LOGIN = "/admin/login/"


def sign_in(user: User, password: str = PASSWORD) -> Any:
    user.set_password(PASSWORD)
    user.save()
    return Client().post(LOGIN, {"username": user.email.upper(), "password": password})


@pytest.mark.parametrize("role", ["manager", "owner"])
def test_managers_and_owners_get_in(shop: Shop, role: str) -> None:
    user = person(shop, role)
    user.is_staff = True
    answer = sign_in(user)
    assert answer.status_code == 302
    assert answer.headers["Location"] == reverse("admin:index")


@pytest.mark.parametrize("role", ["cashier", "service"])
def test_cashiers_and_machines_do_not(shop: Shop, role: str) -> None:
    user = person(shop, role)
    user.is_staff = True
    answer = sign_in(user)
    assert answer.status_code == 200
    assert "no access to the back office" in answer.content.decode()


@pytest.mark.parametrize("is_staff", [True, False])
def test_a_cashier_is_told_whom_to_ask(shop: Shop, is_staff: bool) -> None:
    user = person(shop, "cashier")
    user.is_staff = is_staff
    text = sign_in(user).content.decode()
    assert "Cashiers have no access to the back office. Ask a manager" in text
    assert "do not match an account" not in text


def test_a_manager_who_may_not_use_the_admin_does_not(shop: Shop) -> None:
    assert sign_in(person(shop, "manager")).status_code == 200


def test_a_wrong_password_does_not(shop: Shop) -> None:
    user = person(shop, "owner")
    user.is_staff = True
    assert "do not match an account" in sign_in(user, "wrong").content.decode()


def test_a_cashier_who_is_signed_in_elsewhere_sees_nothing(shop: Shop) -> None:
    user = person(shop, "cashier")
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    answer = client.get(reverse("admin:customers_customer_changelist"))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(LOGIN)


def test_guessing_is_limited(shop: Shop, settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "login": 3}
    user = person(shop, "owner")
    user.is_staff = True
    answers = [sign_in(user, "wrong").status_code for _ in range(4)]
    assert answers == [200, 200, 200, 302]
    # Not even with the right one, until the minute is over.
    assert sign_in(user).headers["Location"] == LOGIN


def test_pages_run_no_inline_script(owner: Client, shop: Shop) -> None:
    answer = owner.get(reverse("admin:index"))
    policy = answer.headers["Content-Security-Policy"]
    scripts = next(part for part in policy.split(";") if part.strip().startswith("script-src"))
    assert "'self'" in scripts
    assert "unsafe-inline" not in scripts


def test_the_address_without_its_slash_leads_there(client: Client) -> None:
    response = client.get("/admin?next=1")
    assert (response.status_code, response.headers["Location"]) == (302, "/admin/?next=1")
