"""No reference, no uniqueness and hardly an index without the merchant: the schema stays one of many merchants."""

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import ForeignKey, Model, UniqueConstraint

from cloudpos.tenancy.constraints import TenantReference
from cloudpos.tenancy.models import Membership, Merchant, TenantForeignKey, TenantModel, TenantPart

TENANT_MODELS = [model for model in apps.get_models() if issubclass(model, TenantModel)]

INDEXES_WITHOUT_MERCHANT = {
    # Lexemes carry their merchant themselves.
    "customers_search_idx",
    "customer_words_pkey",
    # A worker's queue: found across merchants on purpose.
    "webhook_deliveries_due_idx",
    "webhook_deliveries_open_idx",
    "loyalty_holds_due_idx",
    "loyalty_vouchers_due_idx",
    # Where does this short link lead? Its reader names no merchant.
    "campaign_links_code_idx",
    # Whose memberships are these? Asked at log-in, before there is a merchant.
    "memberships_user_id",
    # Made by the field itself on tables of a few rows per merchant.
    "memberships_store_id",
    "loyalty_tiers_code",
}
# Tables of all merchants, or of none.
SHARED_TABLES = {
    "tenancy.Merchant",
    "tenancy.User",
    "api.IdempotencyRecord",
    "customers.CustomerCount",
    "customers.CustomerWord",
    # Sums that can be made anew from the ledger, and are read of one merchant at a time.
    "loyalty.Rollup",
    "loyalty.RollupAccount",
    "loyalty.RollupDay",
    "loyalty.RollupLots",
    "loyalty.RollupSettlement",
    # The same of purchases and of movements between segments.
    "analytics.Article",
    "analytics.ChangedDays",
    "analytics.PurchaseRollup",
    "analytics.RollupDay",
    "analytics.RollupMember",
    "analytics.RollupSpan",
    "analytics.SegmentMoves",
}


def label(model: type[Model]) -> str:
    return str(model._meta.label)


@pytest.mark.parametrize("model", TENANT_MODELS, ids=label)
def test_each_reference_between_tenant_rows_is_a_composite_key(model: type[Model]) -> None:
    declared = {c.field for c in model._meta.constraints if isinstance(c, TenantReference)}
    for column in model._meta.concrete_fields:
        if isinstance(column, ForeignKey) and issubclass(column.related_model, TenantModel):
            assert isinstance(column, TenantForeignKey), f"{column}: use a TenantForeignKey"
            assert column.name in declared, f"{column}: declare tenant_references(...)"


@pytest.mark.django_db
@pytest.mark.parametrize("model", TENANT_MODELS, ids=label)
def test_the_database_has_them(model: type[Model]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = %s::regclass",
            [model._meta.db_table],
        )
        found = dict(cursor.fetchall())
    for constraint in model._meta.constraints:
        if isinstance(constraint, TenantReference):
            column = model._meta.get_field(constraint.field).column
            definition = found[constraint.name]
            assert definition.startswith(f"FOREIGN KEY (merchant_id, {column}) REFERENCES"), definition
            assert "(merchant_id, id)" in definition


@pytest.mark.parametrize("model", TENANT_MODELS, ids=label)
def test_each_row_proves_its_merchant(model: type[Model]) -> None:
    """By a foreign key of its own, or by a reference that is never empty to a table whose rows do."""
    seen: set[type[Model]] = set()
    while issubclass(model, TenantPart):
        assert model not in seen, f"{label(model)} proves itself"
        seen.add(model)
        required = [
            field.related_model
            for field in (
                model._meta.get_field(c.field)
                for c in model._meta.constraints
                if isinstance(c, TenantReference)
            )
            if not field.null
        ]
        assert required, f"{label(model)} may refer to nothing: extend TenantModel"
        model = next((target for target in required if not issubclass(target, TenantPart)), required[0])
    assert model._meta.get_field("merchant").db_constraint


@pytest.mark.parametrize("model", TENANT_MODELS, ids=label)
def test_each_unique_constraint_starts_with_the_merchant(model: type[Model]) -> None:
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint):
            assert constraint.fields and constraint.fields[0] == "merchant", constraint.name
    assert not model._meta.unique_together
    for column in model._meta.concrete_fields:
        assert column.primary_key or not column.unique, column


@pytest.mark.django_db
def test_each_index_of_a_tenant_table_starts_with_the_merchant() -> None:
    """As the database has it: also what a migration made in SQL."""
    without = []
    with connection.cursor() as cursor:
        for model in TENANT_MODELS:
            cursor.execute(
                "SELECT c.relname, pg_get_indexdef(i.indexrelid, 1, true), i.indisprimary FROM pg_index i"
                " JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %s::regclass",
                [model._meta.db_table],
            )
            for name, first_column, is_primary in cursor.fetchall():
                allowed = any(name.startswith(known) for known in INDEXES_WITHOUT_MERCHANT)
                if first_column != "merchant_id" and not is_primary and not allowed:
                    without.append(f"{model._meta.label}: {name} on {first_column}")
    assert without == []


def test_every_table_of_ours_belongs_to_a_merchant() -> None:
    ours = {"tenancy", "api", "customers", "loyalty", "analytics", "marketing", "cloudpos", "jobs"}
    shared = {
        label(model)
        for model in apps.get_models()
        if model._meta.app_label in ours and not issubclass(model, TenantModel)
    }
    assert shared <= SHARED_TABLES, "extend TenantModel, or say why not"


def test_the_key_of_a_row_needs_no_coordination() -> None:
    for model in [*TENANT_MODELS, Merchant]:
        assert model._meta.pk.get_internal_type() == "UUIDField", label(model)
    assert Membership in TENANT_MODELS
