"""The figures of a merchant's loyalty program, from the sums of its ledger. See docs/adr/0013-program-analytics.md.

Days are those of the store where something happened, the merchant's for what happened at none.
"""

from __future__ import annotations

import hashlib
import uuid
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.core.cache import cache
from django.db import connection, transaction

from cloudpos.api.errors import NotFound
from loyalty import analytics_rollups as rollups
from loyalty.analytics_breakage import Breakage, cohorts_of, estimate, month_number, part_of_month
from loyalty.analytics_periods import Steps
from loyalty.models import Program
from loyalty.rules.calendar import midnight
from loyalty.services import active_program
from loyalty.services.programs import tiers_of

# Found again under a key that changes with the ledger; how long one that nobody asks for any more is kept.
CACHE_SECONDS = 3_600


class StoreNotFound(NotFound):
    code = "store_not_found"
    message = "There is no such store"


@dataclass(slots=True)
class Flow:
    """What happened in some days. Points, all positive but `adjusted`; `active` are accounts that earned or redeemed."""

    earned: int = 0
    redeemed: int = 0
    expired: int = 0
    taken_back: int = 0
    restored: int = 0
    adjusted: int = 0
    active: int = 0
    enrolled: int = 0

    def add(self, type: str, credited: int, debited: int) -> None:
        if type in ("earned", "bonus"):
            self.earned += credited
        elif type == "redeemed":
            self.redeemed += debited
        elif type == "expired":
            self.expired += debited
        elif type == "reversed":
            self.restored += credited
            self.taken_back += debited
        elif type == "adjusted":
            self.adjusted += credited - debited

    @property
    def redemption_rate(self) -> float | None:
        """Points redeemed, less those given back, per point earned, less those taken back; None when none was earned."""
        earned = self.earned - self.taken_back
        return round((self.redeemed - self.restored) / earned, 4) if earned > 0 else None


@dataclass(frozen=True, slots=True)
class TierShare:
    code: str
    name: str
    members: int


@dataclass(frozen=True, slots=True)
class Movement:
    """`direction` is "up", "down" or, where a tier is no longer on the ladder, None."""

    origin: str
    target: str
    members: int
    direction: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """Points earned at one store (None: at none) and spent at another."""

    earned_store_id: uuid.UUID | None
    spent_store_id: uuid.UUID | None
    points: int


@dataclass(frozen=True, slots=True)
class ProgramFigures:
    steps: Steps
    members: int
    current: Flow
    previous: Flow
    series: list[Flow]
    past_expiry: int
    breakage: Breakage
    redeem_value: Decimal | None
    tiers: list[TierShare]
    movements: list[Movement]
    settlement: list[Settled]
    stores: dict[uuid.UUID, str] = field(default_factory=dict)

    @property
    def outstanding(self) -> int:
        """Points that can still be spent: without those whose time is over and that the sweep has not reached."""
        return self.breakage.outstanding - self.past_expiry


def program_figures(
    *, merchant_id: uuid.UUID, steps: Steps, at: datetime, store_id: uuid.UUID | None = None
) -> ProgramFigures:
    """The figures of `steps` as of now, from the cache while the ledger has not changed.

    With a store: what happened at it, and settlement with it; members, tiers and liability are the program's always.
    Raises StoreNotFound, and AnalyticsBeingPrepared after a large import.
    """
    stores = _stores(merchant_id)
    if store_id is not None and store_id not in stores:
        raise StoreNotFound()
    asked = _Asked(merchant_id, steps, store_id, stores, active_program(merchant_id), at)
    standing, state = rollups.standing(merchant_id), rollups.state_of(merchant_id)
    if (
        state is not None
        and state.entries == standing.entries
        and rollups.zones_of(merchant_id) == state.zones
    ):
        found: ProgramFigures | None = cache.get(asked.key(standing, state))
        if found is not None:
            return found
    with transaction.atomic():
        standing, state = rollups.bring_up_to_date(merchant_id)
        key = asked.key(standing, state)
        found = asked.answer(standing)
    cache.set(key, found, CACHE_SECONDS)
    return found


