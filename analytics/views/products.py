"""What the merchant sells."""

from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from analytics.periods import NONE, read_period
from analytics.products import REVENUE, products
from analytics.serializers.products import (
    LIMIT_DEFAULT,
    PRODUCTS,
    ProductFilters,
    products_table,
    render_products,
)
from cloudpos.api import envelope
from cloudpos.api.tables import wants_csv
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from customers.exports import export_csv


class ProductsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": PRODUCTS}
    filters = {"get": ProductFilters}
    summaries = {"get": "Read what sold best, what came back, and what is bought together"}
    tables = frozenset({"get"})

    def get(self, request: Any) -> HttpResponse:
        """A product is known by its sku, without one by its name. For what is bought together at most 10,000 purchases are looked
        into, the latest of the period; for one store those among the latest 100,000 at any store. `isSample` says when there
        are more."""
        access = request.access
        asked = ProductFilters(request).values
        today = now().astimezone(access.tz).date()
        period = read_period(first=asked.get("from_"), last=asked.get("to"), today=today)
        compare = asked.get("compare", NONE)
        found = products(
            merchant_id=access.merchant_id, period=period, store_id=asked.get("store_id"), compare=compare
        )
        order, limit = asked.get("sort_by", REVENUE), asked.get("limit", LIMIT_DEFAULT)
        if wants_csv(request, asked):
            table = products_table(found, order=order, limit=limit)
            return export_csv(access=access, name=f"products-{period.first}-{period.last}", table=table)
        return envelope.success(
            render_products(found, period, access, compare=compare, order=order, limit=limit)
        )
