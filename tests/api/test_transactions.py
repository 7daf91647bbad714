"""Who may open a transaction."""

import pytest
from django.db import connection, transaction

from cloudpos.api.transactions import RequestTransaction, one_statement_use_case, use_case
from cloudpos.tenancy.models import Merchant


@use_case
def found(*, name: str, fail: bool = False) -> int:
    Merchant.objects.create(name=name, slug=name)
    if fail:
        raise ValueError
    return len(connection.savepoint_ids)


@pytest.mark.django_db(transaction=True)
def test_all_or_nothing() -> None:
    with pytest.raises(ValueError):
        found(name="alice", fail=True)
    assert not Merchant.objects.exists()
    found(name="alice")
    assert Merchant.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_it_joins_the_transaction_of_a_request_without_a_savepoint() -> None:
    with pytest.raises(RuntimeError, match="later"), RequestTransaction():
        assert found(name="alice") == 1  # the place of a savepoint that was not made
        assert connection.savepoint_ids == []
        raise RuntimeError("later")
    assert not Merchant.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_its_failure_rolls_the_request_back() -> None:
    with RequestTransaction():
        with pytest.raises(ValueError):
            found(name="alice", fail=True)
        assert connection.needs_rollback
    assert not Merchant.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_run_inside_another() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="owns its transaction"):
        found(name="alice")

    @use_case
    def outer() -> None:
        found(name="bob")

    with pytest.raises(RuntimeError, match="found is a use case"):
        outer()
    with pytest.raises(RuntimeError, match="found is a use case"), RequestTransaction():
        outer()


@one_statement_use_case
def found_at_once(*, name: str) -> bool:
    Merchant.objects.create(name=name, slug=name)
    return connection.in_atomic_block


@pytest.mark.django_db(transaction=True)
def test_one_statement_needs_no_transaction_and_joins_that_of_a_request() -> None:
    assert not found_at_once(name="alice")
    with pytest.raises(RuntimeError, match="later"), RequestTransaction():
        assert found_at_once(name="bob")
        assert connection.savepoint_ids == []
        raise RuntimeError("later")
    with transaction.atomic(), pytest.raises(RuntimeError, match="found_at_once is a use case"):
        found_at_once(name="carol")
    assert [merchant.name for merchant in Merchant.objects.all()] == ["alice"]


@pytest.mark.django_db
def test_the_transaction_of_a_test_does_not_count() -> None:
    found(name="alice")
    with pytest.raises(RuntimeError), transaction.atomic():
        found(name="bob")


@pytest.mark.django_db(transaction=True)
def test_hooks_run_after_the_request_has_committed() -> None:
    order: list[str] = []
    with RequestTransaction():
        found(name="alice")
        transaction.on_commit(lambda: order.append("hook"), robust=True)
        order.append("end of request")
    assert order == ["end of request", "hook"]
