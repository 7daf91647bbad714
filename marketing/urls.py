"""Routes below /api/v1."""

from django.urls import path

from marketing import views_segments
from marketing.campaigns import views as campaigns
from marketing.campaigns.views_results import CampaignResultsView
from marketing.channels.views import MessagingSettingsView
from marketing.channels.views_suppressions import SuppressionsView, SuppressionView
from marketing.consents import views as consents
from marketing.content.views import CampaignVariablesView
from marketing.webhooks import views

WEBHOOK = "webhooks/<uuid:webhook_id>"
CAMPAIGN = "campaigns/<uuid:campaign_id>"
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
    path("campaigns", campaigns.CampaignsView.as_view()),
    path(CAMPAIGN, campaigns.CampaignView.as_view()),
    path(f"{CAMPAIGN}/copy", campaigns.CampaignCopyView.as_view()),
    path(f"{CAMPAIGN}/audience", campaigns.CampaignAudienceView.as_view()),
    path(f"{CAMPAIGN}/preview", campaigns.CampaignPreviewView.as_view()),
    path(f"{CAMPAIGN}/test", campaigns.CampaignTestView.as_view()),
    path(f"{CAMPAIGN}/schedule", campaigns.CampaignScheduleView.as_view()),
    path(f"{CAMPAIGN}/pause", campaigns.CampaignPauseView.as_view()),
    path(f"{CAMPAIGN}/resume", campaigns.CampaignResumeView.as_view()),
    path(f"{CAMPAIGN}/cancel", campaigns.CampaignCancelView.as_view()),
    path(f"{CAMPAIGN}/resend-unknown", campaigns.CampaignResendView.as_view()),
    path(f"{CAMPAIGN}/runs", campaigns.CampaignRunsView.as_view()),
    path(f"{CAMPAIGN}/results", CampaignResultsView.as_view()),
    path(f"{CAMPAIGN}/messages", campaigns.CampaignMessagesView.as_view()),
    path("segments", views_segments.SegmentsView.as_view()),
    path("segments/preview", views_segments.SegmentPreviewView.as_view()),
    path("segments/schema", views_segments.SegmentSchemaView.as_view()),
    path("segments/<uuid:segment_id>", views_segments.SegmentView.as_view()),
    path("segments/<uuid:segment_id>/members", views_segments.SegmentMembersView.as_view()),
    path("segments/<uuid:segment_id>/members/remove", views_segments.SegmentMembersRemoveView.as_view()),
    path("segments/<uuid:segment_id>/explain", views_segments.SegmentExplainView.as_view()),
    path("segments/<uuid:segment_id>/rebuild", views_segments.SegmentRebuildView.as_view()),
]
