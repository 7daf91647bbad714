"""Chainable filters of customers, tenant first."""

from typing import Self

from cloudpos.tenancy.models import TenantQuerySet


class CustomerQuerySet(TenantQuerySet):
    def visible(self) -> Self:
        """Neither deleted nor merged away."""
        return self.filter(deleted_at=None)
