"""Routes below /admin/campaigns/."""

from django.urls import path

from cloudpos.admin.campaigns.pages import (
    campaign_page,
    campaign_preview,
    campaign_test,
    campaigns_page,
    new_campaign_page,
)

urlpatterns = [
    path("", campaigns_page, name="campaigns_page"),
    path("new/", new_campaign_page, name="new_campaign_page"),
    path("preview/", campaign_preview, name="campaign_preview"),
    path("test/", campaign_test, name="campaign_test"),
    path("<uuid:campaign_id>/", campaign_page, name="campaign_page"),
]
