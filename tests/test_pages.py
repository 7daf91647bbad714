"""The pages that people meet outside of the admin's own: the start, and what is said when something is wrong."""

import inspect

from django.test import Client
from django.urls import reverse
from rest_framework import serializers

from cloudpos.api.serializers import CamelSerializer
from cloudpos.tenancy.models import User
from tests.admin.conftest import PASSWORD
from tests.fixtures import Shop


def test_the_bare_address_leads_to_everything(client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    text = answer.content.decode()
    for url in (reverse("admin:index"), "/api/docs", "/health"):
        assert f'href="{url}"' in text


def test_nearly_right_addresses_lead_to_their_pages(client: Client) -> None:
    assert client.get("/api/docs/").headers["Location"] == "/api/docs"
    assert client.get("/favicon.ico").headers["Location"] == "/static/cloudpos/favicon.svg"


def test_a_missing_page_has_a_way_back(client: Client) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()
    assert f'href="{reverse("admin:index")}"' in answer.content.decode()


def test_a_form_that_is_no_longer_valid_says_so(shop: Shop) -> None:
    strict = Client(enforce_csrf_checks=True)
    user = User.objects.get(pk=shop.owner.user_id)
    strict.force_login(user)
    answer = strict.post("/admin/login/", {"username": user.email, "password": PASSWORD})
    assert answer.status_code == 403
    assert "This page was open for too long" in answer.content.decode()
    assert f'href="{reverse("admin:index")}"' in answer.content.decode()


def test_the_documentation_does_not_repeat_docstrings_of_base_classes(client: Client) -> None:
    """They speak to developers of the framework, and of ours; what a class says of itself stays."""
    said = {
        inspect.cleandoc(base.__doc__)
        for base in (*serializers.Serializer.__mro__, *CamelSerializer.__mro__)
        if base.__doc__ and base is not object
    }
    components = client.get("/api/schema").json()["components"]["schemas"]
    described = {name: part.get("description", "") for name, part in components.items()}
    assert [name for name, text in described.items() if text in said] == []
    assert described["PurchaseInputRequest"] == "A purchase as a till records it."
