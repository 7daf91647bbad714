"""The statements that find a page of customers, one method each; `customers.listing` says which is when the best.

How fast, and why each stands as it does: ADR 0004.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg.types.numeric import Int8

from customers import list_memory
from customers.counting import count_customers, counted_sql
from customers.search import HEAD_CHARS, WORD, WordStart
from customers.shapes import select_with_sort

CANDIDATES_MAX = 10_000
# Of a search: its rows lie all over the table, and reading more of them takes longer than walking to the next twenty.
SEARCH_CANDIDATES_MAX = 2_000
# Of the start of one word: walking to the next twenty is as good as free, collecting more is not.
WORD_CANDIDATES_MAX = 100
# How far a walk of a search goes before it gives up: rows that match may all be at the other end of the order.
WALKED_MAX = 20_000
# How many times further than matches spread evenly would need a walk for a tier, segment, status or type goes.
WALKED_FACTOR = 4
# Collecting what matches in a merchant as large as this takes long enough to ask a sample first.
SAMPLED_FROM = 20_000
SAMPLE_ROWS = 300
# How far beyond the bound's share the sample must be, in standard deviations of chance.
SURELY = 6

# As the index customer_words_head_idx has it.
WORD_HEAD = f"LEFT(lexeme, STRPOS(lexeme, ':') + {HEAD_CHARS + len(WORD)})"
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


class Plan:
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
        *,
        word: WordStart | None = None,
        gathers: bool = False,
    ) -> None:
        """`where`: what narrows the merchant's visible customers beside the search, " AND ..." or nothing.

        `word` is the search once more, when it is for one word and its index knows the order. `gathers`: it is
        dear to collect what fulfils the conditions.
        """
        self.merchant_id = merchant_id
        self.tsquery = tsquery
        self.word = word
        self.gathers = gathers or tsquery is not None
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
        if word is not None:
            self.most = WORD_CANDIDATES_MAX
        self.counted = "counted AS (SELECT 0 AS total)"
        self.counted_params: list[Any] = []
        self._fingerprint = hash((self.where, str(self.params), tsquery))

    @property
    def walks_words(self) -> bool:
        """Whether the index of words leads to the page, however many match."""
        return self.word is not None and self.word.head is not None

    def count_by(self, among: Mapping[str, Any]) -> None:
        """Let the counters say the total."""
        sql, self.counted_params = counted_sql(merchant_id=self.merchant_id, among=among)
        self.counted = f"counted AS MATERIALIZED ({sql})"

    def recall(self, what: str) -> Any:
        """What was found out of these conditions, whatever the page and the order."""
        return list_memory.recall(what, self._fingerprint)

    def remember(self, what: str, value: Any) -> None:
        list_memory.remember(what, self._fingerprint, value)

    # --- Statements ----------------------------------------------------------------------------------------------

    def is_sure_to_be_frequent(self) -> bool:
        """Whether far more than `most` match, among the many of a large merchant.

        The search index collects all of them before the first is seen, and distances are dear to measure. Customer
        numbers are random: those with the lowest are a sample that is spread evenly over the merchant, the same each time
        and so always in memory.
        """
        if not self.gathers:
            return False
        size = list_memory.recall_size(self.merchant_id)
        if size is None:
            _, size = count_customers(merchant_id=self.merchant_id, among={})
            list_memory.remember_size(self.merchant_id, size)
        if size < SAMPLED_FROM:
            return False
        searched = "" if self.tsquery is None else ' AND "customers"."search" @@ %s::tsquery'
        ((matching,),) = _run(
            f'SELECT count(*) FROM (SELECT "customers".* FROM "customers" WHERE {_EVERYBODY} '  # noqa: S608
            f'ORDER BY "customers"."customer_number" LIMIT {SAMPLE_ROWS}) AS "customers" WHERE {self.where}{searched}',
            [self.merchant_id, *self.params, *([] if self.tsquery is None else [self.tsquery])],
        )
        bound = self.most * SAMPLE_ROWS / size
        return bool(matching > bound + SURELY * bound**0.5)

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
        the page is walked to as `walk_words` does, or, of fewer letters than it needs, one row comes back, to say so.
        """
        assert self.word is not None
        beyond, beyond_params = self._beyond("k", "id", " WHERE ")
        words_max = self.most + self.most // 4
        frequent = f"(SELECT total FROM counted) > {self.most}"  # noqa: S608
        few, more = self.wanted.limit + 1, 0 if self.word.head else 1
        window = self.window.replace(f"LIMIT {few}", f"LIMIT CASE WHEN {frequent} THEN {more} ELSE {few} END")
        ids = f"SELECT id FROM hit{beyond} ORDER BY {self.order_of_hits} {window}"  # noqa: S608
        params = [*beyond_params, *self.window_params]
        if self.word.head:
            walked, walked_params = self._walked_words()
            # Without a column in it, the condition is looked at before anything is read.
            ids = f"({ids}) UNION ALL (SELECT id FROM ({walked}) AS walked WHERE {frequent})"  # noqa: S608
            params += walked_params
        return self._page(
            ids,
            params,
            counted="hit AS MATERIALIZED (SELECT k, id, count(*)::int AS words FROM ("  # noqa: S608
            "SELECT created_at AS k, customer_id AS id FROM customer_words "
            f"WHERE lexeme >= (SELECT %s) AND lexeme < (SELECT %s) LIMIT {words_max + 1}) AS word GROUP BY k, id), "
            "counted AS MATERIALIZED (SELECT "
            f"CASE WHEN sum(words) > {words_max} THEN {self.most + 1} ELSE count(*) END AS total FROM hit)",
            counted_params=self.word[:2],
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
        # In a sub-select the planner cannot look at the merchant either, and plans once for all.
        where = self.where.replace("= %s", "= (SELECT %s::uuid)") if self.everybody else self.where
        found = f"WHERE {where}{beyond} ORDER BY {self.order} {self.window}"
        params = [*self.params, *beyond_params, *self.window_params]
        if self.wanted.offset == 0:
            # Nobody is stepped over: the walk itself reads the rows.
            return self._rows(found, params, prepared=self.everybody)
        ids = f'SELECT "customers"."id" FROM "customers" {found}'  # noqa: S608
        return self._page(ids, params, prepared=self.everybody)

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

    def walk_words(self) -> list[Any]:
        """`walk_searching`, in the index of words: those with the same first letters, by the time of their creation."""
        ids, params = self._walked_words()
        rows = self._page(ids, params, prepared=True)
        return rows if len(rows) > self.wanted.limit else self.sort_all()

    def _walked_words(self) -> tuple[str, list[Any]]:
        """(SELECT of the page's ids, its parameters)."""
        assert self.word is not None
        direction = "DESC" if self.wanted.descending else "ASC"
        beyond, beyond_params = self._beyond("created_at", "customer_id", " AND ")
        return (
            "SELECT id FROM (SELECT DISTINCT k, id FROM (SELECT lexeme, created_at AS k, customer_id AS id "  # noqa: S608
            f"FROM customer_words WHERE {WORD_HEAD} = (SELECT %s){beyond} "
            f"ORDER BY created_at {direction}, customer_id {direction} LIMIT {WALKED_MAX}) AS walked "
            f"WHERE lexeme >= (SELECT %s) AND lexeme < (SELECT %s) ORDER BY {self.order_of_hits} {self.window}) AS hit",
            [self.word.head, *beyond_params, *self.word[:2], *self.window_params],
        )

    def sort_all(self) -> list[Any]:
        """By sorting everything that matches."""
        beyond, beyond_params = self._beyond(self.sort.sql, '"customers"."id"', " AND ")
        # OFFSET 0 keeps the order out of the inner plan, which would walk past everybody.
        return self._page(
            f'SELECT id FROM (SELECT "customers"."id", {self.sort.sql} AS k FROM {self._matches} '  # noqa: S608
            f"WHERE {self.where}{beyond} OFFSET 0) AS hit ORDER BY {self.order_of_hits} {self.window}",
            [*self._hit_params, *beyond_params, *self.window_params],
        )

    def _page(
        self,
        ids_sql: str,
        params: Sequence[Any],
        *,
        counted: str = "",
        counted_params: Sequence[Any] = (),
        prepared: bool = False,
    ) -> list[Any]:
        found = f'WHERE "customers"."merchant_id" = %s AND "customers"."id" = ANY(ARRAY({ids_sql})) ORDER BY {self.order}'
        return self._rows(
            found,
            [self.merchant_id, *params],
            counted=counted,
            counted_params=counted_params,
            prepared=prepared,
        )

    def _rows(
        self,
        found: str,
        params: Sequence[Any],
        *,
        counted: str = "",
        counted_params: Sequence[Any] = (),
        prepared: bool = False,
    ) -> list[Any]:
        if not counted:
            counted, counted_params = self.counted, self.counted_params
        select = select_with_sort(f"({self.sort.sql})::text, (SELECT total FROM counted)")  # noqa: S608
        return _run(f"WITH {counted} {select} {found}", [*counted_params, *params], prepared=prepared)

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
