"""Unsaved instances by the hundred thousand."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.base import ModelState
from django.db.models.fields import NOT_PROVIDED

M = TypeVar("M", bound=models.Model)


def draft(model: type[M], **columns: Any) -> M:
    """What `model(**columns)` makes, in a tenth of the time: 50 us each are a third of a bulk load.

    Columns by their attribute names (`customer_id`, not `customer`), taken as they are.
    """
    constants, factories = _defaults(model)
    instance = model.__new__(model)
    state = instance.__dict__
    state.update(constants)
    for name, make in factories:
        if name not in columns:
            state[name] = make()
    state.update(columns)
    state["_state"] = ModelState()
    return instance


def stored(model: type[M], columns: Mapping[str, Any]) -> M:
    """A row that there is, as `values` of a query gave it, in a tenth of the time that the query takes to make it a model."""
    instance = draft(model, **columns)
    instance._state.adding = False
    instance._state.db = DEFAULT_DB_ALIAS
    return instance


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], tuple[tuple[str, Callable[[], Any]], ...]]:
    constants: dict[str, Any] = {}
    factories = []
    for field in model._meta.concrete_fields:
        if callable(field.default) and field.default is not NOT_PROVIDED:
            factories.append((field.attname, field.default))
        else:
            constants[field.attname] = field.get_default()
    return constants, tuple(factories)
