"""Routes of the event log, below /api/v1."""

from django.urls import path

from customers.views_event_types import EventTypesView, EventTypeView
from customers.views_events import CustomerEventsView, EventBatchView

urlpatterns = [
    path("events/batch", EventBatchView.as_view(), name="event-batch"),
    path("events/types", EventTypesView.as_view(), name="event-types"),
    path("events/types/<uuid:event_type_id>", EventTypeView.as_view(), name="event-type"),
    path("customers/<uuid:customer_id>/events", CustomerEventsView.as_view(), name="customer-events"),
]
