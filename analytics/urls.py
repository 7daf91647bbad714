"""Routes below /api/v1."""

from django.urls import path

from analytics import views

urlpatterns = [
    path("analytics/overview", views.OverviewView.as_view(), name="analytics-overview"),
    path("analytics/cohorts", views.CohortsView.as_view(), name="analytics-cohorts"),
    path(
        "analytics/cohorts/<str:cohort>/customers",
        views.CohortCustomersView.as_view(),
        name="analytics-cohort-customers",
    ),
    path("analytics/segments", views.SegmentsView.as_view(), name="analytics-segments"),
    path(
        "analytics/customers/<uuid:customer_id>",
        views.CustomerAnalyticsView.as_view(),
        name="analytics-customer",
    ),
]
