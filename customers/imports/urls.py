"""Routes below /api/v1/imports."""

from django.urls import path

from customers.imports import views

urlpatterns = [
    path("imports", views.ImportsView.as_view(), name="imports"),
    path("imports/fields", views.ImportFieldsView.as_view(), name="import-fields"),
    path("imports/<uuid:import_id>", views.ImportView.as_view(), name="import"),
    path("imports/<uuid:import_id>/run", views.ImportRunView.as_view(), name="import-run"),
    path("imports/<uuid:import_id>/undo", views.ImportUndoView.as_view(), name="import-undo"),
    path("imports/<uuid:import_id>/rows", views.ImportRowsView.as_view(), name="import-rows"),
    path("imports/<uuid:import_id>/failed", views.ImportFailedView.as_view(), name="import-failed"),
    # Of one that has not run yet.
    path("imports/<uuid:upload_id>/parts/<int:number>", views.ImportPartView.as_view(), name="import-part"),
    path("imports/<uuid:upload_id>/uploaded", views.ImportUploadedView.as_view(), name="import-uploaded"),
    path("imports/<uuid:upload_id>/settings", views.ImportSettingsView.as_view(), name="import-settings"),
    path("imports/<uuid:upload_id>/check", views.ImportCheckView.as_view(), name="import-check"),
]
