"""Routes below /api/v1."""

from django.urls import path

from marketing.webhooks import views

WEBHOOK = "webhooks/<uuid:webhook_id>"
DELIVERY = f"{WEBHOOK}/deliveries/<uuid:delivery_id>"

urlpatterns = [
    path("webhooks", views.WebhooksView.as_view(), name="webhooks"),
    path(WEBHOOK, views.WebhookView.as_view(), name="webhook"),
    path(f"{WEBHOOK}/rotate-secret", views.WebhookSecretView.as_view(), name="webhook-secret"),
    path(f"{WEBHOOK}/test", views.WebhookTestView.as_view(), name="webhook-test"),
    path(f"{WEBHOOK}/replay", views.WebhookReplayView.as_view(), name="webhook-replay"),
    path(f"{WEBHOOK}/deliveries", views.WebhookDeliveriesView.as_view(), name="webhook-deliveries"),
    path(DELIVERY, views.WebhookDeliveryView.as_view(), name="webhook-delivery"),
    path(f"{DELIVERY}/resend", views.WebhookResendView.as_view(), name="webhook-resend"),
]
