"""How the segments look outside."""

from datetime import date
from typing import Any

from analytics.counts import SegmentCounts, Worth
from analytics.overview import money
from analytics.segment_moves import Move
from analytics.segments import Rules, Segment, describe
from analytics.serializers.fields import COUNT, DAY, MONEY, NOTES, RATE, TEXT, share
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Schema
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable
from cloudpos.api.tables import Table, format_parameter

NAME: Schema = {"type": "string", "enum": [segment.value for segment in Segment]}
INSTANT: Schema = {"type": "string", "format": "date-time"}
SCORE: Schema = {"type": "integer", "minimum": 1, "maximum": 5}
SCORES = range(1, 6)
SEGMENTS = Fields(
    "Segments",
    {
        "segments": Many(
            Fields(
                "SegmentFigures",
                {
                    "name": NAME,
                    "description": TEXT,
                    "customers": COUNT,
                    "share": nullable(RATE),
                    "value12Months": {**MONEY, "description": "What they spent in the last 12 months."},
                    "shareOfValue": nullable({**RATE, "description": "Of what all customers spent."}),
                    "averageValue": {**MONEY, "description": "12-month value per customer."},
                    "churnRisk": nullable(
                        {
                            **RATE,
                            "description": "Mean probability of not buying any more, of those who ever bought.",
                        }
                    ),
                },
            )
        ),
        "totalCustomers": COUNT,
        "vipValue": nullable({**MONEY, "description": "12-month value from which on a customer is VIP."}),
        "movements": Many(
            Fields(
                "SegmentMonth",
                {
                    "month": {**DAY, "description": "Its first day."},
                    "isRunning": {"type": "boolean"},
                    "segments": Many(Fields("SegmentInOut", {"name": NAME, "joined": COUNT, "left": COUNT})),
                    "moves": Many(Fields("SegmentMove", {"from": NAME, "to": NAME, "customers": COUNT})),
                },
            )
        ),
        "rfmGrid": {
            "type": "array",
            "items": Fields(
                "RfmCell",
                {
                    "recency": {**SCORE, "description": "5 is the most recent fifth."},
                    "frequency": {**SCORE, "description": "5 is the most frequent fifth."},
                    "customers": COUNT,
                    "value12Months": MONEY,
                },
            ),
            "minItems": 25,
            "maxItems": 25,
        },
        "refreshedAt": nullable(INSTANT),
        "figuresAt": {**INSTANT, "description": "When values and risks were added up: at most a minute ago."},
        "notes": NOTES,
    },
)


class SegmentFilters(StrictFilterSet):
    paged = False
    cursors = False

    format = format_parameter()


def render_segments(found: SegmentCounts, rules: Rules) -> dict[str, Any]:
    return {
        "segments": [
            {"name": segment.value, "description": describe(segment, rules), **_figures(found, segment)}
            for segment in Segment
        ],
        "totalCustomers": sum(found.customers.values()),
        "vipValue": found.vip_value,
        "movements": [
            _month(month, moves, is_running=month == max(found.moves)) for month, moves in found.moves.items()
        ],
        "rfmGrid": [
            {
                "recency": recency,
                "frequency": frequency,
                "customers": cell.customers,
                "value12Months": money(cell.cents),
            }
            for recency in SCORES
            for frequency in SCORES
            for cell in [found.worths.grid.get((recency, frequency), Worth())]
        ],
        "refreshedAt": found.refreshed_at,
        "figuresAt": found.worths.at,
        "notes": []
        if found.worths.segments
        else ["No customer's figures have been worked out yet: values are 0, risks null."],
    }


def segments_table(found: SegmentCounts) -> Table:
    head = ("customers", "share", "value12Months", "shareOfValue", "averageValue", "churnRisk")
    rows = [(segment.value, _figures(found, segment)) for segment in Segment]
    return Table(("segment", *head), [(name, *(row[column] for column in head)) for name, row in rows])


def _figures(found: SegmentCounts, segment: Segment) -> dict[str, Any]:
    customers = found.customers.get(segment.value, 0)
    worth = found.worths.segments.get(segment.value, Worth())
    return {
        "customers": customers,
        "share": share(customers, sum(found.customers.values())),
        "value12Months": money(worth.cents),
        "shareOfValue": share(worth.cents, sum(each.cents for each in found.worths.segments.values())),
        "averageValue": money(round(worth.cents / customers) if customers else 0),
        "churnRisk": round(worth.churn / worth.customers, 4) if worth.customers else None,
    }


def _month(month: date, moves: list[Move], *, is_running: bool) -> dict[str, Any]:
    return {
        "month": month,
        "isRunning": is_running,
        "segments": [
            {
                "name": segment.value,
                "joined": sum(move.customers for move in moves if move.target == segment.value),
                "left": sum(move.customers for move in moves if move.origin == segment.value),
            }
            for segment in Segment
        ],
        "moves": [{"from": move.origin, "to": move.target, "customers": move.customers} for move in moves],
    }
