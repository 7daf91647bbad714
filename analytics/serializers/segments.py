"""How the segments look outside."""

from typing import Any

from analytics.counts import SegmentCounts
from analytics.segments import Rules, Segment, describe
from analytics.serializers.fields import COUNT, MONEY, RATE, TEXT, share
from cloudpos.api.schema import Fields, Many
from cloudpos.api.shape_schema import nullable

SEGMENTS = Fields(
    "Segments",
    {
        "segments": Many(
            Fields(
                "SegmentFigures",
                {
                    "name": {"type": "string", "enum": [segment.value for segment in Segment]},
                    "description": TEXT,
                    "customers": COUNT,
                    "share": nullable(RATE),
                },
            )
        ),
        "totalCustomers": COUNT,
        "vipValue": nullable({**MONEY, "description": "12-month value from which on a customer is VIP."}),
        "refreshedAt": nullable({"type": "string", "format": "date-time"}),
    },
)


def render_segments(found: SegmentCounts, rules: Rules) -> dict[str, Any]:
    total = sum(found.customers.values())
    return {
        "segments": [
            {
                "name": segment.value,
                "description": describe(segment, rules),
                "customers": found.customers.get(segment.value, 0),
                "share": share(found.customers.get(segment.value, 0), total),
            }
            for segment in Segment
        ],
        "totalCustomers": total,
        "vipValue": found.vip_value,
        "refreshedAt": found.refreshed_at,
    }
