"""Operations of migrations that Django has not."""

from typing import Any

from django.db.migrations import AddField
from django.db.migrations.operations.base import Operation


class Together(Operation):
    """Fields, constraints and indexes that are added one after the other, with the models' classes made anew once, not each time.

    Every one of them has Django render its model and all that are related to it again: about 30 classes in this project, and
    that was most of the time of a first start. In SQL nothing changes. Takes AddField, AddConstraint and AddIndex alone: what
    they do is the same whether or not the class that they start from has what the operation before added.
    """

    atomic = True
    reduces_to_sql = True

    def __init__(self, *operations: Any) -> None:
        self.operations = operations

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        return self.__class__.__name__, self.operations, {}

    @property
    def reversible(self) -> bool:  # type: ignore[override]
        return all(operation.reversible for operation in self.operations)

    def state_forwards(self, app_label: str, state: Any) -> None:
        rendered = state.__dict__.pop("apps", None)
        for operation in self.operations:
            operation.state_forwards(app_label, state)
        if rendered is not None:
            state.__dict__["apps"] = rendered
            adds_fields = any(isinstance(operation, AddField) for operation in self.operations)
            touched = {(app_label, operation.model_name_lower) for operation in self.operations}
            state.reload_models(touched, delay=not adds_fields)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for operation in self.operations:
            operation.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for operation in reversed(self.operations):
            operation.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        return f"Add {len(self.operations)} fields, constraints and indexes"
