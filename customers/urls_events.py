"""Routes of the event log, below /api/v1."""

from django.urls import path

from customers.views_events import CustomerEventsView, EventBatchView

urlpatterns = [
    path("events/batch", EventBatchView.as_view(), name="event-batch"),
    path("customers/<uuid:customer_id>/events", CustomerEventsView.as_view(), name="customer-events"),
]
