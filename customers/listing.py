"""One page of customers and its total, in two statements whatever the filters and however many customers there are.

Three plans; why and how fast: ADR 0004.

- What the counters know (no filter, or status, type, segment and tier alone): the total is their sum, and the page is
  read from the sort order's index.
- Few rows match: all of them, at most CANDIDATES_MAX (or SEARCH_CANDIDATES_MAX), are counted, sorted and paged in one
  statement.
- More rows match: the total is said to be that bound and not exact, and the page is found by walking the sort order's
  index: where many match, the next twenty are near.
"""

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache
from django.db import connection
from django.db.models import QuerySet

from cloudpos.tenancy.access import Access
from customers.counting import count_customers
from customers.models import Customer
from customers.shapes import customers_json, select_with_sort, with_sort_values

if TYPE_CHECKING:
    from customers.filters import CustomerFilters

CANDIDATES_MAX = 10_000
# Of a search: its rows lie all over the table, and reading more of them takes longer than walking to the next twenty.
SEARCH_CANDIDATES_MAX = 2_000
# How far a walk goes before it gives up: rows that match may all be at the other end of the order.
WALKED_MAX = 20_000


# Conditions under which more than the bound matched a moment ago: they are not counted again at every keystroke.
FREQUENT_SECONDS = 300
_frequent: TTLCache[int, bool] = TTLCache(maxsize=10_000, ttl=FREQUENT_SECONDS)
_lock = threading.Lock()


_EVERYBODY = '"customers"."merchant_id" = %s AND "customers"."deleted_at" IS NULL'


@dataclass(frozen=True, slots=True)
class Sort:
    """One order of the list: the SQL that an index is on, and its type for cursors."""

    sql: str
    type: str


