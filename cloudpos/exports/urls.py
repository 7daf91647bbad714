"""Routes below /api/v1/exports."""

from django.urls import path

from cloudpos.exports import views

urlpatterns = [
    path("exports", views.ExportsView.as_view(), name="exports"),
    path("exports/kinds", views.ExportKindsView.as_view(), name="export-kinds"),
    path("exports/<uuid:export_id>", views.ExportView.as_view(), name="export"),
    path("exports/<uuid:export_id>/cancel", views.ExportCancelView.as_view(), name="export-cancel"),
    path("exports/<uuid:export_id>/file", views.ExportFileView.as_view(), name="export-file"),
]
