"""The figures of any days: sums where they hold, and the purchases themselves on days that have changed since."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection, transaction

from analytics.periods import Period
from analytics.rollups.changes import everything, standing
from analytics.rollups.database import Row, rows, run
from analytics.rollups.members import Buyers, Members, unpack_set
from analytics.rollups.recent import Sets, recent
from analytics.rollups.sales import instants_of
from analytics.rollups.sheets import Sheets, Sums, read_sheets
from analytics.rollups.spans import UNITS, Piece, cover, span
from cloudpos.api.errors import NotFound, Unavailable

# What a request reads itself: about a second. With more to read it waits for the background.
PURCHASES_PER_REQUEST_MAX = 100_000
# So few days are read without counting their purchases first.
DAYS_UNCOUNTED_MAX = 2

NO_SETS: Sets = (0, 0)


class StoreNotFound(NotFound):
    code = "store_not_found"
    message = "There is no such store"


class AnalyticsBeingPrepared(Unavailable):
    code = "analytics_being_prepared"
    message = "The figures are being prepared. Please try again in a minute."


@dataclass(frozen=True, slots=True)
class Day:
    """One day of one scope. `customers` are distinct, of purchases that were not wholly taken back."""

    sums: Sums
    customers: int


@contextmanager
def one_instant() -> Iterator[None]:
    """A transaction whose statements all see the database as of its first one; inside of another transaction, nothing new."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


class Books:
    """A merchant's purchases up to a day, to be read within `one_instant`.

    `as_of` is None when nothing that is on record is missing from the figures, else the instant since which something is.
    """

    def __init__(self, merchant_id: uuid.UUID, *, until: date, without_people: bool = False) -> None:
        """Raises AnalyticsBeingPrepared while there are more purchases to sum up than a request may take the time for."""
        self.merchant_id = merchant_id
        self.standing = standing(merchant_id)
        self.until = until
        self.as_of: datetime | None = None
        self.changed = self._to_read()
        self._live = read_sheets(
            merchant_id=merchant_id,
            # Who asks for goods alone reads those days otherwise.
            ranges=[] if without_people else self.changed,
            zones=self.standing.zones,
            members=self.standing.members,
        )

    def scope(self, store_id: uuid.UUID | None = None) -> Scope:
        """One store, or all of them. Raises StoreNotFound."""
        return Scope(self, self.scope_id(store_id))

    def scope_id(self, store_id: uuid.UUID | None) -> uuid.UUID:
        """Raises StoreNotFound."""
        if store_id is not None and str(store_id) not in self.standing.zones:
            raise StoreNotFound()
        return store_id or self.merchant_id

    def has_changed(self, days: Period) -> bool:
        return any(each.first <= days.last and days.first <= each.last for each in self.changed)

    def _to_read(self) -> list[Period]:
        changed = self.standing.changed
        if changed is None:
            changed = everything(self.merchant_id)
        found = [
            Period(days.first, min(days.last, self.until)) for days in changed if days.first <= self.until
        ]
        if sum(days.days for days in found) <= DAYS_UNCOUNTED_MAX or self.are_few(found):
            return found
        if not self.standing.is_ready:
            raise AnalyticsBeingPrepared()
        self.as_of = self.standing.since
        return []

    def are_few(self, ranges: Sequence[Period], *, most: int | None = None) -> bool:
        """Whether these days, with the hours around them, have no more purchases than `most`, or than a request may read."""
        most = PURCHASES_PER_REQUEST_MAX if most is None else most
        edges = [instants_of(days, set(self.standing.zones.values())) for days in ranges]
        ((purchases,),) = rows(
            _COUNT,
            {
                "merchant": self.merchant_id,
                "begins": [begin for begin, _ in edges],
                "ends": [end for _, end in edges],
                "limit": most + 1,
            },
        )
        return bool(purchases <= most)

    @property
    def live(self) -> Sheets:
        return self._live