def _stores(merchant_id: uuid.UUID) -> dict[uuid.UUID, str]:
    return dict(
        _rows("SELECT id, name FROM stores WHERE merchant_id = %(m)s ORDER BY name", {"m": merchant_id})
    )


class _Asked:
    """One question, with what its answer depends on."""

    def __init__(
        self,
        merchant_id: uuid.UUID,
        steps: Steps,
        store_id: uuid.UUID | None,
        stores: dict[uuid.UUID, str],
        program: Program | None,
        at: datetime,
    ) -> None:
        self.steps, self.stores, self.program = steps, stores, program
        ((name,),) = _rows("SELECT timezone FROM merchants WHERE id = %(m)s", {"m": merchant_id})
        zone = ZoneInfo(name)
        self.today = at.astimezone(zone).date()
        self.parameters: dict[str, Any] = {
            "merchant": merchant_id,
            "store": store_id,
            "zone": name,
            "at": at,
            "first": steps.span.before.first,
            "current": steps.span.first,
            "last": steps.span.last,
            "begin": midnight(steps.span.first, zone),
            "begin_before": midnight(steps.span.before.first, zone),
            "end": midnight(steps.span.last + timedelta(days=1), zone),
        }
        ((self.past_expiry,),) = _rows(_PAST_EXPIRY, self.parameters)

    def key(self, standing: rollups.Standing, state: rollups.State) -> str:
        """Everything that the answer depends on: it changes when, and only when, one of these does."""
        ((moved,),) = _rows(_MOVEMENTS_COUNT, self.parameters)
        program = self.program
        parts = (
            self.parameters["merchant"], self.parameters["store"], self.steps.span, self.steps.granularity,
            state.revision, sorted(standing.accounts.items()), moved, self.past_expiry,
            self.today, sorted(self.stores.items()),
            program and (program.pk, program.revision, program.redeem_value),
        )  # fmt: skip
        return "loyalty-analytics:" + hashlib.sha256(repr(parts).encode()).hexdigest()

    def answer(self, standing: rollups.Standing) -> ProgramFigures:
        """Under the lock of the sums."""
        series = [Flow() for _ in self.steps.steps]
        current, previous = Flow(), Flow()
        for day, type, credited, debited in _rows(_DAYS, self.parameters):
            if day < self.steps.span.first:
                previous.add(type, credited, debited)
            else:
                current.add(type, credited, debited)
                series[self.steps.of(day)].add(type, credited, debited)
        self._count_active(current, previous, series)
        for day, members in _rows(_ENROLLED, self.parameters):
            if day < self.steps.span.first:
                previous.enrolled += members
            else:
                current.enrolled += members
                series[self.steps.of(day)].enrolled += members
        cohorts = cohorts_of(_rows(_LOTS, self.parameters))
        settled = [Settled(*row) for row in _rows(_SETTLEMENT, self.parameters)]
        return ProgramFigures(
            steps=self.steps,
            members=sum(standing.accounts.values()),
            current=current,
            previous=previous,
            series=series,
            past_expiry=self.past_expiry,
            breakage=estimate(
                cohorts, current_month=month_number(self.today), elapsed=part_of_month(self.today)
            ),
            redeem_value=self.program.redeem_value if self.program is not None else None,
            tiers=self._tiers(standing),
            movements=self._movements(),
            settlement=settled,
            stores=self.stores,
        )

    def _count_active(self, current: Flow, previous: Flow, series: list[Flow]) -> None:
        """Distinct accounts, from each day's packed numbers: a set takes five million of them in well under a second."""
        everybody: set[int] = set()
        before: set[int] = set()
        within: set[int] = set()
        step = -1
        for day, members in self._members():
            if day < self.steps.span.first:
                before.update(members)
                continue
            if self.steps.of(day) != step:
                if step >= 0:
                    series[step].active = len(within)
                    everybody |= within
                step, within = self.steps.of(day), set()
            within.update(members)
        if step >= 0:
            series[step].active = len(within)
            everybody |= within
        current.active, previous.active = len(everybody), len(before)

    def _members(self) -> Iterator[tuple[date, array[int]]]:
        """(day, numbers of accounts that earned or redeemed on it), in the order of days."""
        for day, packed in _rows(_ACTIVE, self.parameters):
            # Four bytes each in network order, which need not be this machine's: equal is equal either way.
            yield day, array("I", bytes(packed))

    def _ladder(self) -> dict[str, str]:
        return {tier.code: tier.name for tier in tiers_of(self.program)} if self.program is not None else {}

    def _tiers(self, standing: rollups.Standing) -> list[TierShare]:
        """Every step of the ladder, also an empty one; "no tier" and former tiers only when somebody is there."""
        ladder = self._ladder()
        shares = [TierShare(code, name, standing.accounts.get(code, 0)) for code, name in ladder.items()]
        return shares + [
            TierShare(code, code.capitalize() or "No tier", members)
            for code, members in sorted(standing.accounts.items())
            if code not in ladder
        ]

    def _movements(self) -> list[Movement]:
        places = {code: place for place, code in enumerate(["", *self._ladder()])}
        found = []
        for origin, target, members in _rows(_MOVEMENTS, self.parameters):
            direction = None
            if origin in places and target in places:
                direction = "up" if places[target] > places[origin] else "down"
            found.append(Movement(origin, target, members, direction))
        return found


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


