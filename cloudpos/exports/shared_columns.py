"""Columns of several kinds of exports: who stands in a row (`c`), and at which store it happened (`store`)."""

from cloudpos.exports.columns import Column

CUSTOMER_COLUMNS = (
    Column("customerNumber", "Customer number", "c.customer_number", group="Customer"),
    Column(
        "customerName",
        "Customer",
        "COALESCE(NULLIF(c.company_name, ''), trim(c.first_name || ' ' || c.last_name))",
        group="Customer",
        default=False,
        width=24,
    ),
    Column("email", "E-mail", "c.email", group="Customer", default=False, width=28),
)
STORE_COLUMNS = (
    Column("storeCode", "Store", "store.code", group="Store", joins=("store",), width=12),
    Column("storeName", "Store name", "store.name", group="Store", joins=("store",), width=24),
)
