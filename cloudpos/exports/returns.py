"""Returns of a period, each with the purchase that it belongs to."""

from cloudpos.api.parameters import Amount, Identifier
from cloudpos.api.query import DayFrom, DayTo
from cloudpos.exports.columns import Column, Holds
from cloudpos.exports.searching import SearchedByCustomer
from cloudpos.exports.shared_columns import CUSTOMER_COLUMNS, STORE_COLUMNS
from cloudpos.exports.sources import Chosen, Source, by_name, written
from cloudpos.tenancy.access import Access
from customers.models import PurchaseReturn


class ReturnExportFilters(SearchedByCustomer):
    by_number = True

    occurred_from = DayFrom("occurred_at")
    occurred_to = DayTo("occurred_at")
    store_id = Identifier("store_id", description="Where it came back.")
    customer_id = Identifier("customer_id", description="Of this customer alone.")
    amount_min = Amount("amount", "gte")
    amount_max = Amount("amount", "lte")


COLUMNS = by_name(
    Column("occurredAt", "Time", "returned.occurred_at", Holds.INSTANT, group="Return", width=20),
    Column("transactionId", "Return", "returned.transaction_id", group="Return", width=20),
    Column("purchaseTransactionId", "Purchase", "sale.transaction_id", group="Purchase", width=20),
    Column("purchaseOccurredAt", "Bought", "sale.occurred_at", Holds.INSTANT, group="Purchase", width=20),
    *STORE_COLUMNS,
    *CUSTOMER_COLUMNS,
    Column("amount", "Given back", "returned.amount", Holds.MONEY, group="Return", width=12),
    Column("purchaseAmount", "Amount of the purchase", "sale.amount", Holds.MONEY, group="Purchase", default=False),
    Column("currency", "Currency", "sale.currency", group="Return", width=9),
    Column("items", "Items", "COALESCE(goods.lines, 0)", Holds.INTEGER, group="Return", joins=("goods",), width=8),
    Column("products", "Products", "goods.products", group="Return", joins=("goods",), default=False, width=40),
    # Minus what was taken back, plus what a redemption gave back.
    Column("points", "Points", "COALESCE(given.points, 0)", Holds.INTEGER, group="Return", joins=("given",), width=12),
    Column("reason", "Reason", "returned.reason", group="Return", width=28),
    Column("recordedAt", "Recorded", "returned.recorded_at", Holds.INSTANT, group="Return", default=False, width=20),
    Column("id", "Return ID", "returned.id::text", group="Return", default=False, width=38),
    Column("purchaseId", "Purchase ID", "sale.id::text", group="Purchase", default=False, width=38),
)  # fmt: skip

_JOINS = {
    "store": "LEFT JOIN stores store ON store.merchant_id = returned.merchant_id AND store.id = returned.store_id",
    # A line of a return names a line of its purchase by number.
    "goods": (
        "LEFT JOIN LATERAL (SELECT count(*) AS lines, string_agg(trim_scale(line.quantity) || ' x ' || "
        "COALESCE(NULLIF(item.name, ''), NULLIF(item.sku, ''), 'line ' || line.line), '; ' ORDER BY line.line) AS products "
        "FROM purchase_return_items line LEFT JOIN purchase_items item ON item.merchant_id = line.merchant_id "
        "AND item.purchase_id = sale.id AND item.line = line.line "
        "WHERE line.merchant_id = returned.merchant_id AND line.purchase_return_id = returned.id) goods ON true"
    ),
    "given": (
        "LEFT JOIN LATERAL (SELECT sum(points)::int8 AS points FROM loyalty_transactions entry "
        "WHERE entry.merchant_id = returned.merchant_id AND entry.purchase_return_id = returned.id) given ON true"
    ),
}


def _choose(access: Access, filters: ReturnExportFilters) -> Chosen:
    returns = filters.filter_queryset(PurchaseReturn.objects.for_merchant(access.merchant_id))
    sql, params = returns.order_by("occurred_at", "pk").values("pk").query.sql_with_params()
    return Chosen(written(sql, params))


RETURNS = Source(
    title="Returns",
    unit="returns",
    columns=COLUMNS,
    filters=ReturnExportFilters,
    choose=_choose,
    rows=(
        "JOIN purchase_returns returned ON returned.merchant_id = %s AND returned.id = chosen.id "
        "JOIN purchases sale ON sale.merchant_id = returned.merchant_id AND sale.id = returned.purchase_id "
        "JOIN customers c ON c.merchant_id = returned.merchant_id AND c.id = returned.customer_id"
    ),
    customer="c.id",
    joins=_JOINS,
)
