"""Every list and every row opens, and the books are for reading."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from cloudpos.models import EventTask
from cloudpos.tenancy.models import User
from customers.models import Consent, Event, Purchase, PurchaseReturn
from loyalty.models import Enrollment, LedgerEntry
from marketing.models import WebhookDelivery
from tests.admin.conftest import Regulars
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

BOOKS = [Purchase, PurchaseReturn, Consent, Event, EventTask, Enrollment, LedgerEntry, WebhookDelivery]


@pytest.mark.parametrize("model", BOOKS, ids=lambda model: model.__name__)
def test_books_are_read_only(superuser: Client, shop: Shop, regulars: Regulars, model: Any) -> None:
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    row = model.objects.first()
    before = model.objects.filter(pk=row.pk).values().get()
    assert superuser.get(reverse(f"admin:{name}_changelist")).status_code == 200
    assert superuser.get(reverse(f"admin:{name}_change", args=[row.pk])).status_code == 200
    assert superuser.post(reverse(f"admin:{name}_change", args=[row.pk]), {"amount": "1"}).status_code == 403
    assert superuser.get(reverse(f"admin:{name}_add")).status_code == 403
    assert superuser.post(reverse(f"admin:{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("page", list(admin.site._registry.values()), ids=lambda page: type(page).__name__)
def test_every_list_and_row_opens(owner: Client, superuser: Client, regulars: Regulars, page: Any) -> None:
    name = f"{page.opts.app_label}_{page.opts.model_name}"
    for client in (owner, superuser):
        answer = client.get(reverse(f"admin:{name}_changelist"))
        assert answer.status_code in (200, 302) or page.model is User
        rows = page.model._default_manager.all()
        row = rows.filter(memberships__isnull=False).first() if page.model is User else rows.first()
        for url in ("change", "history"):
            answer = client.get(reverse(f"admin:{name}_{url}", args=[row.pk]))
            assert answer.status_code == 200 or (page.model is User and client is owner)
            # Nor does any page show an id where a name belongs.
            shown = re.sub(
                r"<script.*?</script>|<pre.*?</pre>|<[^>]*>", " ", answer.content.decode(), flags=re.S
            )
            assert not re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}", shown)
