"""Routes of what readers and providers call, outside of the API."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.urls import path

from marketing.tracking import callbacks, views

# By provider the view that reads its reports.
_EMAIL_REPORTS = {
    "brevo": "BrevoTrackingWebhookView",
    "mailgun": "MailgunTrackingWebhookView",
    "postmark": "PostmarkTrackingWebhookView",
    "resend": "ResendTrackingWebhookView",
    "sendgrid": "SendGridTrackingWebhookView",
    "sparkpost": "SparkPostTrackingWebhookView",
}


def email_reports() -> list[Any]:
    """The route of the configured service's reports; none where it has no secret, for anybody could call it."""
    provider = settings.EMAIL_PROVIDER
    if not provider or not settings.EMAIL_EVENTS_SECRET:
        return []
    view = getattr(import_module(f"anymail.webhooks.{provider}"), _EMAIL_REPORTS[provider])
    return [path(f"provider-events/email/{provider}", view.as_view())]


urlpatterns = [
    path("t/<str:token>", views.click, name="tracked-link"),
    path("s/<str:token>", views.short_link, name="short-link"),
    path("o/<str:token>", views.opening, name="tracked-opening"),
    path(
        "provider-events/twilio/<uuid:merchant_id>/<uuid:message_id>",
        callbacks.twilio_status,
        name="twilio-status",
    ),
    *email_reports(),
]
