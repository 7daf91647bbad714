"""How a merchant's messages leave."""

from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from marketing.channels.serializers import (
    MESSAGING_SETTINGS,
    MessagingSettingsInput,
    render_messaging_settings,
)
from marketing.channels.settings import change_messaging_settings, messaging_settings_of


class MessagingSettingsView(ApiView):
    """Secrets are written and never shown."""

    roles = {"get": Role.MANAGER, "put": Role.OWNER}
    inputs = {"put": MessagingSettingsInput}
    outputs = {"get": MESSAGING_SETTINGS, "put": MESSAGING_SETTINGS}
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read how messages leave: sender, quiet hours, caps, providers",
        "put": "Set how messages leave",
    }
    # A stored body would hold secrets.
    idempotent = False

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        return envelope.success(render_messaging_settings(messaging_settings_of(request.access.merchant_id)))

    def put(self, request: Any) -> HttpResponse:
        changed = change_messaging_settings(
            merchant_id=request.access.merchant_id, changes=self.input(MessagingSettingsInput)
        )
        return envelope.success(render_messaging_settings(changed))
