"""Routes below /api/v1."""

from django.urls import path

from marketing import views_segments
from marketing.channels.views import MessagingSettingsView
from marketing.channels.views_suppressions import SuppressionsView, SuppressionView
from marketing.consents import views as consents
from marketing.content.views import CampaignVariablesView
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
    path("customers/<uuid:customer_id>/consents/links", consents.ConsentLinksView.as_view()),
    path("customers/<uuid:customer_id>/consents/confirmation", consents.ConsentConfirmationView.as_view()),
    path("text-messages", consents.TextMessagesView.as_view()),
    path("messaging-settings", MessagingSettingsView.as_view()),
    path("campaigns/variables", CampaignVariablesView.as_view()),
    path("suppressions", SuppressionsView.as_view()),
    path("suppressions/<uuid:suppression_id>", SuppressionView.as_view()),
    path("segments", views_segments.SegmentsView.as_view()),
    path("segments/preview", views_segments.SegmentPreviewView.as_view()),
    path("segments/schema", views_segments.SegmentSchemaView.as_view()),
    path("segments/<uuid:segment_id>", views_segments.SegmentView.as_view()),
    path("segments/<uuid:segment_id>/members", views_segments.SegmentMembersView.as_view()),
    path("segments/<uuid:segment_id>/members/remove", views_segments.SegmentMembersRemoveView.as_view()),
    path("segments/<uuid:segment_id>/explain", views_segments.SegmentExplainView.as_view()),
    path("segments/<uuid:segment_id>/rebuild", views_segments.SegmentRebuildView.as_view()),
]
