"""Routes below /admin/imports/."""

from django.urls import path

from cloudpos.admin.imports.pages import import_failed, import_page, imports_page
from cloudpos.admin.imports.uploads import begin_upload, finish_upload_page, upload_part

urlpatterns = [
    path("", imports_page, name="imports_page"),
    path("begin/", begin_upload, name="import_begin"),
    path("<uuid:import_id>/", import_page, name="import_page"),
    path("<uuid:import_id>/failed/", import_failed, name="import_failed_rows"),
    path("<uuid:import_id>/parts/<int:number>/", upload_part, name="import_upload_part"),
    path("<uuid:import_id>/finish/", finish_upload_page, name="import_upload_finish"),
]
