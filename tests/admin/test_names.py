"""Lists, trails, titles and the navigation call the same thing by the same name; numbers read like numbers."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from cloudpos.admin.customers.telling import _points
from cloudpos.tenancy.formats import counted, quantity
from cloudpos.tenancy.models import Merchant, User
from customers.models import Event, PurchaseReturn
from loyalty.models import LedgerEntry, Program
from tests.admin.conftest import Regulars
from tests.fixtures import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kept_regulars")]

ONE_ROW = (Merchant, Program)


def heading(text: str) -> list[str]:
    found = re.search(r"<h1.*?</h1>", text, re.S)
    assert found is not None
    return [
        part.strip()
        for part in re.sub(r"<[^>]*>", "|", found[0]).split("|")
        if part.strip() and part.strip() != "chevron_right"
    ]


@pytest.mark.parametrize("page", list(admin.site._registry.values()), ids=lambda page: type(page).__name__)
def test_the_navigation_names_the_list(owner: Client, regulars: Regulars, page: Any) -> None:
    if page.model is User:
        return
    name = f"{page.opts.app_label}_{page.opts.model_name}"
    url = reverse(f"admin:{name}_changelist")
    text = owner.get(reverse("admin:index")).content.decode()
    link = re.search(rf'<a href="{re.escape(url)}".*?</a>', text, re.S)
    assert link is not None
    assert f"<span>{page.list_title}</span>" in link[0]
    if page.model not in ONE_ROW:
        answer = owner.get(url).content.decode()
        assert heading(answer)[0] == page.list_title
        assert f"<title>{page.list_title} | CloudPOS</title>" in re.sub(r"\s+", " ", answer).replace(
            "<title> ", "<title>"
        ).replace(" </title>", "</title>")
    row = page.model._default_manager.first()
    opened = owner.get(reverse(f"admin:{name}_change", args=[row.pk])).content.decode()
    assert heading(opened)[:2] == [page.list_title, page.row_title(row).replace("'", "&#x27;")]


def test_rows_are_named_in_words(owner: Client, regulars: Regulars) -> None:
    def trail(row: Any) -> str:
        name = f"{row._meta.app_label}_{row._meta.model_name}"
        return heading(owner.get(reverse(f"admin:{name}_change", args=[row.pk])).content.decode())[1]

    assert trail(Event.objects.filter(type="tier.changed").latest("pk")) == "Tier changed"
    assert trail(PurchaseReturn.objects.get()) == "Return corner-shop-R"
    entry = LedgerEntry.objects.filter(type="earned").earliest("pk")
    assert trail(entry) == f"Earned: +{entry.points} points"


def test_one_thing_is_not_several() -> None:
    assert (counted(1, "purchase"), counted(0, "purchase"), counted(1200, "purchase")) == (
        "1 purchase",
        "0 purchases",
        "1,200 purchases",
    )
    assert (_points(1), _points(-1), _points(20)) == ("+1 point", "-1 point", "+20 points")


@pytest.mark.parametrize(
    ("number", "written"), [("12.000", "12"), ("0.250", "0.25"), ("1200.000", "1,200"), ("100", "100")]
)
def test_quantities_have_no_zeros_that_mean_nothing(number: str, written: str) -> None:
    assert quantity(Decimal(number)) == written


def test_factors_of_the_program_neither(owner: Client, regulars: Regulars) -> None:
    program = Program.objects.get()
    text = owner.get(reverse("admin:loyalty_program_change", args=[program.pk])).content.decode()
    assert re.findall(r'name="(?:points_per_unit|tiers-\d+-multiplier)" value="([^"]*)"', text)[:3] == [
        "1",
        "1",
        "1.25",
    ]


def test_a_return_names_its_products(owner: Client, shop: Shop, regulars: Regulars) -> None:
    shop.cashier.post(
        "/purchases/corner-shop-1/returns",
        {"transactionId": "R-LINE", "items": [{"line": 1, "quantity": 1}]},
    )
    back = PurchaseReturn.objects.get(transaction_id="R-LINE")
    text = owner.get(reverse("admin:customers_purchasereturn_change", args=[back.pk])).content.decode()
    assert "Oolong tea" in text
    assert "TEA-1" in text
    assert "1.000" not in text


@pytest.mark.parametrize(
    "url",
    [
        "/admin/customers/event/",
        "/admin/customers/consent/",
        "/admin/loyalty/ledgerentry/",
        "/admin/loyalty/enrollment/",
    ],
)
def test_logs_show_the_newest_first_and_sort_by_it(owner: Client, regulars: Regulars, url: str) -> None:
    answer = owner.get(url)
    cl = answer.context["cl"]
    field = "enrolled_at" if "enrollment" in url else "occurred_at"
    times = [getattr(row, field) for row in cl.result_list]
    assert times == sorted(times, reverse=True)
    column = cl.list_display.index("since" if "enrollment" in url else "when")
    turned = owner.get(f"{url}?o={column}").context["cl"]
    assert [getattr(row, field) for row in turned.result_list] == sorted(times)
    # The order is an index's own.
    indexes = {tuple(index.fields) for index in cl.model._meta.indexes}
    assert ("merchant", field) in indexes
