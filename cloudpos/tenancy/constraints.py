"""Constraints that Django has no class for."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class TenantReference(models.BaseConstraint):
    """The database side of a `TenantForeignKey`: FOREIGN KEY (merchant_id, x_id) REFERENCES target (merchant_id, id).

    The target needs a unique constraint on (merchant, id): `TenantModel.unique_in_merchant(...)`. Deferred to
    commit like Django's own, so that rows may be written in any order inside a transaction.
    """

    def __init__(self, *, field: str, name: str) -> None:
        super().__init__(name=name)
        self.field = field

    def _clause(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> str:
        field: Any = model._meta.get_field(self.field)
        quote = schema_editor.quote_name
        merchant = quote("merchant_id")
        target = field.related_model._meta
        return (
            f"CONSTRAINT {quote(self.name)} FOREIGN KEY ({merchant}, {quote(field.column)}) "
            f"REFERENCES {quote(target.db_table)} ({merchant}, "
            f"{quote(target.pk.column)}) DEFERRABLE INITIALLY DEFERRED"
        )

    def constraint_sql(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> str:
        return self.create_sql(model, schema_editor)

    def create_sql(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> str:
        # At the end of the migration, when the unique constraint it points at is there, whatever their order.
        table = schema_editor.quote_name(model._meta.db_table)
        schema_editor.deferred_sql.append(f"ALTER TABLE {table} ADD {self._clause(model, schema_editor)}")
        return ""

    def remove_sql(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> str:
        table = schema_editor.quote_name(model._meta.db_table)
        return f"ALTER TABLE {table} DROP CONSTRAINT {schema_editor.quote_name(self.name)}"

    def validate(self, model: Any, instance: Any, exclude: Any = None, using: Any = None) -> None:
        """The database checks at commit; a form's choices are limited to the merchant by its queryset."""

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        kwargs["field"] = self.field
        return path, args, kwargs

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TenantReference):
            return self.name == other.name and self.field == other.field
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.field))


def tenant_references(table: str, *fields: str) -> list[TenantReference]:
    """One constraint per TenantForeignKey named in `fields`."""
    return [TenantReference(field=field, name=f"{table}_{field}_tenant_fk") for field in fields]


def unique_in_merchant(table: str) -> models.UniqueConstraint:
    """What a TenantReference to this table points at."""
    return models.UniqueConstraint(fields=["merchant", "id"], name=f"{table}_merchant_id_uniq")
