"""Resend's reports: signed by the Standard Webhooks scheme, under Svix's names of its headers."""

from anymail.exceptions import AnymailWebhookValidationFailure
from anymail.webhooks.resend import ResendTrackingWebhookView
from django.conf import settings
from django.http import HttpRequest
from standardwebhooks import Webhook, WebhookVerificationError


class ResendReports(ResendTrackingWebhookView):
    # anymail's own look at signatures needs a package of Svix's: it is not to find the secret.
    _secret_setting_name = "svix_secret"  # noqa: S105 - a name

    def validate_request(self, request: HttpRequest) -> None:
        """Raises AnymailWebhookValidationFailure, which answers 400."""
        secret = settings.ANYMAIL.get("RESEND_SIGNING_SECRET")
        if not secret:
            return
        headers = {
            f"webhook-{name}": request.headers.get(f"svix-{name}", "")
            for name in ("id", "timestamp", "signature")
        }
        try:
            Webhook(secret).verify(request.body, headers)
        except (WebhookVerificationError, ValueError):
            raise AnymailWebhookValidationFailure("Resend webhook called with incorrect signature") from None
