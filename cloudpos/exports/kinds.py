"""The sources by the kinds of exports."""

from collections.abc import Mapping

from cloudpos.exports.customers import CUSTOMERS
from cloudpos.exports.ledger import LEDGER
from cloudpos.exports.models import Export
from cloudpos.exports.purchases import PURCHASE_ITEMS, PURCHASES
from cloudpos.exports.redemptions import REDEMPTIONS
from cloudpos.exports.returns import RETURNS
from cloudpos.exports.sources import Source

SOURCES: Mapping[str, Source] = {
    Export.Kind.CUSTOMERS.value: CUSTOMERS,
    Export.Kind.LEDGER.value: LEDGER,
    Export.Kind.PURCHASES.value: PURCHASES,
    Export.Kind.PURCHASE_ITEMS.value: PURCHASE_ITEMS,
    Export.Kind.RETURNS.value: RETURNS,
    Export.Kind.REDEMPTIONS.value: REDEMPTIONS,
}
