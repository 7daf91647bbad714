"""Routes below /admin/event-types/."""

from django.urls import path

from cloudpos.admin.events.pages import event_type_page, event_types_page, new_event_type_page

urlpatterns = [
    path("", event_types_page, name="event_types_page"),
    path("new/", new_event_type_page, name="new_event_type_page"),
    path("<uuid:event_type_id>/", event_type_page, name="event_type_page"),
]
