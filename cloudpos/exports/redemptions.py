"""Redemptions of a period: what members had for their points, and what it was worth."""

from cloudpos.api.parameters import Choices, Identifier
from cloudpos.api.query import DayFrom, DayTo
from cloudpos.exports.columns import Column, Holds
from cloudpos.exports.searching import SearchedByCustomer
from cloudpos.exports.shared_columns import CUSTOMER_COLUMNS, STORE_COLUMNS
from cloudpos.exports.sources import Chosen, Source, by_name, written
from cloudpos.tenancy.access import Access
from loyalty.models import Redemption


class RedemptionExportFilters(SearchedByCustomer):
    occurred_from = DayFrom("redeemed_at")
    occurred_to = DayTo("redeemed_at")
    state = Choices(Redemption.State.values)
    store_id = Identifier("store_id", description="Where it happened.")
    customer_id = Identifier("customer_id", description="Of this customer alone.")
    reward_id = Identifier("reward_id", description="Of this reward alone.")


COLUMNS = by_name(
    Column("redeemedAt", "Time", "spent.redeemed_at", Holds.INSTANT, group="Redemption", width=20),
    Column("transactionId", "Transaction", "spent.transaction_id", group="Redemption", width=20),
    *STORE_COLUMNS,
    *CUSTOMER_COLUMNS,
    Column("reward", "Reward", "reward.name", group="Redemption", joins=("reward",), width=24),
    Column("rewardKind", "Kind", "reward.kind", group="Redemption", joins=("reward",), width=12),
    Column("sku", "SKU", "reward.sku", group="Redemption", joins=("reward",), default=False),
    Column("points", "Points", "spent.points", Holds.INTEGER, group="Redemption", width=12),
    Column("discount", "Money off", "spent.discount", Holds.MONEY, group="Redemption", width=12),
    Column("currency", "Currency", "merchant.currency", group="Redemption", joins=("merchant",), width=9),
    Column("state", "State", "spent.state", group="Redemption", width=12),
    Column("cancelledAt", "Cancelled", "spent.cancelled_at", Holds.INSTANT, group="Redemption", width=20),
    Column("actor", "By", "COALESCE(NULLIF(actor.name, ''), actor.email)", group="Redemption", joins=("actor",), width=20),
    Column("fromHold", "From points on hold", "spent.hold_id IS NOT NULL", Holds.FLAG, group="Redemption", default=False),
    Column("id", "Redemption ID", "spent.id::text", group="Redemption", default=False, width=38),
    Column("entryId", "Entry ID", "spent.entry_id::text", group="Redemption", default=False, width=38),
)  # fmt: skip


def _choose(access: Access, filters: RedemptionExportFilters) -> Chosen:
    redemptions = filters.filter_queryset(Redemption.objects.for_merchant(access.merchant_id))
    sql, params = redemptions.order_by("redeemed_at", "pk").values("pk").query.sql_with_params()
    return Chosen(written(sql, params))


REDEMPTIONS = Source(
    title="Redemptions",
    unit="redemptions",
    columns=COLUMNS,
    filters=RedemptionExportFilters,
    choose=_choose,
    rows=(
        "JOIN loyalty_redemptions spent ON spent.merchant_id = %s AND spent.id = chosen.id "
        "JOIN customers c ON c.merchant_id = spent.merchant_id AND c.id = spent.customer_id"
    ),
    customer="c.id",
    joins={
        "store": "LEFT JOIN stores store ON store.merchant_id = spent.merchant_id AND store.id = spent.store_id",
        "reward": (
            "LEFT JOIN loyalty_rewards reward ON reward.merchant_id = spent.merchant_id "
            "AND reward.id = spent.reward_id"
        ),
        "merchant": "JOIN merchants merchant ON merchant.id = spent.merchant_id",
        "actor": "LEFT JOIN users actor ON actor.id = spent.actor_id",
    },
)