SORTS: Mapping[str, Sort] = {
    "createdAt": Sort('"customers"."created_at"', "timestamptz"),
    "name": Sort('"customers"."sort_name"', "text"),
    "email": Sort('"customers"."email_key"', "text"),
    # Who never came is further back than anyone.
    "lastVisitAt": Sort('COALESCE("customers"."last_visit_at", \'-infinity\'::timestamptz)', "timestamptz"),
    "totalSpent": Sort('"customers"."total_spent"', "numeric"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for. `cursor` is [sort value as text, id] of the last row seen, instead of an offset."""

    sort_by: str
    descending: bool
    offset: int
    limit: int
    cursor: Sequence[str] | None = None


@dataclass(slots=True)
class Listing:
    rows: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    exact: bool = True
    # Of the last row, when there is another one after it.
    next_cursor: list[str] | None = None


def list_customers(*, access: Access, filters: "CustomerFilters") -> Listing:
    """The page of the merchant's visible customers that the caller asks for, and how many there are."""
    tsquery = filters.tsquery(access.search_key)
    if tsquery == "":
        return Listing()
    wanted = filters.wanted
    plan = _Plan(access.merchant_id, filters.conditions(access.merchant_id), tsquery, wanted)
    if filters.counted_only:
        total, everybody = count_customers(merchant_id=access.merchant_id, among=filters.values)
        if wanted.offset >= total:
            return Listing(total=total)
        to_walk = (wanted.offset + wanted.limit + 1) * everybody / total
        rare = total < everybody and total <= CANDIDATES_MAX and total < to_walk
        return plan.page(plan.sort_all() if rare else plan.walk(), total=total)
    with _lock:
        frequent = plan.fingerprint in _frequent
    if not frequent:
        total, ids = plan.candidates()
        if ids is not None:
            rows = customers_json(merchant_id=access.merchant_id, ids=ids, sort_sql=plan.sort_text)
            return plan.page(rows, total=total)
        with _lock:
            _frequent[plan.fingerprint] = True
    if wanted.offset >= plan.most:
        # Beyond the last page that the total speaks of; a cursor goes on.
        return Listing(total=plan.most, exact=False)
    return plan.page(plan.walk(), total=plan.most, exact=False)


class _Plan:
    """The SQL of one request. Table and columns are called as the ORM calls them, so that its conditions fit."""

    def __init__(
        self,
        merchant_id: uuid.UUID,
        conditions: QuerySet[Customer] | None,
        tsquery: str | None,
        wanted: Wanted,
    ) -> None:
        """`conditions`: the visible customers under all plain conditions, None without any."""
        self.merchant_id = merchant_id
        self.tsquery = tsquery
        self.wanted = wanted
        self.sort = SORTS[wanted.sort_by]
        self.sort_text = f"({self.sort.sql})::text"
        direction = "DESC" if wanted.descending else "ASC"
        self.order = f'{self.sort.sql} {direction}, "customers"."id" {direction}'
        self.order_of_hits = f"k {direction}, id {direction}"
        self.window = f"LIMIT {wanted.limit + 1} OFFSET {wanted.offset}"
        self.everybody = conditions is None
        self.where, self.params = _EVERYBODY, [merchant_id]
        if conditions is not None:
            self.where, self.params = _where(conditions)
        # Who matches the search. OFFSET 0 leaves the search index alone with it: PostgreSQL would also read the whole
        # merchant from another index to intersect the two, 400,000 entries to find 3 customers.
        self.matches = '"customers"'
        self.matches_params: list[Any] = []
        if tsquery is not None:
            self.matches = '(SELECT * FROM "customers" WHERE "customers"."search" @@ %s::tsquery OFFSET 0) AS "customers"'
            self.matches_params = [tsquery]
        self.most = CANDIDATES_MAX if tsquery is None else SEARCH_CANDIDATES_MAX

    @property
    def fingerprint(self) -> int:
        """Of the conditions, without page and order."""
        return hash((self.where, str(self.params), self.tsquery))

    def candidates(self) -> tuple[int, list[uuid.UUID] | None]:
        """(how many match, the page's ids and one more), the ids None when more than `most` match."""
        beyond, beyond_params = self._beyond("k", "id", " WHERE ")
        sql = (
            f'WITH hit AS MATERIALIZED (SELECT "customers"."id", {self.sort.sql} AS k FROM {self.matches} '  # noqa: S608
            f"WHERE {self.where} LIMIT {self.most + 1}) "
            f"SELECT n, CASE WHEN n <= {self.most} THEN ARRAY(SELECT id FROM hit{beyond} "
            f"ORDER BY {self.order_of_hits} {self.window}) END FROM (SELECT count(*) AS n FROM hit) AS counted"
        )
        params = [*self.matches_params, *self.params, *beyond_params]
        ((total, ids),) = _run(sql, params)
        return total, ids

    def walk(self) -> list[tuple[dict[str, Any], Any]]:
        """The page's rows and one more, by walking the sort order's index."""
        beyond, beyond_params = self._beyond(self.sort.sql, '"customers"."id"', " AND ")
        if self.tsquery is None:
            return self._rows(
                f'SELECT "customers"."id" FROM "customers" WHERE {self.where}{beyond} '  # noqa: S608
                f"ORDER BY {self.order} {self.window}",
                [*self.params, *beyond_params],
                prepared=self.everybody,
            )
        # The inner LIMIT keeps the search condition out: PostgreSQL must not read all matches to sort them.
        rows = self._rows(
            f'SELECT id FROM (SELECT "customers"."id", "customers"."search", {self.sort.sql} AS k '  # noqa: S608
            f'FROM "customers" WHERE {self.where}{beyond} ORDER BY {self.order} LIMIT {WALKED_MAX}) AS walked '
            f"WHERE walked.search @@ %s::tsquery ORDER BY {self.order_of_hits} {self.window}",
            [*self.params, *beyond_params, self.tsquery],
        )
        return rows if len(rows) > self.wanted.limit else self.sort_all()

    def sort_all(self) -> list[tuple[dict[str, Any], Any]]:
        """The page's rows and one more, by sorting everything that matches."""
        beyond, beyond_params = self._beyond(self.sort.sql, '"customers"."id"', " AND ")
        # OFFSET 0 keeps the order out of the inner plan, which would walk past everybody.
        return self._rows(
            f'SELECT id FROM (SELECT "customers"."id", {self.sort.sql} AS k FROM {self.matches} '  # noqa: S608
            f"WHERE {self.where}{beyond} OFFSET 0) AS hit ORDER BY {self.order_of_hits} {self.window}",
            [*self.matches_params, *self.params, *beyond_params],
        )

    def page(self, rows: Sequence[tuple[dict[str, Any], Any]], *, total: int, exact: bool = True) -> Listing:
        """The listing of up to limit + 1 rows."""
        shown = [row for row, _ in rows[: self.wanted.limit]]
        following = None
        if len(rows) > self.wanted.limit:
            last, sort_value = rows[self.wanted.limit - 1]
            following = [sort_value, str(last["id"])]
        return Listing(shown, total, exact, following)

    def _rows(
        self, ids_sql: str, params: Sequence[Any], *, prepared: bool = False
    ) -> list[tuple[dict[str, Any], Any]]:
        sql = (
            f'{select_with_sort(self.sort_text)} WHERE "customers"."merchant_id" = %s '
            f'AND "customers"."id" = ANY(ARRAY({ids_sql})) ORDER BY {self.order}'
        )
        return with_sort_values(_run(sql, [self.merchant_id, *params], prepared=prepared))

    def _beyond(self, sort_sql: str, id_sql: str, joint: str) -> tuple[str, list[str]]:
        """The condition of a cursor: strictly after its row in this order."""
        if self.wanted.cursor is None:
            return "", []
        comparison = "<" if self.wanted.descending else ">"
        return f"{joint}({sort_sql}, {id_sql}) {comparison} (%s::{self.sort.type}, %s::uuid)", list(
            self.wanted.cursor
        )


def _run(sql: str, params: Sequence[Any], *, prepared: bool = False) -> list[Any]:
    """The rows of a statement whose best plan depends on its values, unless it may be `prepared`.

    The values are written into the text: a prepared statement would soon get a plan for any values, which reads all
    of a large merchant for a word that three customers have.
    """
    with connection.cursor() as cursor:
        if prepared:
            cursor.execute(sql, params)
        else:
            cursor.execute(connection.ops.compose_sql(sql, params))  # type: ignore[attr-defined]
        rows: list[Any] = cursor.fetchall()
    return rows


def _where(queryset: QuerySet[Customer]) -> tuple[str, list[Any]]:
    """The WHERE clause of a queryset on customers alone, and its parameters."""
    sql, params = queryset.order_by().values("pk").query.sql_with_params()
    head, _, where = sql.partition(" WHERE ")
    assert head.endswith('FROM "customers"'), head
    return where, list(params)
