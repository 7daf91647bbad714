"""Figures for store managers, one file per resource."""

from analytics.views.cohorts import CohortCustomersView, CohortsView
from analytics.views.customers import CustomerAnalyticsView
from analytics.views.overview import OverviewView
from analytics.views.segments import SegmentsView

__all__ = [
    "CohortCustomersView",
    "CohortsView",
    "CustomerAnalyticsView",
    "OverviewView",
    "SegmentsView",
]
