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
    path("analytics/products", views.ProductsView.as_view(), name="analytics-products"),
    path("analytics/segments", views.SegmentsView.as_view(), name="analytics-segments"),
    path(
        "analytics/customers/<uuid:customer_id>",
        views.CustomerAnalyticsView.as_view(),
        name="analytics-customer",
    ),
    path("analytics/models", views.ModelsView.as_view(), name="analytics-models"),
    path("analytics/recalculate", views.RecalculateView.as_view(), name="analytics-recalculate"),
    path("analytics/jobs/<uuid:job_id>", views.RecalculationView.as_view(), name="analytics-job"),
    path(
        "analytics/jobs/<uuid:job_id>/cancel",
        views.RecalculationCancelView.as_view(),
        name="analytics-job-cancel",
    ),
    path("analytics/settings", views.SettingsView.as_view(), name="analytics-settings"),
    path(
        "analytics/settings/preview", views.SettingsPreviewView.as_view(), name="analytics-settings-preview"
    ),
]
