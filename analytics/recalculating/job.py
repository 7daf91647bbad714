"""All figures of a merchant, chunk by chunk; and those of some customers, after each of their purchases.

A full recalculation has three steps. *Models* are trained when that is due. *Figures* are worked out from each customer's sales.
*Segments* follow from the cut points of all figures: everybody's fifths and segment, and in the first night after a month what is
kept of it. Each chunk is one transaction under the merchant's lock, and ends with the job's checkpoint.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Self

from django.db import connection
from django.utils.timezone import now

from analytics.cut_points import finish_day, locked, measure
from analytics.models import CustomerFigures, CutPoints
from analytics.prediction.training import Kind
from analytics.recalculating.everyone import Everyone, read_everyone
from analytics.recalculating.figures import refresh_figures, write_figures
from analytics.recalculating.learning import is_training_due, learn, models_in_use, training_table
from analytics.recalculating.sales import count_buyers
from analytics.recalculations import Mode, day_of
from analytics.segmenting import settle, write_snapshots
from analytics.statements import JOB_STATEMENT_SECONDS_MAX, long_statements
from analytics.thresholds import rules_of
from cloudpos.jobs.running import Work
from cloudpos.tenancy.models import Merchant
from customers.models import Customer

# Half a second's work, for which whoever refreshes a customer after a purchase waits.
CUSTOMERS_PER_CHUNK = 4_000
# Of an incremental one: its position names them.
TOUCHED_PER_CHUNK = 500
# Found by one look over all customers.
TOUCHED_PER_LOOK = 20_000


def refresh_customers(*, merchant_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Work out the figures and segments of these customers from their purchases. Returns how many changed their segment.

    Run twice, or out of order, it ends the same.
    """
    if not customer_ids:
        return 0
    today = day_of(Merchant.objects.get(pk=merchant_id), at=at)
    with locked(merchant_id) as cuts:
        models = models_in_use(merchant_id, rules_of(merchant_id), as_of=today)
        refresh_figures(cuts, customer_ids, models, as_of=today)
    moved, is_done = 0, False
    while not is_done:
        # Another transaction: it locks customers, which comes before anything of theirs is written.
        with locked(merchant_id) as cuts:
            some, is_done = settle(cuts, rules_of(merchant_id), customer_ids)
        moved += some
    return moved


@dataclass(frozen=True, slots=True)
class Position:
    """Where a full recalculation is: the next customers come after `after`, first for their figures, then for their segments.

    `month` is the first day of the one that is to be kept; `day` is empty when only segments are settled.
    """

    day: date | None
    month: date | None = None
    has_figures: bool = False
    after: uuid.UUID | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "day": self.day and self.day.isoformat(),
            "month": self.month and self.month.isoformat(),
            "hasFigures": self.has_figures,
            "after": self.after and str(self.after),
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        return cls(
            day=found["day"] and date.fromisoformat(found["day"]),
            month=found["month"] and date.fromisoformat(found["month"]),
            has_figures=found["hasFigures"],
            after=found["after"] and uuid.UUID(found["after"]),
        )


def recalculate(work: Work) -> dict[str, Any]:
    """The job of `analytics.recalculations.RECALCULATE`."""
    if work.parameters["mode"] == Mode.INCREMENTAL:
        _recalculate_touched(work)
    else:
        position = Position.from_json(work.cursor) if work.cursor else None
        if position is None or not position.has_figures:
            position = _all_figures(work, position)
        _all_segments(work, position)
    return {"mode": work.parameters["mode"]}


def settle_segments(work: Work) -> None:
    """The job of `analytics.recalculations.SETTLE`."""
    if work.cursor is None:
        work.expect(_visible(work.merchant_id).count())
        with locked(work.merchant_id) as cuts:
            measure(cuts, rules_of(work.merchant_id))
            work.checkpoint(Position(None, has_figures=True).as_json(), done=0)
    _all_segments(work, Position.from_json(work.cursor))


def _all_figures(work: Work, position: Position | None) -> Position:
    """From the beginning, or from where it was left."""
    merchant_id = work.merchant_id
    day = position.day if position else day_of(Merchant.objects.get(pk=merchant_id), at=now())
    assert day is not None
    work.hold(JOB_STATEMENT_SECONDS_MAX)
    with read_everyone(
        merchant_id=merchant_id, as_of=day, after=position.after if position else None
    ) as everyone:
        work.hold(0)
        if position is None:
            position = _begin(work, everyone)
        while not position.has_figures:
            position = _next_figures(work, position, everyone)
    return position


def _begin(work: Work, everyone: Everyone) -> Position:
    merchant_id, today = work.merchant_id, everyone.as_of
    rules = rules_of(merchant_id)
    buyers = count_buyers(merchant_id)
    work.expect(buyers + _visible(merchant_id).count())
    due = [kind for kind in Kind if is_training_due(merchant_id, kind, rules, today=today)]
    if due:
        table = training_table(everyone, buyers=buyers, progress=lambda: work.advance(0))
        for kind in due:
            learn(merchant_id, kind, rules, table, as_of=today)
            work.advance(0, models=1)
    last = CutPoints.objects.for_merchant(merchant_id).values_list("for_day", flat=True).first()
    position = Position(today, month=month_to_keep(today, last=last))
    work.checkpoint(position.as_json(), done=0)
    return position


