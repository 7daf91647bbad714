"""How products look outside."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from analytics.bought_together import Pair, Product
from analytics.overview import CENT
from analytics.periods import COMPARISONS, Period
from analytics.products import LIMIT_MAX, ORDERS, REVENUE, Figures, Products, Ranking
from analytics.rollups.goods import MONEY_UNIT, QUANTITY_UNIT, Sold
from analytics.serializers.fields import (
    AS_OF,
    BEING_PREPARED,
    COUNT,
    DAY,
    MONEY,
    NOTES,
    RATE,
    TEXT,
    one_or_none,
    share,
)
from cloudpos.api.parameters import Choices, Day, Identifier, Integer
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.api.tables import Table, format_parameter
from cloudpos.tenancy.access import Access

LIMIT_DEFAULT = 20
QUANTITY: Schema = {"type": "string", "examples": ["3"]}
AMOUNTS: dict[str, Any] = {
    "quantity": QUANTITY,
    "revenue": {
        **MONEY,
        "description": "Quantity times unit price: before returns and discounts on the whole receipt.",
    },
    "purchases": {**COUNT, "description": "Receipts that it is on."},
    "returnedQuantity": {**QUANTITY, "description": "Of what was sold in the period, whenever it came back."},
    "returnRate": nullable({**RATE, "description": "Of the quantity."}),
}
SOLD: dict[str, Any] = {**AMOUNTS, "shareOfRevenue": nullable(RATE)}
# The columns of a table, and the other period beside them.
ROW: dict[str, Any] = {
    **SOLD,
    "previous": one_or_none(Fields("SoldBefore", AMOUNTS)),
}
PAIRED = Fields("PairedProduct", {"sku": TEXT, "name": TEXT, "purchases": COUNT})
PRODUCTS = Fields(
    "Products",
    {
        "from": DAY,
        "to": DAY,
        "sortBy": {"type": "string", "enum": list(ORDERS)},
        "compare": {"type": "string", "enum": list(COMPARISONS)},
        "comparedWith": one_or_none(Fields("ProductsBefore", {"from": DAY, "to": DAY})),
        "currency": TEXT,
        "products": Many(Fields("ProductFigures", {"sku": TEXT, "name": TEXT, "category": TEXT, **ROW})),
        "totalProducts": {**COUNT, "description": "How many were sold at all."},
        "categories": Many(Fields("CategoryFigures", {"category": TEXT, **ROW})),
        "totalCategories": COUNT,
        "boughtTogether": Many(
            Fields(
                "BoughtTogether",
                {
                    "first": PAIRED,
                    "second": PAIRED,
                    "purchases": {**COUNT, "description": "With both."},
                    "support": {**RATE, "description": "Share of all purchases that were looked into."},
                    "confidence": {
                        **RATE,
                        "description": "Of the purchases with the first: with the second too.",
                    },
                    "confidenceReverse": {
                        **RATE,
                        "description": "Of the purchases with the second: with the first too.",
                    },
                    "lift": {**RATE, "description": "How often together, as a multiple of by chance."},
                },
            )
        ),
        "purchasesLookedInto": {
            **COUNT,
            "description": "For what is bought together: those with items, of each its first 50 lines.",
        },
        "isSample": {
            "type": "boolean",
            "description": "The period has more purchases than were looked into: these are the latest.",
        },
        "asOf": AS_OF,
        "notes": NOTES,
    },
)


class ProductFilters(StrictFilterSet):
    paged = False
    cursors = False

    from_ = Day(method="", description="First day; 30 days before `to` when absent.")
    to = Day(method="", description="Last day, included; today when absent.")
    store_id = Identifier(method="", description="One store; all of the merchant's when absent.")
    sort_by = Choices(ORDERS, many=False, method="", description="revenue when absent.")
    limit = Integer(
        minimum=1, maximum=LIMIT_MAX, method="", description=f"Of each list; {LIMIT_DEFAULT} when absent."
    )
    compare = Choices(
        COMPARISONS,
        many=False,
        method="",
        description="With nothing (when absent), with as many days right before, or with the same dates a year before.",
    )
    format = format_parameter()


def render_products(
    found: Products,
    period: Period,
    access: Access,
    *,
    compare: str,
    order: str = REVENUE,
    limit: int = LIMIT_DEFAULT,
) -> dict[str, Any]:
    return {
        "from": period.first,
        "to": period.last,
        "sortBy": order,
        "compare": compare,
        "comparedWith": {"from": found.compared.first, "to": found.compared.last} if found.compared else None,
        "currency": access.currency,
        "products": _top(found.products, order, limit),
        "totalProducts": found.products.total.articles,
        "categories": [
            {name: value for name, value in row.items() if name not in ("sku", "name")}
            for row in _top(found.categories, order, limit)
        ],
        "totalCategories": found.categories.total.articles,
        "boughtTogether": [_pair(pair, found) for pair in found.pairs[:limit]],
        "purchasesLookedInto": found.baskets,
        "isSample": found.is_sample,
        "asOf": found.as_of,
        "notes": _notes(found),
    }


def products_table(found: Products, *, order: str, limit: int) -> Table:
    head = ("sku", "name", "category", *SOLD)
    return Table(head, [[row[name] for name in head] for row in _top(found.products, order, limit)])


def _top(ranking: Ranking, order: str, limit: int) -> Sequence[dict[str, Any]]:
    return [_figures(each, ranking) for each in ranking.top[order][:limit]]


def _figures(each: Figures, ranking: Ranking) -> dict[str, Any]:
    return {
        "sku": each.article.sku,
        "name": each.name,
        "category": each.category,
        **_sold(each.sold),
        "shareOfRevenue": share(each.sold.money, ranking.total.sold.money),
        "previous": None if each.before is None else _sold(each.before),
    }


def _sold(sold: Sold) -> dict[str, Any]:
    return {
        "quantity": _quantity(sold.quantity),
        "revenue": revenue(sold),
        "purchases": sold.receipts,
        "returnedQuantity": _quantity(sold.returned),
        "returnRate": share(sold.returned, sold.quantity),
    }


def revenue(sold: Sold) -> Decimal:
    """In the merchant's currency."""
    return (Decimal(sold.money) / MONEY_UNIT).quantize(CENT)


def _quantity(thousandths: int) -> str:
    """As receipts have it: "3", not "3.000"."""
    return f"{(Decimal(thousandths) / QUANTITY_UNIT).normalize():f}"


def _pair(pair: Pair, found: Products) -> dict[str, Any]:
    def product(key: Product, purchases: int) -> dict[str, Any]:
        return {"sku": key[0], "name": found.names.get(key, key[1]), "purchases": purchases}

    return {
        "first": product(pair.first, pair.with_first),
        "second": product(pair.second, pair.with_second),
        "purchases": pair.with_both,
        "support": round(pair.support, 4),
        "confidence": round(pair.confidence, 4),
        "confidenceReverse": round(pair.confidence_back, 4),
        "lift": round(pair.lift, 2),
    }


def _notes(found: Products) -> list[str]:
    notes = []
    if not found.products.total.articles:
        notes.append("No purchase of this period names a product.")
    elif not found.pairs:
        notes.append("No two products were bought together often enough to say so.")
    if found.as_of is not None:
        notes.append(BEING_PREPARED)
    return notes
