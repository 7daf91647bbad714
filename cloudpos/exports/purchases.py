"""Purchases of a period, a row for each, or for each of their items."""

from cloudpos.api.parameters import Amount, Identifier, Text
from cloudpos.api.query import DayFrom, DayTo
from cloudpos.exports.columns import Column, Holds
from cloudpos.exports.searching import SearchedByCustomer
from cloudpos.exports.shared_columns import CUSTOMER_COLUMNS, STORE_COLUMNS
from cloudpos.exports.sources import Chosen, Source, by_name, written
from cloudpos.tenancy.access import Access
from customers.models import Purchase


class PurchaseExportFilters(SearchedByCustomer):
    by_number = True

    occurred_from = DayFrom("occurred_at")
    occurred_to = DayTo("occurred_at")
    store_id = Identifier("store_id", description="Where it happened.")
    customer_id = Identifier("customer_id", description="Of this customer alone.")
    channel = Text("channel", max_length=20, description="Such as store or online.")
    amount_min = Amount("amount", "gte")
    amount_max = Amount("amount", "lte")


_SALE = (
    Column("occurredAt", "Time", "sale.occurred_at", Holds.INSTANT, group="Purchase", width=20),
    Column("transactionId", "Transaction", "sale.transaction_id", group="Purchase", width=20),
    *STORE_COLUMNS,
    *CUSTOMER_COLUMNS,
)

PURCHASE_COLUMNS = by_name(
    *_SALE,
    Column("amount", "Amount", "sale.amount", Holds.MONEY, group="Purchase"),
    Column("tax", "Tax", "sale.tax", Holds.MONEY, group="Purchase"),
    Column("discount", "Discount", "sale.discount", Holds.MONEY, group="Purchase"),
    Column("returned", "Returned", "sale.returned", Holds.MONEY, group="Purchase"),
    Column("net", "Net", "sale.amount - sale.returned", Holds.MONEY, group="Purchase"),
    Column("currency", "Currency", "sale.currency", group="Purchase", width=9),
    Column("items", "Items", "COALESCE(goods.lines, 0)", Holds.INTEGER, group="Purchase", joins=("goods",)),
    Column(
        "points", "Points", "COALESCE(given.points, 0)", Holds.INTEGER, group="Purchase", joins=("given",)
    ),
    Column("paymentMethod", "Payment method", "sale.payment_method", group="Purchase"),
    Column("channel", "Channel", "sale.channel", group="Purchase", width=12),
    Column(
        "recordedAt", "Recorded", "sale.recorded_at", Holds.INSTANT, group="Purchase", default=False, width=20
    ),
    Column("id", "Purchase ID", "sale.id::text", group="Purchase", default=False, width=38),
)

ITEM_COLUMNS = by_name(
    *_SALE,
    Column("line", "Line", "item.line", Holds.INTEGER, group="Item", width=8),
    Column("sku", "SKU", "item.sku", group="Item"),
    Column("name", "Product", "item.name", group="Item", width=32),
    Column("category", "Category", "item.category", group="Item"),
    Column("quantity", "Quantity", "trim_scale(item.quantity)", Holds.NUMBER, group="Item", width=10),
    Column("unitPrice", "Unit price", "trim_scale(item.unit_price)", Holds.NUMBER, group="Item", width=12),
    Column("tax", "Tax", "item.tax", Holds.MONEY, group="Item", width=12),
    Column("currency", "Currency", "sale.currency", group="Purchase", width=9),
    Column("channel", "Channel", "sale.channel", group="Purchase", width=12),
    Column("purchaseId", "Purchase ID", "sale.id::text", group="Purchase", default=False, width=38),
)

_CUSTOMER = " JOIN customers c ON c.merchant_id = sale.merchant_id AND c.id = sale.customer_id"
_STORE = "LEFT JOIN stores store ON store.merchant_id = sale.merchant_id AND store.id = sale.store_id"
_JOINS = {
    "store": _STORE,
    "goods": (
        "LEFT JOIN LATERAL (SELECT count(*) AS lines FROM purchase_items "
        "WHERE merchant_id = sale.merchant_id AND purchase_id = sale.id) goods ON true"
    ),
    # Earned, given by promotions, and taken back again.
    "given": (
        "LEFT JOIN LATERAL (SELECT sum(points)::int8 AS points FROM loyalty_transactions "
        "WHERE merchant_id = sale.merchant_id AND purchase_id = sale.id) given ON true"
    ),
}


def _choose(access: Access, filters: PurchaseExportFilters) -> Chosen:
    sales = filters.filter_queryset(Purchase.objects.for_merchant(access.merchant_id))
    sql, params = sales.order_by("occurred_at", "pk").values("pk").query.sql_with_params()
    return Chosen(written(sql, params))


def _choose_items(access: Access, filters: PurchaseExportFilters) -> Chosen:
    sales = filters.filter_queryset(Purchase.objects.for_merchant(access.merchant_id)).order_by()
    sql, params = sales.values("merchant_id", "pk", "occurred_at").query.sql_with_params()
    return Chosen(
        written(
            f"SELECT item.id FROM ({sql}) AS sale (merchant_id, id, occurred_at) "  # noqa: S608
            "JOIN purchase_items item ON item.merchant_id = sale.merchant_id AND item.purchase_id = sale.id "
            "ORDER BY sale.occurred_at, sale.id, item.line",
            params,
        )
    )


PURCHASES = Source(
    title="Purchases",
    unit="purchases",
    columns=PURCHASE_COLUMNS,
    filters=PurchaseExportFilters,
    choose=_choose,
    rows=f"JOIN purchases sale ON sale.merchant_id = %s AND sale.id = chosen.id{_CUSTOMER}",
    customer="c.id",
    joins=_JOINS,
)

PURCHASE_ITEMS = Source(
    title="Purchases by item",
    unit="items",
    columns=ITEM_COLUMNS,
    filters=PurchaseExportFilters,
    choose=_choose_items,
    rows=(
        "JOIN purchase_items item ON item.merchant_id = %s AND item.id = chosen.id "
        f"JOIN purchases sale ON sale.merchant_id = item.merchant_id AND sale.id = item.purchase_id{_CUSTOMER}"
    ),
    customer="c.id",
    joins={"store": _STORE},
)