_OF_STORE = "(%(store)s::uuid IS NULL OR store_id = %(store)s)"

_DAYS = f"""
SELECT day, type, sum(credited)::bigint, sum(debited)::bigint FROM loyalty_rollup_days
WHERE merchant_id = %(merchant)s AND day BETWEEN %(first)s AND %(last)s AND {_OF_STORE}
GROUP BY day, type
"""

_ACTIVE = f"""
SELECT day, members FROM loyalty_rollup_days
WHERE merchant_id = %(merchant)s AND day BETWEEN %(first)s AND %(last)s AND {_OF_STORE}
    AND type IN ('earned', 'bonus', 'redeemed')
ORDER BY day
"""

_ENROLLED = """
SELECT (enrolled_at AT TIME ZONE %(zone)s)::date, count(*) FROM loyalty_enrollments
WHERE merchant_id = %(merchant)s AND enrolled_at >= %(begin_before)s AND enrolled_at < %(end)s
GROUP BY 1
"""

_LOTS = """
SELECT earned_in, month, opened, redeemed, expired, removed FROM loyalty_rollup_lots WHERE merchant_id = %(merchant)s
"""

# Points whose time is over count as gone from that instant on, however late the sweep is.
_PAST_EXPIRY = """
SELECT coalesce(sum(remaining), 0)::bigint FROM (
    SELECT remaining FROM loyalty_lots WHERE merchant_id = %(merchant)s AND remaining > 0 AND expires_at <= %(at)s
    UNION ALL
    SELECT l.remaining FROM loyalty_enrollments e
    JOIN loyalty_lots l ON l.merchant_id = e.merchant_id AND l.enrollment_id = e.id AND l.remaining > 0 AND l.while_active
    WHERE e.merchant_id = %(merchant)s AND e.inactive_at <= %(at)s
) over
"""

_MOVED = """
FROM customer_events WHERE merchant_id = %(merchant)s AND type = 'tier.changed'
    AND occurred_at >= %(begin)s AND occurred_at < %(end)s
"""

_MOVEMENTS_COUNT = f"SELECT count(*) {_MOVED}"

_MOVEMENTS = f"SELECT data->>'from', data->>'to', count(*) {_MOVED} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"

_SETTLEMENT = """
SELECT earned_store_id, spent_store_id, sum(points)::bigint FROM loyalty_rollup_settlements
WHERE merchant_id = %(merchant)s AND day BETWEEN %(current)s AND %(last)s
    AND (%(store)s::uuid IS NULL OR earned_store_id = %(store)s OR spent_store_id = %(store)s)
GROUP BY 1, 2 HAVING sum(points) <> 0 ORDER BY 3 DESC, 1, 2
"""
