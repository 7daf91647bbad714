"""Routes below /admin/segments/."""

from django.urls import path

from cloudpos.admin.segments.builder import builder_page, builder_preview, new_group_page
from cloudpos.admin.segments.lists import new_list_page
from cloudpos.admin.segments.pages import group_members_page, groups_page

urlpatterns = [
    path("", groups_page, name="groups_page"),
    path("new/", new_group_page, name="new_group_page"),
    path("lists/new/", new_list_page, name="new_list_page"),
    path("preview/", builder_preview, name="group_preview"),
    path("<uuid:segment_id>/", builder_page, name="group_page"),
    path("<uuid:segment_id>/members/", group_members_page, name="group_members_page"),
]
