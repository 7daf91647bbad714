"""Figures for store managers, one file per resource."""

from analytics.views.cohorts import CohortCustomersView, CohortsView
from analytics.views.customers import CustomerAnalyticsView
from analytics.views.models import ModelsView
from analytics.views.overview import OverviewView
from analytics.views.products import ProductsView
from analytics.views.recalculations import RecalculateView, RecalculationCancelView, RecalculationView
from analytics.views.segments import SegmentsView
from analytics.views.settings import SettingsPreviewView, SettingsView

__all__ = [
    "CohortCustomersView",
    "CohortsView",
    "CustomerAnalyticsView",
    "ModelsView",
    "OverviewView",
    "ProductsView",
    "RecalculateView",
    "RecalculationCancelView",
    "RecalculationView",
    "SegmentsView",
    "SettingsPreviewView",
    "SettingsView",
]
