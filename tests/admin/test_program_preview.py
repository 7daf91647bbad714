"""What a change of the program would do, beside its form before it is saved."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from loyalty.models import Program, ProgramVersion, Tier
from tests.admin.conftest import Regulars, person, staff_client
from tests.admin.test_other_pages import PROGRAM, tiers
from tests.fixtures import Shop, make_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(shop: Shop) -> Client:
    return staff_client(person(shop, "manager"))


def ask(client: Client, program: Program, **changed: Any) -> Any:
    rows = list(program.tiers.order_by("threshold"))
    ladder = tiers(
        *[(row.name, row.code, str(row.threshold), str(row.multiplier)) for row in rows], initial=rows
    )
    url = reverse("admin:loyalty_program_preview", args=[program.pk])
    return client.post(url, {**PROGRAM, "points_per_unit": "1", "point_name": "point", **ladder, **changed})


def test_it_says_what_would_change(manager: Client, shop: Shop, regulars: Regulars) -> None:
    program = Program.objects.get(merchant=shop.merchant)
    before = list(Program.objects.values()), list(Tier.objects.order_by("pk").values())
    page = ask(
        manager,
        program,
        pending_days="14",
        categories_out="Gift cards\nTobacco",
        store_ids=[str(shop.store.pk)],
    ).content.decode()
    for said in (
        "Days until points can be spent",
        "<strong>14</strong>",
        "Gift cards, Tobacco",
        shop.store.name,
    ):
        assert said in page
    assert "Points on record" in page
    assert (list(Program.objects.values()), list(Tier.objects.order_by("pk").values())) == before
    assert ProgramVersion.objects.count() == 1


def test_it_says_who_changes_tier(manager: Client, shop: Shop, regulars: Regulars) -> None:
    program = Program.objects.get(merchant=shop.merchant)
    page = ask(manager, program, **{"tiers-1-threshold": "0.01"}).content.decode()
    assert "Who changes tier" in page
    assert "Bronze → Silver" in page


def test_what_cannot_be_saved_is_said(manager: Client, shop: Shop, regulars: Regulars) -> None:
    program = Program.objects.get(merchant=shop.merchant)
    page = ask(manager, program, pending_days="-1").content.decode()
    assert "Days until points can be spent: Ensure this value is greater than or equal to 0." in page
    page = ask(manager, program, name="").content.decode()
    assert "Something is still to be filled in." in page
    page = ask(manager, program, categories_in="Tea", categories_out="tea").content.decode()
    assert "cannot both earn and not earn" in page


def test_it_is_for_those_who_may_change_it(shop: Shop, regulars: Regulars, manager: Client) -> None:
    program = Program.objects.get(merchant=shop.merchant)
    assert manager.get(reverse("admin:loyalty_program_preview", args=[program.pk])).status_code == 405
    other = make_shop("Elsewhere")
    stranger = staff_client(person(other, "manager"))
    assert ask(stranger, program).status_code == 404
    cashier = staff_client(person(shop, "cashier"))
    assert ask(cashier, program).status_code in (302, 403, 404)


def test_settings_are_kept_as_lists(manager: Client, shop: Shop, regulars: Regulars) -> None:
    program = Program.objects.get(merchant=shop.merchant)
    rows = list(program.tiers.order_by("threshold"))
    ladder = tiers(
        *[(row.name, row.code, str(row.threshold), str(row.multiplier)) for row in rows], initial=rows
    )
    said = {"skus_out": " G-1 \n\nG-2\nG-1", "store_ids": [str(shop.store.pk)], "expiry": "after_inactivity"}
    url = reverse("admin:loyalty_program_change", args=[program.pk])
    answer = manager.post(url, {**PROGRAM, **ladder, **said, "expiry_months": "6", "shortfall": "unlimited"})
    assert answer.status_code == 302
    program.refresh_from_db()
    assert (program.skus_out, program.store_ids) == (["G-1", "G-2"], [shop.store.pk])
    assert (program.expiry, program.shortfall) == ("after_inactivity", "unlimited")
    page = manager.get(url).content.decode()
    assert "G-1\nG-2</textarea>" in page
    assert "data-preview-of" in page
