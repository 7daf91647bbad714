"""Whoever adds a table that knows a customer must say what a merge, an erasure and an export do with it."""

import pytest
from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import ForeignKey, Model

from cloudpos.lifecycle.declaring import OnErase, OnMerge, Table
from cloudpos.lifecycle.tables import BY_MODEL, TABLES
from customers.models import Customer


def references(model: type[Model]) -> set[type[Model]]:
    return {
        column.related_model
        for column in model._meta.concrete_fields
        if isinstance(column, ForeignKey) and isinstance(column.related_model, type)
    }


def models_that_know_a_customer() -> set[type[Model]]:
    """Every model from which foreign keys lead to Customer, however many."""
    known: set[type[Model]] = {Customer}
    while True:
        found = {model for model in apps.get_models() if references(model) & known} | known
        if found == known:
            return known
        known = found


def test_every_table_that_knows_a_customer_is_declared() -> None:
    undeclared = {model._meta.label for model in models_that_know_a_customer()} - {t.label for t in TABLES}
    assert not undeclared, f"declare in cloudpos/lifecycle/tables.py: {sorted(undeclared)}"


# Kept from the customer's own rows: words by triggers, and lost when it is merged or erased; the bare number of who has bought.
DERIVED = ["customers.CustomerWord.customer_id", "analytics.RollupMember.customer_id"]


def test_no_table_points_at_a_customer_behind_the_database_s_back() -> None:
    loose = [
        f"{model._meta.label}.{column.name}"
        for model in apps.get_models()
        for column in model._meta.concrete_fields
        if "customer" in column.name
        and column.name != "customer_number"
        and not isinstance(column, ForeignKey)
    ]
    assert sorted(loose) == sorted(DERIVED)


def test_declared_once_under_one_key() -> None:
    assert len(BY_MODEL) == len(TABLES)
    assert len({table.key for table in TABLES}) == len(TABLES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.label)
def test_what_is_declared_exists(table: Table) -> None:
    columns = {column.attname for column in table.model._meta.concrete_fields}
    assert table.hidden <= columns
    assert table.emptied.keys() <= columns
    assert bool(table.emptied) == (table.on_erase is OnErase.EMPTIED)
    assert table.why
    # Raises FieldError when the path does not lead to the customer.
    str(table.model._default_manager.filter(**{table.path: None}).query)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.label)
def test_rows_that_move_have_a_customer_column(table: Table) -> None:
    if table.on_merge is OnMerge.MOVES:
        try:
            column = table.model._meta.get_field("customer")
        except FieldDoesNotExist:
            pytest.fail(f"{table.label} cannot move")
        assert column.related_model is Customer
