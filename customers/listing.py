"""One page of customers and its total, in one statement as a rule, however many customers there are.

Three plans; why and how fast: ADR 0004.

- What the counters know (no filter, or status, type, segment and tier alone): the total is their sum, and the page is
  read from the sort order's index.
- Few rows match: all of them, at most CANDIDATES_MAX (or SEARCH_CANDIDATES_MAX), are counted, sorted and paged.
- Of a search for the start of one word, in order of creation, the same from `customer_words`, without reading customers; the
  page of a frequent one as well.
- More rows match: the total is said to be that bound and not exact, and the page is found by walking the sort order's
  index: where many match, the next twenty are near.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet

from cloudpos.api.errors import BadRequest
from cloudpos.tenancy.access import Access
from customers.counting import count_customers
from customers.list_plans import Plan
from customers.models import Customer
from customers.shapes import CUSTOMER

if TYPE_CHECKING:
    from customers.filters import CustomerFilters

# How many rows a page by number may be away from the nearer end: every one between is an entry of an index to step over.
PAGE_ROWS_AWAY_MAX = 25_000


@dataclass(slots=True)
class Listing:
    rows: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    exact: bool = True
    # Of the last row, when there is another one after it.
    next_cursor: list[str] | None = None


def list_customers(*, access: Access, filters: "CustomerFilters") -> Listing:
    """The page of the merchant's visible customers that the caller asks for, and how many there are."""
    merchant_id, wanted = access.merchant_id, filters.wanted
    if filters.counted_only:
        among = filters.values
        where = "".join(f' AND "customers"."{key}" = ANY(%s)' for key in among)
        return _list_counted(Plan(merchant_id, where, list(among.values()), None, wanted), among)
    word = filters.word_start(access.search_key)
    tsquery = word.tsquery if word else filters.tsquery(access.search_key)
    if tsquery == "":
        return Listing()
    conditions = conditions_of(filters.conditions(merchant_id))
    return _list_candidates(
        Plan(merchant_id, *conditions, tsquery, wanted, word=word, gathers=filters.gathers)
    )


def _list_counted(plan: Plan, among: Mapping[str, Any]) -> Listing:
    """The total is what the counters say in the statement of the page; what they said before only chooses the plan."""
    wanted = plan.wanted
    plan.count_by(among)
    if plan.everybody and wanted.offset == 0:
        rows = plan.walk()
    else:
        remembered = plan.recall("counts")
        total, everybody = remembered or count_customers(merchant_id=plan.merchant_id, among=among)
        if remembered is None:
            if wanted.offset >= total:
                return Listing(total=total)
            plan.remember("counts", (total, everybody))
        if min(wanted.offset, total - wanted.offset) > PAGE_ROWS_AWAY_MAX:
            raise BadRequest(
                f"Pages by number reach {PAGE_ROWS_AWAY_MAX:,} customers from either end of the list; "
                "nextCursor of each page leads on to all.",
                field="page",
                code="page_too_deep",
            )
        if plan.everybody:
            rows = plan.walk_back() if wanted.offset > total // 2 else plan.walk()
        else:
            rows = plan.walk_or_sort(total, everybody)
    if rows or not wanted.is_further:
        return _page(plan, rows)
    total, _ = count_customers(merchant_id=plan.merchant_id, among=among)
    return Listing(total=total)


def _list_candidates(plan: Plan) -> Listing:
    frequent = plan.recall("frequent")
    if frequent is None and not plan.word:
        frequent = plan.is_sure_to_be_frequent()
        plan.remember("frequent", frequent)
    rows: list[Any] = []
    if not frequent:
        rows = plan.candidates_by_word() if plan.word else plan.candidates()
        total = rows[0][-1] if rows else plan.count_candidates() if plan.wanted.is_further else 0
        if total <= plan.most:
            return _page(plan, rows) if rows else Listing(total=total)
        plan.remember("frequent", True)
    if plan.wanted.offset >= plan.most:
        # Beyond the last page that the total speaks of; a cursor goes on.
        return Listing(total=plan.most, exact=False)
    if not plan.walks_words:
        rows = plan.walk_searching() if plan.tsquery else plan.walk()
    elif len(rows) <= plan.wanted.limit:
        # Not found out just now, in the same statement.
        rows = plan.walk_words()
    listing = _page(plan, rows)
    listing.total, listing.exact = plan.most, False
    return listing


def _page(plan: Plan, rows: Sequence[Sequence[Any]]) -> Listing:
    """The listing of up to limit + 1 rows of a plan."""
    limit = plan.wanted.limit
    total = int(rows[0][-1]) if rows else 0
    following = [rows[limit - 1][-2], str(rows[limit - 1][0])] if len(rows) > limit else None
    return Listing(CUSTOMER.render(rows[:limit]), total, next_cursor=following)


def conditions_of(queryset: QuerySet[Customer] | None) -> tuple[str, list[Any]]:
    """The conditions of a queryset on customers alone as " AND ...", and their parameters."""
    if queryset is None:
        return "", []
    sql, params = queryset.order_by().values("pk").query.sql_with_params()
    head, _, where = sql.partition(" WHERE ")
    assert head.endswith('FROM "customers"'), head
    return f" AND {where}", list(params)