def month_to_keep(today: date, *, last: date | None) -> date | None:
    """The month that ended since the last recalculation, by its first day; None when none did, or nobody looked before it did."""
    first = today.replace(day=1)
    if last is None or last >= first:
        return None
    return (first - timedelta(days=1)).replace(day=1)


def _next_figures(work: Work, position: Position, everyone: Everyone) -> Position:
    """Those of the next customers; and when there are none, the cut points of all."""
    day, merchant_id = everyone.as_of, work.merchant_id
    read, sold = everyone.next(CUSTOMERS_PER_CHUNK)
    with locked(merchant_id) as cuts:
        rules = rules_of(merchant_id)
        if not len(read):
            # Nobody wrote them on this day: of who is hidden by now, or has given everything back.
            CustomerFigures.objects.for_merchant(merchant_id).filter(as_of__lt=day).delete()
            measure(cuts, rules)
            position = replace(position, has_figures=True, after=None)
            work.checkpoint(position.as_json(), done=0)
            return position
        buyers, sales = everyone.current(read, sold)
        models = models_in_use(merchant_id, rules, as_of=day)
        written = write_figures(cuts, buyers, sales, models, as_of=day)
        position = replace(position, after=read.ids[-1])
        work.checkpoint(position.as_json(), done=len(read), figures=len(written))
    return position


def _all_segments(work: Work, position: Position) -> None:
    merchant_id = work.merchant_id
    while True:
        with locked(merchant_id) as cuts:
            customers = _visible(merchant_id)
            if position.after is not None:
                customers = customers.filter(pk__gt=position.after)
            ids = list(customers.order_by("pk").values_list("pk", flat=True)[:CUSTOMERS_PER_CHUNK])
            if not ids:
                if position.day is not None:
                    finish_day(cuts, day=position.day)
                return
            moved, is_done = settle(cuts, rules_of(merchant_id), ids)
            if is_done:
                if position.month is not None:
                    write_snapshots(merchant_id=merchant_id, customer_ids=ids, month=position.month)
                position = replace(position, after=ids[-1])
            work.checkpoint(position.as_json(), done=len(ids) if is_done else 0, moved=moved)


def _visible(merchant_id: uuid.UUID) -> Any:
    return Customer.objects.for_merchant(merchant_id).visible()


# --- Who bought since ---------------------------------------------------------------------------------------

# By what the customer's row says: a purchase, a return or a merge writes it in its own transaction, so nothing slips past.
_TOUCHED = """
SELECT c.id FROM customers c
LEFT JOIN analytics_customers f ON f.merchant_id = c.merchant_id AND f.customer_id = c.id
WHERE c.merchant_id = %(merchant)s AND (%(after)s::uuid IS NULL OR c.id > %(after)s) AND CASE
    WHEN f.id IS NULL THEN c.deleted_at IS NULL AND c.total_spent > 0
    ELSE c.deleted_at IS NOT NULL OR f.visit_count <> c.visit_count OR f.total_spent_cents <> c.total_spent * 100
END
ORDER BY c.id LIMIT %(most)s
"""


def _recalculate_touched(work: Work) -> None:
    merchant_id = work.merchant_id
    today = day_of(Merchant.objects.get(pk=merchant_id), at=now())
    if work.cursor:
        _settle_touched(work)
    while touched := _touched(merchant_id, after=work.cursor and work.cursor["after"]):
        for start in range(0, len(touched), TOUCHED_PER_CHUNK):
            chunk = touched[start : start + TOUCHED_PER_CHUNK]
            with locked(merchant_id) as cuts:
                models = models_in_use(merchant_id, rules_of(merchant_id), as_of=today)
                figures = refresh_figures(cuts, chunk, models, as_of=today)
                position = {"after": str(chunk[-1]), "unsettled": [str(id_) for id_ in chunk]}
                work.checkpoint(position, done=len(chunk), figures=figures)
            _settle_touched(work)


def _touched(merchant_id: uuid.UUID, *, after: str | None) -> list[uuid.UUID]:
    with long_statements(), connection.cursor() as cursor:
        cursor.execute(_TOUCHED, {"merchant": merchant_id, "after": after, "most": TOUCHED_PER_LOOK})
        return [id_ for (id_,) in cursor.fetchall()]


def _settle_touched(work: Work) -> None:
    unsettled = [uuid.UUID(id_) for id_ in work.cursor["unsettled"]]
    while unsettled:
        with locked(work.merchant_id) as cuts:
            moved, is_done = settle(cuts, rules_of(work.merchant_id), unsettled)
            if is_done:
                unsettled = []
            work.checkpoint(
                {"after": work.cursor["after"], "unsettled": [str(id_) for id_ in unsettled]},
                done=0,
                moved=moved,
            )
