"""Idempotency-Key: done once, answered twice."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, connections
from django.utils import timezone

from cloudpos.api import idempotency
from cloudpos.api.models import IdempotencyRecord
from cloudpos.api.tasks import forget_idempotency_keys
from cloudpos.tenancy.models import Store
from tests.api.sample import StoreViewSet
from tests.fixtures import ApiClient, Shop, make_shop

BODY = {"name": "Second", "code": "SECOND"}


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    StoreViewSet.calls.clear()


def post(client: ApiClient, key: str | None = "k-1", body: Any = None, path: str = "/stores") -> Any:
    headers = {} if key is None else {"idempotency-key": key}
    return client.post(path, BODY if body is None else body, headers=headers)


@pytest.mark.django_db
def test_replay(shop: Shop) -> None:
    first = post(shop.manager)
    again = post(shop.manager)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert StoreViewSet.calls == ["create"]
    assert Store.objects.filter(code="SECOND").count() == 1


@pytest.mark.django_db
def test_without_a_key_each_request_is_its_own(shop: Shop) -> None:
    assert post(shop.manager, None).status_code == 201
    assert post(shop.manager, None).status_code == 409
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db
def test_other_content(shop: Shop) -> None:
    post(shop.manager)
    for other in (post(shop.manager, body={**BODY, "name": "Third"}), post(shop.manager, path="/stores?a=1")):
        assert other.status_code == 422
        assert other.json()["code"] == "idempotency_key_reused"
    assert StoreViewSet.calls == ["create"]


@pytest.mark.django_db
def test_the_same_words_at_another_store_are_another_request(shop: Shop) -> None:
    assert post(shop.manager).status_code == 201
    elsewhere = ApiClient(user_id=shop.manager.user_id, store_id=Store.objects.get(code="SECOND").pk)
    other = post(elsewhere)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"


@pytest.mark.django_db
def test_same_content_in_another_order(shop: Shop) -> None:
    post(shop.manager)
    again = post(shop.manager, body={"code": "SECOND", "name": "Second"})
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.django_db
def test_scope(shop: Shop, foreign_shop: Shop) -> None:
    assert post(shop.manager).status_code == 201
    # Another person, another method and path, another merchant: the key is theirs to use.
    assert post(shop.owner, body={"name": "Third", "code": "THIRD"}).status_code == 201
    store = shop.store.pk
    put = shop.manager.put(f"/stores/{store}", BODY, "application/json", headers={"idempotency-key": "k-1"})
    assert put.status_code == 200
    foreign = post(foreign_shop.manager)
    assert foreign.status_code == 201
    assert foreign.json()["data"]["id"] not in {
        row["id"] for row in shop.manager.get("/stores").json()["data"]["stores"]
    }


@pytest.mark.django_db
def test_errors_are_not_stored_and_leave_nothing(shop: Shop) -> None:
    assert post(shop.manager, body={"name": "x", "code": "HIGH"}).status_code == 409
    assert post(shop.manager, body={"name": "", "code": "LOW"}).status_code == 400
    assert not IdempotencyRecord.objects.exists()
    assert post(shop.manager).status_code == 201


@pytest.mark.django_db
def test_an_error_that_a_view_returns_is_rolled_back_as_well(shop: Shop) -> None:
    path, headers = f"/stores/{shop.store.pk}?refuse", {"idempotency-key": "k"}
    assert shop.manager.put(path, BODY, "application/json", headers=headers).status_code == 409
    assert not IdempotencyRecord.objects.exists()
    assert not Store.objects.filter(code="LEFTOVER").exists()


@pytest.mark.django_db
def test_a_denied_request_stores_nothing(shop: Shop) -> None:
    assert post(shop.cashier).status_code == 403
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 256, "tab\t", "ü", "a\nb"])
def test_bad_keys(shop: Shop, key: str) -> None:
    response = post(shop.manager, key)
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "invalid_idempotency_key"


@pytest.mark.django_db
def test_longest_key(shop: Shop) -> None:
    assert post(shop.manager, "~" * 255).status_code == 201


@pytest.mark.django_db
def test_delete_without_a_body(shop: Shop) -> None:
    path = f"/stores/{shop.store.pk}"
    first = shop.owner.delete(path, headers={"idempotency-key": "k"})
    again = shop.owner.delete(path, headers={"idempotency-key": "k"})
    assert (first.status_code, again.headers.get("Idempotent-Replayed")) == (200, "true")


@pytest.mark.django_db
def test_forgotten_after_a_week(shop: Shop) -> None:
    post(shop.manager)
    with time_machine.travel(timezone.now() + timedelta(days=6, hours=23)):
        assert forget_idempotency_keys() == 0
    with time_machine.travel(timezone.now() + timedelta(days=7, hours=1)):
        assert forget_idempotency_keys() == 1
        assert forget_idempotency_keys() == 0


@pytest.mark.django_db
def test_forgetting_goes_in_batches(shop: Shop, monkeypatch) -> None:
    monkeypatch.setattr(idempotency, "FORGET_BATCH_ROWS", 1)
    for number in range(3):
        post(shop.manager, f"k-{number}", {"name": "n", "code": f"C{number}"})
    assert idempotency.forget(at=timezone.now() + timedelta(days=8)) == 3


@pytest.mark.django_db(transaction=True)
def test_claim_work_and_answer_commit_together(monkeypatch) -> None:
    shop = make_shop("Corner Shop")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(IdempotencyRecord, "save", fail)
        shop.manager.raise_request_exception = False
        assert post(shop.manager).status_code == 500
    assert not Store.objects.filter(code="SECOND").exists()
    assert post(shop.manager).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_second_request_while_the_first_runs() -> None:
    shop = make_shop("Corner Shop")
    started, finish = threading.Event(), threading.Event()
    answers: list[Any] = []
    create = StoreViewSet.create

    def slow(self: Any, request: Any) -> Any:
        response = create(self, request)
        started.set()
        finish.wait(5)
        return response

    def first() -> None:
        try:
            answers.append(post(shop.manager))
        finally:
            connections.close_all()

    StoreViewSet.create = slow  # type: ignore[method-assign]
    try:
        thread = threading.Thread(target=first)
        thread.start()
        assert started.wait(5)
        meanwhile = post(shop.manager)
        finish.set()
        thread.join()
    finally:
        StoreViewSet.create = create  # type: ignore[method-assign]
    assert meanwhile.status_code == 409
    assert meanwhile.json()["code"] == "idempotency_in_progress"
    assert meanwhile.headers["Retry-After"] == "1"
    assert answers[0].status_code == 201
    assert post(shop.manager).headers["Idempotent-Replayed"] == "true"
    assert StoreViewSet.calls == ["create"]


@pytest.mark.django_db(transaction=True)
def test_many_at_once_do_it_once() -> None:
    shop = make_shop("Corner Shop")
    statuses: list[int] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        try:
            barrier.wait(5)
            for _ in range(20):
                status = post(shop.manager).status_code
                # 503 is a busy machine's: like 409 it asks to be tried again.
                if status not in (409, 503):
                    break
                time.sleep(0.05)
            statuses.append(status)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert StoreViewSet.calls == ["create"]
    assert set(statuses) <= {201, 409, 503}
    assert 201 in statuses


@pytest.mark.django_db
def test_what_is_stored_is_bound(shop: Shop) -> None:
    post(shop.manager)
    record = IdempotencyRecord.objects.get()
    assert (record.merchant_id, record.method, record.path) == (shop.merchant.pk, "POST", "/api/v1/stores")
    assert record.subject == str(shop.manager.user_id)
    assert len(record.body_hash) == 32
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'api_idempotency_scope_uniq'")
        assert "(merchant_id, subject, method, path, key)" in cursor.fetchone()[0]
