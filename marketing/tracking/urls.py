"""Routes of what readers and providers call, outside of the API."""

from typing import Any

from django.conf import settings
from django.urls import path
from django.utils.module_loading import import_string

from marketing.tracking import callbacks, views

# By provider the view that reads its reports.
_EMAIL_REPORTS = {
    "brevo": "anymail.webhooks.brevo.BrevoTrackingWebhookView",
    "mailgun": "anymail.webhooks.mailgun.MailgunTrackingWebhookView",
    "postmark": "anymail.webhooks.postmark.PostmarkTrackingWebhookView",
    "resend": "marketing.tracking.resend.ResendReports",
    "sendgrid": "anymail.webhooks.sendgrid.SendGridTrackingWebhookView",
    "sparkpost": "anymail.webhooks.sparkpost.SparkPostTrackingWebhookView",
}


def email_reports() -> list[Any]:
    """The route of the configured service's reports; none where it has no secret, for anybody could call it."""
    provider = settings.EMAIL_PROVIDER
    if not provider or not settings.EMAIL_EVENTS_SECRET:
        return []
    view = import_string(_EMAIL_REPORTS[provider])
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
