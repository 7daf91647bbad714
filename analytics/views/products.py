"""What the merchant sells."""

from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from analytics.periods import read_period
from analytics.products import REVENUE, products
from analytics.serializers.products import (
    LIMIT_DEFAULT,
    PRODUCTS,
    ProductFilters,
    products_table,
    render_products,
)
from cloudpos.api import envelope
from cloudpos.api.tables import csv_response, wants_csv
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role


class ProductsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": PRODUCTS}
    filters = {"get": ProductFilters}
    summaries = {"get": "Read what sold best, what came back, and what is bought together"}
    tables = frozenset({"get"})

    def get(self, request: Any) -> HttpResponse:
        """A product is known by its sku, without one by its name. For what is bought together at most 20,000 purchases are looked
        into, the latest of the period."""
        access = request.access
        asked = ProductFilters(request).values
        today = now().astimezone(access.tz).date()
        period = read_period(first=asked.get("from_"), last=asked.get("to"), today=today)
        found = products(merchant_id=access.merchant_id, period=period, store_id=asked.get("store_id"))
        order, limit = asked.get("sort_by", REVENUE), asked.get("limit", LIMIT_DEFAULT)
        if wants_csv(request, asked):
            table = products_table(found, order=order, limit=limit)
            return csv_response(f"products-{period.first}-{period.last}", table)
        return envelope.success(render_products(found, period, access, order=order, limit=limit))
