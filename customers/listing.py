"""One page of customers and its total, in one statement as a rule, however many customers there are.

Three plans; why and how fast: ADR 0004.

- What the counters know (no filter, or status, type, segment and tier alone): the total is their sum, and the page is
  read from the sort order's index.
- Few rows match: all of them, at most CANDIDATES_MAX (or SEARCH_CANDIDATES_MAX), are counted, sorted and paged.
- Of a search for the start of one word, in order of creation, the same from `customer_words`, without reading customers.
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
from psycopg.types.numeric import Int8

from cloudpos.api.errors import BadRequest
from cloudpos.tenancy.access import Access
from customers.counting import count_customers, counted_sql
from customers.models import Customer
from customers.shapes import CUSTOMER, select_with_sort

if TYPE_CHECKING:
    from customers.filters import CustomerFilters

CANDIDATES_MAX = 10_000
# Of a search: its rows lie all over the table, and reading more of them takes longer than walking to the next twenty.
SEARCH_CANDIDATES_MAX = 2_000
# How far a walk of a search goes before it gives up: rows that match may all be at the other end of the order.
WALKED_MAX = 20_000
# How many times further than matches spread evenly would need a walk for a tier, segment, status or type goes.
WALKED_FACTOR = 4
# How many rows a page by number may be away from the nearer end: every one between is an entry of an index to step over.
PAGE_ROWS_AWAY_MAX = 25_000
# Collecting what matches in a merchant as large as this takes long enough to ask a sample first.
SAMPLED_FROM = 100_000
SAMPLE_ROWS = 300
# How many times the bound the sample must promise: chance does not make so many out of fewer.
SURELY = 5

# What was found out a moment ago, by hash of the conditions: that more than the bound match, which is not counted again at
# every keystroke, or how many there are about.
REMEMBERED_SECONDS = 300
_remembered: TTLCache[tuple[str, int], Any] = TTLCache(maxsize=10_000, ttl=REMEMBERED_SECONDS)
_sizes: TTLCache[uuid.UUID, int] = TTLCache(maxsize=10_000, ttl=REMEMBERED_SECONDS)
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

    @property
    def is_further(self) -> bool:
        """Whether rows may come before the page."""
        return self.offset > 0 or self.cursor is not None


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
    merchant_id, wanted = access.merchant_id, filters.wanted
    if filters.counted_only:
        among = filters.values
        where = "".join(f' AND "customers"."{key}" = ANY(%s)' for key in among)
        return _list_counted(_Plan(merchant_id, where, list(among.values()), None, wanted), among)
    plan = _Plan(merchant_id, *_where(filters.conditions(merchant_id)), tsquery, wanted)
    plan.word_range = filters.word_range(access.search_key)
    return _list_candidates(plan)


def _list_counted(plan: "_Plan", among: Mapping[str, Any]) -> Listing:
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
        return plan.page(rows)
    total, _ = count_customers(merchant_id=plan.merchant_id, among=among)
    return Listing(total=total)


def _list_candidates(plan: "_Plan") -> Listing:
    frequent = plan.recall("frequent")
    if frequent is None and not plan.word_range:
        frequent = plan.is_sure_to_be_frequent()
        plan.remember("frequent", frequent)
    if not frequent:
        rows = plan.candidates_by_word() if plan.word_range else plan.candidates()
        total = rows[0][-1] if rows else plan.count_candidates() if plan.wanted.is_further else 0
        if total <= plan.most:
            return plan.page(rows) if rows else Listing(total=total)
        plan.remember("frequent", True)
    if plan.wanted.offset >= plan.most:
        # Beyond the last page that the total speaks of; a cursor goes on.
        return Listing(total=plan.most, exact=False)
    listing = plan.page(plan.walk_searching() if plan.tsquery else plan.walk())
    listing.total, listing.exact = plan.most, False
    return listing


class _Plan:
    """The SQL of one request. Table and columns are called as the ORM calls them, so that its conditions fit.

    What reads a page returns its rows and one more: the columns of CUSTOMER, the sort value as text, the total.
    """

    def __init__(
        self,
        merchant_id: uuid.UUID,
        where: str,
        params: Sequence[Any],
        tsquery: str | None,
        wanted: Wanted,
    ) -> None:
        """`where`: what narrows the merchant's visible customers beside the search, " AND ..." or nothing."""
        self.merchant_id = merchant_id
        self.tsquery = tsquery
        self.word_range: tuple[str, str] | None = None
        self.wanted = wanted
        self.sort = SORTS[wanted.sort_by]
        direction, self.against = ("DESC", "ASC") if wanted.descending else ("ASC", "DESC")
        self.order = f'{self.sort.sql} {direction}, "customers"."id" {direction}'
        self.order_of_hits = f"k {direction}, id {direction}"
        # The limit is written into the text: no plan for any limit knows that it is small.
        self.window, self.window_params = f"LIMIT {wanted.limit + 1}", []
        if wanted.offset:
            self.window += " OFFSET %s"
            self.window_params = [Int8(wanted.offset)]
        self.everybody = not where
        self.where, self.params = _EVERYBODY + where, [merchant_id, *params]
        self.most = CANDIDATES_MAX if tsquery is None else SEARCH_CANDIDATES_MAX
        self.counted = "counted AS (SELECT 0 AS total)"
        self.counted_params: list[Any] = []
        self._fingerprint = hash((self.where, str(self.params), tsquery))

    def count_by(self, among: Mapping[str, Any]) -> None:
        """Let the counters say the total."""
        sql, self.counted_params = counted_sql(merchant_id=self.merchant_id, among=among)
        self.counted = f"counted AS MATERIALIZED ({sql})"

    # --- What is remembered of these conditions, without page and order ------------------------------------------

    def recall(self, what: str) -> Any:
        with _lock:
            return _remembered.get((what, self._fingerprint))

    def remember(self, what: str, value: Any) -> None:
        with _lock:
            _remembered[what, self._fingerprint] = value

    # --- Statements ----------------------------------------------------------------------------------------------

    def is_sure_to_be_frequent(self) -> bool:
        """Whether far more than `most` match a search of a large merchant.

        The search index would collect all of them before the first is seen. Customer numbers are random: those with the
        lowest are a sample that is spread evenly over the merchant, the same each time and so always in memory.
        """
        if self.tsquery is None:
            return False
        size = _sizes.get(self.merchant_id)
        if size is None:
            _, size = count_customers(merchant_id=self.merchant_id, among={})
            with _lock:
                _sizes[self.merchant_id] = size
        if size < SAMPLED_FROM:
            return False
        ((matching,),) = _run(
            f'SELECT count(*) FROM (SELECT "customers".* FROM "customers" WHERE {_EVERYBODY} '  # noqa: S608
            f'ORDER BY "customers"."customer_number" LIMIT {SAMPLE_ROWS}) AS "customers" '
            f'WHERE {self.where} AND "customers"."search" @@ %s::tsquery',
            [self.merchant_id, *self.params, self.tsquery],
        )
        return bool(matching * size >= SURELY * self.most * SAMPLE_ROWS)

    def candidates(self) -> list[Any]:
        """The page among the first `most` + 1 that match, and how many these are."""
        beyond, beyond_params = self._beyond("k", "id", " WHERE ")
        return self._page(
            f"SELECT id FROM hit{beyond} ORDER BY {self.order_of_hits} {self.window}",  # noqa: S608
            [*beyond_params, *self.window_params],
            counted=f"{self._hit}, counted AS MATERIALIZED (SELECT count(*) AS total FROM hit)",  # noqa: S608
            counted_params=self._hit_params,
            prepared=self.everybody,
        )

    def candidates_by_word(self) -> list[Any]:
        """`candidates`, from the index of words alone: it knows when somebody was created, and ends at its limit.

        A quarter more words than customers are read: "an" is the start of two of Ann Anderson's. Where there are yet more,
        one row comes back, to say so.
        """
        assert self.word_range is not None
        beyond, beyond_params = self._beyond("k", "id", " WHERE ")
        words_max = self.most + self.most // 4
        one_or_all = f"LIMIT CASE WHEN (SELECT total FROM counted) > {self.most} THEN 1 ELSE "  # noqa: S608
        window = self.window.replace(
            f"LIMIT {self.wanted.limit + 1}", f"{one_or_all}{self.wanted.limit + 1} END"
        )
        return self._page(
            f"SELECT id FROM hit{beyond} ORDER BY {self.order_of_hits} {window}",  # noqa: S608
            [*beyond_params, *self.window_params],
            counted="word AS MATERIALIZED (SELECT created_at AS k, customer_id AS id FROM customer_words "  # noqa: S608
            f"WHERE lexeme >= (SELECT %s) AND lexeme < (SELECT %s) LIMIT {words_max + 1}), "
            "hit AS MATERIALIZED (SELECT DISTINCT k, id FROM word), counted AS MATERIALIZED (SELECT "
            f"CASE WHEN (SELECT count(*) FROM word) > {words_max} THEN {self.most + 1} ELSE count(*) END AS total FROM hit)",
            counted_params=self.word_range,
            prepared=True,
        )

    def count_candidates(self) -> int:
        """How many match, at most one more than `most`."""
        ((total,),) = _run(f"WITH {self._hit} SELECT count(*) FROM hit", self._hit_params)  # noqa: S608
        return int(total)

    @property
    def _hit(self) -> str:
        return (
            f'hit AS MATERIALIZED (SELECT "customers"."id", {self.sort.sql} AS k FROM {self._matches} '  # noqa: S608
            f"WHERE {self.where} LIMIT {self.most + 1})"
        )

    @property
    def _hit_params(self) -> list[Any]:
        return [*([] if self.tsquery is None else [self.tsquery]), *self.params]

    @property
    def _matches(self) -> str:
        """Who matches the search.

        OFFSET 0 leaves the search index alone with it: PostgreSQL would also read the whole merchant from another index to
        intersect the two, 400,000 entries to find 3 customers. The sub-select keeps its value from the planner: it cannot
        be wrong about it, reads no statistics for it, and makes one plan for all.
        """
        if self.tsquery is None:
            return '"customers"'
        return '(SELECT * FROM "customers" WHERE "customers"."search" @@ (SELECT %s::tsquery) OFFSET 0) AS "customers"'

    def walk(self) -> list[Any]:
        """By walking the sort order's index."""
        beyond, beyond_params = self._beyond(self.sort.sql, '"customers"."id"', " AND ")
        return self._page(
            f'SELECT "customers"."id" FROM "customers" WHERE {self.where}{beyond} '  # noqa: S608
            f"ORDER BY {self.order} {self.window}",
            [*self.params, *beyond_params, *self.window_params],
            prepared=self.everybody,
        )

    def walk_back(self) -> list[Any]:
        """`walk` to a page that is nearer to the end, from there."""
        limit = self.wanted.limit
        rest = "(SELECT total FROM counted) - %s"
        return self._page(
            f'SELECT "customers"."id" FROM "customers" WHERE {_EVERYBODY} '  # noqa: S608
            f'ORDER BY {self.sort.sql} {self.against}, "customers"."id" {self.against} '
            f"LIMIT greatest(least({rest}, {limit + 1}), 0) OFFSET greatest({rest} - {limit + 1}, 0)",
            [self.merchant_id, *self.window_params, *self.window_params],
            prepared=True,
        )

    def walk_or_sort(self, total: int, everybody: int) -> list[Any]:
        """The nearer one, of conditions that about so many of all have.

        A walk ends where an even spread would have the page four times over, or where sorting would have been done: those
        of a tier are often the merchant's oldest customers.
        """
        wanted = self.wanted
        to_walk = (wanted.offset + wanted.limit + 1) * everybody / max(total, 1)
        far = f"far {self.order}"
        if total < to_walk or (self.recall(far) and not wanted.is_further):
            return self.sort_all()
        # Of few different texts, so that they are prepared.
        walked = 1 << int(max(WALKED_FACTOR * to_walk, total)).bit_length()
        beyond, beyond_params = self._beyond(self.sort.sql, '"customers"."id"', " AND ")
        rows = self._page(
            f'SELECT id FROM (SELECT "customers"."id", {self.sort.sql} AS k, {_hopeful(self.where)} AS fits '  # noqa: S608
            f'FROM "customers" WHERE {_EVERYBODY}{beyond} ORDER BY {self.order} LIMIT {walked}) AS walked '
            f"WHERE fits ORDER BY {self.order_of_hits} {self.window}",
            [*self.params, self.merchant_id, *beyond_params, *self.window_params],
            prepared=True,
        )
        if len(rows) > wanted.limit:
            return rows
        self.remember(far, True)
        return self.sort_all()

    def walk_searching(self) -> list[Any]:
        """`walk` for a search that many match."""
        beyond, beyond_params = self._beyond(self.sort.sql, '"customers"."id"', " AND ")
        # The inner LIMIT keeps the search condition out: PostgreSQL must not read all matches to sort them.
        rows = self._page(
            f'SELECT id FROM (SELECT "customers"."id", "customers"."search", {self.sort.sql} AS k '  # noqa: S608
            f'FROM "customers" WHERE {self.where}{beyond} ORDER BY {self.order} LIMIT {WALKED_MAX}) AS walked '
            f"WHERE {_hopeful('walked.search @@ (SELECT %s::tsquery)')} ORDER BY {self.order_of_hits} {self.window}",
            [*self.params, *beyond_params, self.tsquery, *self.window_params],
            prepared=self.everybody,
        )
        return rows if len(rows) > self.wanted.limit else self.sort_all()

    def sort_all(self) -> list[Any]:
        """By sorting everything that matches."""
        beyond, beyond_params = self._beyond(self.sort.sql, '"customers"."id"', " AND ")
        # OFFSET 0 keeps the order out of the inner plan, which would walk past everybody.
        return self._page(
            f'SELECT id FROM (SELECT "customers"."id", {self.sort.sql} AS k FROM {self._matches} '  # noqa: S608
            f"WHERE {self.where}{beyond} OFFSET 0) AS hit ORDER BY {self.order_of_hits} {self.window}",
            [*self._hit_params, *beyond_params, *self.window_params],
        )

    def page(self, rows: Sequence[Sequence[Any]]) -> Listing:
        """The listing of up to limit + 1 rows."""
        limit = self.wanted.limit
        total = int(rows[0][-1]) if rows else 0
        following = [rows[limit - 1][-2], str(rows[limit - 1][0])] if len(rows) > limit else None
        return Listing(CUSTOMER.render(rows[:limit]), total, next_cursor=following)

    def _page(
        self,
        ids_sql: str,
        params: Sequence[Any],
        *,
        counted: str = "",
        counted_params: Sequence[Any] = (),
        prepared: bool = False,
    ) -> list[Any]:
        if not counted:
            counted, counted_params = self.counted, self.counted_params
        select = select_with_sort(f"({self.sort.sql})::text, (SELECT total FROM counted)")  # noqa: S608
        sql = (
            f'WITH {counted} {select} WHERE "customers"."merchant_id" = %s '
            f'AND "customers"."id" = ANY(ARRAY({ids_sql})) ORDER BY {self.order}'
        )
        return _run(sql, [*counted_params, self.merchant_id, *params], prepared=prepared)

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

    Otherwise the values are written into the text: a plan for any values would read all of a large merchant for the
    three customers whom a date or an amount leaves.
    """
    with connection.cursor() as cursor:
        if prepared:
            cursor.execute(sql, params)
        else:
            cursor.execute(connection.ops.compose_sql(sql, params))  # type: ignore[attr-defined]
        rows: list[Any] = cursor.fetchall()
    return rows


def _hopeful(condition: str) -> str:
    """The condition, of which the planner believes that every other row fulfils it: it walks, whatever it knows of the values."""
    return f"CASE WHEN {condition} THEN true END"


def _where(queryset: QuerySet[Customer] | None) -> tuple[str, list[Any]]:
    """The conditions of a queryset on customers alone as " AND ...", and their parameters."""
    if queryset is None:
        return "", []
    sql, params = queryset.order_by().values("pk").query.sql_with_params()
    head, _, where = sql.partition(" WHERE ")
    assert head.endswith('FROM "customers"'), head
    return f" AND {where}", list(params)
