"""Routes below /admin/exports/."""

from django.urls import path

from cloudpos.admin.exports.pages import export_file, exports_page, new_export_page

urlpatterns = [
    path("", exports_page, name="exports_page"),
    path("new/", new_export_page, name="new_export_page"),
    path("<uuid:export_id>/file/", export_file, name="export_file_page"),
]
