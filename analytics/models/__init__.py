"""The tables of analytics, one file per noun."""

from analytics.models.segment_refreshes import SegmentRefresh

__all__ = ["SegmentRefresh"]
