"""Routes below /api/v1."""

from django.urls import path

from marketing import views

urlpatterns = [
    path("webhooks", views.WebhooksView.as_view(), name="webhooks"),
    path("webhooks/<uuid:webhook_id>", views.WebhookView.as_view(), name="webhook"),
    path(
        "webhooks/<uuid:webhook_id>/deliveries",
        views.WebhookDeliveriesView.as_view(),
        name="webhook-deliveries",
    ),
    path("webhooks/<uuid:webhook_id>/test", views.WebhookTestView.as_view(), name="webhook-test"),
]
