"""The points ledger of a period: every entry, with who, how many points, the balance around it, and what caused it."""

from cloudpos.api.parameters import Choices, Identifier
from cloudpos.api.query import DayFrom, DayTo
from cloudpos.exports.columns import Column, Holds
from cloudpos.exports.searching import SearchedByCustomer
from cloudpos.exports.shared_columns import CUSTOMER_COLUMNS, STORE_COLUMNS
from cloudpos.exports.sources import Chosen, Source, by_name, written
from cloudpos.tenancy.access import Access
from loyalty.models import LedgerEntry

# What a merge has moved belongs to who it was moved to.
_CAUSE = """CASE
    WHEN entry.purchase_return_id IS NOT NULL THEN 'return'
    WHEN award.promotion_id IS NOT NULL THEN 'promotion'
    WHEN entry.purchase_id IS NOT NULL THEN 'purchase'
    WHEN redemption.id IS NOT NULL THEN 'redemption'
    WHEN entry.reverses_id IS NOT NULL THEN 'correction'
    WHEN entry.type = 'expired' THEN 'expiry'
    WHEN entry.type = 'transferred' THEN 'merge'
    WHEN entry.transaction_id <> '' THEN 'till'
    ELSE 'person' END"""


class LedgerExportFilters(SearchedByCustomer):
    customer_field = "enrollment__customer_id"

    occurred_from = DayFrom("occurred_at")
    occurred_to = DayTo("occurred_at")
    type = Choices(LedgerEntry.Type.values)
    store_id = Identifier("store_id", description="Where it happened.")
    customer_id = Identifier("enrollment__customer_id", description="Of this customer alone.")


COLUMNS = by_name(
    Column("occurredAt", "Time", "entry.occurred_at", Holds.INSTANT, group="Entry", width=20),
    *CUSTOMER_COLUMNS,
    Column("type", "Type", "entry.type", group="Entry", width=12),
    Column("points", "Points", "entry.points", Holds.INTEGER, group="Entry", width=12),
    Column("balanceBefore", "Balance before", "entry.balance_before", Holds.INTEGER, group="Entry"),
    Column("balanceAfter", "Balance after", "entry.balance_after", Holds.INTEGER, group="Entry"),
    Column("cause", "Cause", _CAUSE, group="Cause", joins=("award", "redemption"), width=12),
    Column("promotion", "Promotion", "promotion.name", group="Cause", joins=("award", "promotion"), width=24),
    Column("reward", "Reward", "reward.name", group="Cause", joins=("redemption", "reward"), width=24),
    Column(
        "purchaseTransactionId", "Purchase", "sale.transaction_id", group="Cause", joins=("sale",), width=20
    ),
    Column(
        "returnTransactionId",
        "Return",
        "returned.transaction_id",
        group="Cause",
        joins=("returned",),
        width=20,
    ),
    Column("transactionId", "Transaction", "entry.transaction_id", group="Cause", width=20),
    Column("description", "Description", "entry.description", group="Cause", width=32),
    *STORE_COLUMNS,
    Column(
        "actor",
        "By",
        "COALESCE(NULLIF(actor.name, ''), actor.email)",
        group="Cause",
        joins=("actor",),
        width=20,
    ),
    Column(
        "recordedAt", "Recorded", "entry.recorded_at", Holds.INSTANT, group="Entry", default=False, width=20
    ),
    Column("accountId", "Account ID", "entry.enrollment_id::text", group="Entry", default=False, width=38),
    Column("version", "Number", "entry.version", Holds.INTEGER, group="Entry", default=False),
    Column("id", "Entry ID", "entry.id::text", group="Entry", default=False, width=38),
    Column("reversesId", "Reverses entry", "entry.reverses_id::text", group="Cause", default=False, width=38),
)

_JOINS = {
    "award": "LEFT JOIN loyalty_awards award ON award.merchant_id = entry.merchant_id AND award.entry_id = entry.id",
    "promotion": (
        "LEFT JOIN loyalty_promotions promotion ON promotion.merchant_id = entry.merchant_id "
        "AND promotion.id = award.promotion_id"
    ),
    "redemption": (
        "LEFT JOIN loyalty_redemptions redemption ON redemption.merchant_id = entry.merchant_id "
        "AND redemption.entry_id = entry.id"
    ),
    "reward": (
        "LEFT JOIN loyalty_rewards reward ON reward.merchant_id = entry.merchant_id AND reward.id = redemption.reward_id"
    ),
    "sale": "LEFT JOIN purchases sale ON sale.merchant_id = entry.merchant_id AND sale.id = entry.purchase_id",
    "returned": (
        "LEFT JOIN purchase_returns returned ON returned.merchant_id = entry.merchant_id "
        "AND returned.id = entry.purchase_return_id"
    ),
    "store": "LEFT JOIN stores store ON store.merchant_id = entry.merchant_id AND store.id = entry.store_id",
    "actor": "LEFT JOIN users actor ON actor.id = entry.actor_id",
}


def _choose(access: Access, filters: LedgerExportFilters) -> Chosen:
    entries = filters.filter_queryset(LedgerEntry.objects.for_merchant(access.merchant_id))
    sql, params = entries.order_by("occurred_at", "pk").values("pk").query.sql_with_params()
    return Chosen(written(sql, params))


LEDGER = Source(
    title="Points ledger",
    unit="entries",
    columns=COLUMNS,
    filters=LedgerExportFilters,
    choose=_choose,
    rows=(
        "JOIN loyalty_transactions entry ON entry.merchant_id = %s AND entry.id = chosen.id "
        "JOIN loyalty_enrollments owner ON owner.merchant_id = entry.merchant_id AND owner.id = entry.enrollment_id "
        "JOIN customers c ON c.merchant_id = entry.merchant_id AND c.id = owner.customer_id"
    ),
    customer="c.id",
    joins=_JOINS,
)
