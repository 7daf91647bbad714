"""ETag, If-None-Match and If-Match."""

import pytest

from cloudpos.tenancy.models import Store
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db
BODY = {"name": "x", "code": "y"}


@pytest.mark.parametrize("tag", ['"7"', 'W/"7"', '"6", "7"', "*"])
def test_not_modified(shop: Shop, tag: str) -> None:
    response = shop.cashier.get(f"/stores/{shop.store.pk}", headers={"if-none-match": tag})
    assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", '"7"')


def test_modified(shop: Shop) -> None:
    response = shop.cashier.get(f"/stores/{shop.store.pk}", headers={"if-none-match": '"6"'})
    assert (response.status_code, response.headers["ETag"]) == (200, '"7"')
    assert response.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("tag", "status"),
    [('"7"', 200), ('W/"7"', 200), ("*", 200), ("", 200), ('"6"', 412), ('"x"', 412), ('"²"', 412)],
)
def test_guarded_write(shop: Shop, tag: str, status: int) -> None:
    response = shop.manager.put(
        f"/stores/{shop.store.pk}", BODY, "application/json", headers={"if-match": tag}
    )
    assert response.status_code == status
    if status == 412:
        assert response.json()["code"] == "precondition_failed"


@pytest.mark.parametrize("tag", ["7", '"7', '"7", "8"', ",", "W/7"])
def test_no_entity_tag(shop: Shop, tag: str) -> None:
    response = shop.manager.put(
        f"/stores/{shop.store.pk}", BODY, "application/json", headers={"if-match": tag}
    )
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "If-Match"


def test_foreign_row_is_absent(shop: Shop, foreign_shop: Shop) -> None:
    absent = shop.cashier.get("/stores/00000000-0000-7000-8000-000000000000")
    foreign = shop.cashier.get(f"/stores/{foreign_shop.store.pk}")
    assert absent.status_code == foreign.status_code == 404
    assert Store.objects.filter(pk=foreign_shop.store.pk).exists()
