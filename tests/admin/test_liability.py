"""The page that says what the loyalty program owes."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from cloudpos.tenancy.models import User
from loyalty import analytics_rollups
from loyalty.models import Enrollment, Program
from loyalty.services import create_program, post_points
from tests.admin.conftest import Regulars, person, sell, staff_client
from tests.fixtures import Shop

URL = "/admin/loyalty/liability/"


def text_of(client: Client, query: str = "") -> str:
    answer = client.get(URL + query)
    assert answer.status_code == 200
    shown = re.sub(r"<script.*?</script>|<[^>]*>", " ", answer.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", shown)


def test_what_is_owed(manager: Client, shop: Shop, regulars: Regulars) -> None:
    Program.objects.for_merchant(shop.merchant).update(redeem_value=Decimal("0.01"))
    sell(shop, regulars.carol, "1500.00", id="large", at=now() - timedelta(days=40))
    post_points(access=shop.access, customer_id=regulars.carol.pk, type="redeemed", points=300)
    outstanding = sum(Enrollment.objects.for_merchant(shop.merchant).values_list("balance", flat=True))
    assert outstanding > 1_000
    shown = text_of(manager)
    assert f"Points outstanding {outstanding:,} " in shown
    assert f"£{outstanding / 100:,.2f}" in shown
    assert "Too little history for an estimate" in shown
    assert "Corner Shop High Street 302 £3.02" in shown
    assert re.search(r"Silver Up|Bronze Up", shown)
    assert f'href="{URL}"' in manager.get(reverse("admin:index")).content.decode()


def test_the_entries_of_the_period_are_exported(manager: Client, shop: Shop, regulars: Regulars) -> None:
    page = manager.get(f"{URL}?months=24").content.decode()
    (link,) = re.findall(r'href="([^"]*kind=ledger[^"]*)"', page)
    first, last = re.findall(r"\d{4}-\d\d-\d\d", link)
    shown = manager.get(link.replace("&amp;", "&")).content.decode()
    assert f'value="{first}"' in shown and f'value="{last}"' in shown
    assert (first[8:], last) == ("01", f"{now().astimezone(shop.merchant.tz):%Y-%m-%d}")


def test_longer_periods(manager: Client, regulars: Regulars) -> None:
    for months in (12, 24, 60):
        table = manager.get(f"{URL}?months={months}").content.decode()
        assert (
            table.count('<th scope="row">2') + len(re.findall(r'<th scope="row">\w{3} \d{4}', table))
            == months
        )
    assert manager.get(f"{URL}?months=-1").status_code == 200


def test_the_whole_page_in_numbers_too(manager: Client, shop: Shop, regulars: Regulars) -> None:
    page = manager.get(URL).content.decode()
    # What the canvas draws is beside it as a table, and nothing on the page is a script of its own.
    assert 'role="img"' in page and "The same in numbers" in page
    assert "<script>" not in page and " style=" not in page[page.index('class="cp-tabs"') :]


def test_without_a_program(shop: Shop) -> None:
    assert "There is no loyalty program yet" in text_of(staff_client(person(shop, "manager")))


def test_a_superuser_chooses_a_merchant_first(
    superuser: Client, regulars: Regulars, foreign_shop: Shop
) -> None:
    assert "Choose a merchant" in text_of(superuser)


def test_while_a_large_import_is_summed_up(
    manager: Client, regulars: Regulars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics_rollups, "ENTRIES_PER_REQUEST_MAX", 0)
    assert "being brought up to date" in text_of(manager)


def test_not_for_cashiers_nor_strangers(shop: Shop) -> None:
    create_program(merchant_id=shop.merchant.pk)
    assert staff_client(person(shop, "cashier")).get(URL).status_code in (302, 403)
    nobody = User.objects.create_user("nobody@example.org", name="Nobody")
    assert staff_client(nobody).get(URL).status_code in (302, 403)
    assert Client().get(URL).status_code == 302
