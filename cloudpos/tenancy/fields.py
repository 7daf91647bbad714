"""Columns of tenant-owned tables: references that cannot leave their merchant."""

from collections.abc import Sequence
from typing import Any

from django.db import models


class TenantForeignKey(models.ForeignKey):
    """A reference between rows of one merchant: every join and every look-up through it also equates `merchant_id`.

    Both models must have a `merchant` column. The database side is a composite foreign key, declared in the
    model's `Meta.constraints` as `TenantReference`; `tests/test_tenancy.py` fails where one is missing.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # TenantReference enforces (merchant_id, id) together; a second constraint on id alone would only cost.
        kwargs["db_constraint"] = False
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["db_constraint"]
        return name, path, args, kwargs

    def get_joining_fields(self, reverse_join: bool = False) -> tuple[tuple[Any, Any], ...]:
        mine: Any = self.model._meta.get_field("merchant")
        theirs: Any = self.remote_field.model._meta.get_field("merchant")
        pair = (theirs, mine) if reverse_join else (mine, theirs)
        return (*super().get_joining_fields(reverse_join), pair)

    def get_extra_descriptor_filter(self, instance: models.Model) -> dict[str, Any]:
        return {"merchant_id": instance.merchant_id}  # type: ignore[attr-defined]
