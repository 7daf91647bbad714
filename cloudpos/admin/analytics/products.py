"""What sells: products and categories beside the period before, what is bought together, and who bought a product."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest
from django.urls import reverse

from analytics.bought_together import Pair, Product
from analytics.periods import PREVIOUS_PERIOD
from analytics.product_buyers import product_buyers
from analytics.products import LIMIT_MAX, QUANTITY, REVENUE, Figures, Products, Ranking, Total, products
from analytics.rollups.goods import QUANTITY_UNIT, Article, Sold
from analytics.serializers.products import products_table, revenue
from cloudpos.admin.analytics.choice import PERIODS_DAYS, Choice, read_choice
from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.analytics.people import Column, People, Person, people_shown, span
from cloudpos.admin.kpi import Kpi, percent_change, point_change
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.formats import count, counted, day, money, quantity, short_money
from cloudpos.tenancy.models import Merchant
from customers.exports import export_csv

ROWS_SHOWN = 20
CATEGORIES_SHOWN = 10
PAIRS_SHOWN = 12
ORDERS = {REVENUE: "By revenue", QUANTITY: "By units"}
COLUMNS = (
    Column("Units", "quantity"),
    Column("Spent on it", "spent"),
    Column("Purchases", "purchases"),
    Column("Last bought", "lastBought"),
)
NOTE = "As on the receipts: before discounts on the whole receipt, and before anything came back."
# A sku has 100 characters, a name 200.
ADDRESS_CHARS_MAX = 200


@analytics_page("Products", "products")
def products_page(request: HttpRequest, merchant: Merchant) -> Shown:
    choice = read_choice(request, merchant)
    asked = request.GET.get("by", "")
    order = asked if asked in ORDERS else REVENUE
    found = products(
        merchant_id=merchant.pk, period=choice.period, store_id=choice.store_id, compare=PREVIOUS_PERIOD
    )
    if request.GET.get("format") == "csv":
        name = f"products-{choice.period.first}-{choice.period.last}"
        return export_csv(
            access=acting_for(request, merchant),
            name=name,
            table=products_table(found, order=order, limit=LIMIT_MAX),
        )
    shop = _Shop(merchant.currency, choice)
    return {
        "choice": choice,
        "periods": PERIODS_DAYS,
        "kept": {} if order == REVENUE else {"by": order},
        "orders": [
            {"label": label, "query": choice.query(by=name), "chosen": name == order}
            for name, label in ORDERS.items()
        ],
        "csv_query": choice.query(by=order, format="csv"),
        "csv_rows": min(found.products.total.articles, LIMIT_MAX),
        "figures": found,
        "kpis": shop.kpis(found.products),
        "products": [shop.row(each, found.products) for each in found.products.top[order][:ROWS_SHOWN]],
        "categories": [
            shop.row(each, found.categories) for each in found.categories.top[order][:CATEGORIES_SHOWN]
        ],
        "pairs": [shop.pair(pair, found) for pair in found.pairs[:PAIRS_SHOWN]],
    }


@dataclass(frozen=True, slots=True)
class _Shop:
    """How the figures look on the page."""

    currency: str
    choice: Choice

    def kpis(self, ranking: Ranking) -> list[Kpi]:
        total, before = ranking.total, ranking.before or Total()
        rate, rate_before = _return_rate(total.sold), _return_rate(before.sold)
        return [
            Kpi(
                title="Sold",
                value=short_money(revenue(total.sold), self.currency),
                exact=money(revenue(total.sold), self.currency),
                detail=f"before returns; {short_money(revenue(before.sold), self.currency)} before",
                **percent_change(total.sold.money, before.sold.money),
            ),
            Kpi(
                title="Units",
                value=_units(total.sold.quantity),
                detail=f"{_units(before.sold.quantity)} before",
                **percent_change(total.sold.quantity, before.sold.quantity),
            ),
            Kpi(
                title="Came back",
                value=_percent(rate),
                detail=f"of the units; {_percent(rate_before)} before",
                **point_change(rate, rate_before, better_when_lower=True),
            ),
            Kpi(
                title="Different products",
                value=count(total.articles),
                detail=f"sold in these {self.choice.days} days; {count(before.articles)} before",
                **percent_change(total.articles, before.articles, neutral=True),
            ),
        ]

    def row(self, each: Figures, ranking: Ranking) -> dict[str, Any]:
        before = each.before or Sold()
        share = each.sold.money / ranking.total.sold.money if ranking.total.sold.money else 0
        most = ranking.top[REVENUE][0].sold.money
        return {
            "name": each.name or each.article.sku,
            "sku": each.article.sku,
            "url": self.buyers(each.article),
            "revenue": money(revenue(each.sold), self.currency),
            "revenue_change": self._change(each.sold.money, before.money, ranking),
            "units": _units(each.sold.quantity),
            "units_change": self._change(each.sold.quantity, before.quantity, ranking),
            "return_rate": _percent(_return_rate(each.sold)),
            "share": f"{100 * share:.1f}%",
            # Of the one with the most.
            "bar": round(100 * each.sold.money / most) if most > 0 else 0,
        }

    def _change(self, now: int, before: int, ranking: Ranking) -> dict[str, Any]:
        """Where nothing at all was sold before, nothing is new either."""
        is_new = not before and ranking.before is not None and ranking.before.articles > 0
        return {**percent_change(now, before), "is_new": is_new}

    def pair(self, pair: Pair, found: Products) -> dict[str, Any]:
        """In the direction that says more: of those who take the rarer one, many take the other."""
        lead, other, with_lead = pair.first, pair.second, pair.with_first
        if pair.confidence_back > pair.confidence:
            lead, other, with_lead = pair.second, pair.first, pair.with_second
        return {
            "lead": self._product(lead, found),
            "other": self._product(other, found),
            "told": f"{count(pair.with_both)} of {counted(with_lead, 'purchase')} with the first had the second too",
            "confidence": f"{100 * pair.with_both / with_lead:.0f}%",
            "lift": f"{pair.lift:,.1f}×" if pair.lift < 100 else f"{pair.lift:,.0f}×",
            "support": _small_percent(pair.support),
        }

    def buyers(self, article: Article) -> str:
        if article.is_category:
            named = {"category": article.label}
        else:
            named = {"sku": article.sku} if article.sku else {"name": article.label}
        return f"{reverse('product_buyers_page')}?{self.choice.query(**named)}"

    def _product(self, key: Product, found: Products) -> dict[str, str]:
        sku, label = key
        return {"name": found.names.get(key) or label or sku, "url": self.buyers(Article(False, sku, label))}


@analytics_page("Customers", "people")
def product_buyers_page(request: HttpRequest, merchant: Merchant) -> Shown:
    """Who bought the product of the address, by `sku` or by `name`, or of a `category`."""
    article = _article(request)
    choice = read_choice(request, merchant)
    told: dict[str, str] = {}

    def read(offset: int, limit: int) -> People:
        found = product_buyers(
            merchant_id=merchant.pk,
            period=choice.period,
            article=article,
            store_id=choice.store_id,
            offset=offset,
            limit=limit,
        )
        where = f" at {choice.store.name}" if choice.store is not None else ""
        days = span(found.looked_into.first, found.looked_into.last)
        cut = "" if found.looked_into == choice.period else " Days before that are too many to look into."
        told.update(title=found.name, told=f"Bought {found.name} {days}{where}.{cut}")
        return People(
            found.total,
            [
                Person(
                    row.customer,
                    (
                        quantity(row.quantity),
                        money(row.spent, merchant.currency),
                        count(row.purchases),
                        day(row.last_day),
                    ),
                    (row.quantity.normalize(), row.spent, row.purchases, row.last_day),
                )
                for row in found.rows
            ],
        )

    shown = people_shown(
        request,
        merchant,
        columns=COLUMNS,
        read=read,
        file_name=f"product-customers-{choice.period.first}-{choice.period.last}",
    )
    return (
        shown | told | {"note": f"Who spent most on it comes first. {NOTE}"}
        if isinstance(shown, dict)
        else shown
    )


def _article(request: HttpRequest) -> Article:
    """Raises Http404 for an address that names none, or more than one."""
    named = {key: request.GET[key] for key in ("sku", "name", "category") if request.GET.get(key)}
    if len(named) != 1:
        raise Http404
    ((key, text),) = named.items()
    if len(text) > ADDRESS_CHARS_MAX:
        raise Http404
    if key == "sku":
        return Article(False, text, "")
    return Article(key == "category", "", text)


def _return_rate(sold: Sold) -> float | None:
    return sold.returned / sold.quantity if sold.quantity else None


def _units(thousandths: int) -> str:
    """Pieces or kilograms, to whole ones from a hundred on."""
    units = Decimal(thousandths) / QUANTITY_UNIT
    return quantity(units.quantize(Decimal(1)) if units >= 100 else units)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def _small_percent(share: float) -> str:
    return f"{100 * share:.1f}%" if share >= 0.01 else f"{100 * share:.2f}%"