class Scope:
    """What a store, or the merchant with all of its stores, has in the books."""

    def __init__(self, books: Books, scope_id: uuid.UUID) -> None:
        self._books = books
        self._id = scope_id
        self._key = {"merchant": books.merchant_id, "scope": scope_id, "until": books.until}
        self._live = {day: sheet for (scope, day), sheet in books.live.by_day.items() if scope == scope_id}
        # What is stored and holds, with its revision. A day on which nothing happened is not there.
        self._stored: dict[Piece, int] = {
            (unit, first): revision
            for unit, first, revision in self._rows(_STORED)
            if not books.has_changed(span(first, unit))
        }
        # The first day on which anything happened.
        self.first = min(
            (
                first
                for unit, first in [*self._stored, *(("day", day) for day in self._live)]
                if unit == "day"
            ),
            default=None,
        )

    def days(self, days: Period) -> dict[date, Day]:
        """By day, in order; those on which nothing happened are left out."""
        found = {
            day: Day(Sums(*sums), customers)
            for day, customers, *sums in self._rows(_DAYS, first=days.first, last=days.last)
            if ("day", day) in self._stored
        }
        for day, sheet in self._live.items():
            if day in days:
                found[day] = Day(sheet.sums, sum(map(bool, sheet.members.counts)))
        return dict(sorted(found.items()))

    def buyers(self, *periods: Period) -> list[Buyers]:
        """Who bought in each of some periods: all are read at once."""
        covered = [list(self._cover(days)) for days in periods]
        sets = self._sets({piece for pieces in covered for piece in pieces})
        found = []
        for pieces in covered:
            buyers = Buyers()
            for piece in pieces:
                buyers.add(*sets[piece])
            found.append(buyers)
        return found

    def before(self, day: date) -> Period:
        """The days before this one, from the first on which anything happened; one that is empty ends before it begins."""
        return Period(min(self.first or day, day), date.fromordinal(day.toordinal() - 1))

    def members(self, days: Period) -> Iterator[Members]:
        """What members did in some days, in pieces."""
        stored = []
        for piece in self._cover(days):
            if piece in self._stored:
                stored.append(piece)
            elif piece[1] in self._live:
                yield self._live[piece[1]].members
        for (packed,) in self._rows_of(_MEMBERS, stored):
            yield Members.unpack(packed)

    def _cover(self, days: Period) -> Iterator[Piece]:
        return cover(days, lambda unit, first: (unit, first) in self._stored)

    def _sets(self, pieces: Iterable[Piece]) -> dict[Piece, Sets]:
        found: dict[Piece, Sets] = {}
        asked: list[Piece] = []
        for piece in pieces:
            if piece not in self._stored:
                sheet = self._live.get(piece[1])
                found[piece] = sheet.members.sets() if sheet is not None else NO_SETS
            elif (known := recent.get(self._recent_key(piece))) is not None:
                found[piece] = known
            else:
                asked.append(piece)
        for unit, first, once, again in self._rows_of(_SETS, asked):
            sets = found[unit, first] = (unpack_set(once), unpack_set(again))
            recent.put(self._recent_key((unit, first)), sets)
        return found

    def _recent_key(self, piece: Piece) -> tuple[uuid.UUID, uuid.UUID, Piece, int]:
        return self._books.merchant_id, self._id, piece, self._stored[piece]

    def _rows(self, sql: str, **more: object) -> list[Row]:
        return rows(sql, {**self._key, **more}) if self._books.standing.is_summed_up else []

    def _rows_of(self, sql: str, pieces: Sequence[Piece]) -> list[Row]:
        if not pieces:
            return []
        firsts = {unit: [first for each, first in pieces if each == unit] for unit in ("day", *UNITS)}
        return self._rows(sql, **firsts)


_COUNT = """
SELECT count(*) FROM (
    SELECT FROM unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[]) AS asked (begins, ends)
    JOIN purchases ON purchases.merchant_id = %(merchant)s
        AND purchases.occurred_at >= asked.begins AND purchases.occurred_at < asked.ends
    LIMIT %(limit)s
) few
"""

_STORED = """
SELECT unit, first, revision FROM analytics_spans
WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s AND first <= %(until)s
UNION ALL
SELECT 'day', day, revision FROM analytics_days
WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s AND day <= %(until)s
"""

_DAYS = """
SELECT day, buyers, purchases, sold, returned, discount, points_earned, points_redeemed, points_expired
FROM analytics_days
WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s AND day BETWEEN %(first)s AND %(last)s
"""

_SETS = """
SELECT unit, first, once, again FROM analytics_spans
WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s
    AND (unit = 'week' AND first = ANY(%(week)s::date[]) OR unit = 'month' AND first = ANY(%(month)s::date[]))
UNION ALL
SELECT 'day', day, once, again FROM analytics_days
WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s AND day = ANY(%(day)s::date[])
"""

_MEMBERS = """
SELECT members FROM analytics_spans
WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s
    AND (unit = 'week' AND first = ANY(%(week)s::date[]) OR unit = 'month' AND first = ANY(%(month)s::date[]))
UNION ALL
SELECT members FROM analytics_days
WHERE merchant_id = %(merchant)s AND scope_id = %(scope)s AND day = ANY(%(day)s::date[])
"""
