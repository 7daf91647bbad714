"""The thresholds of a merchant's segments."""

from typing import Any

from django.http import HttpResponse

from analytics.serializers.settings import (
    CHANGED_SETTINGS,
    SETTINGS,
    SETTINGS_PREVIEW,
    SettingsInput,
    read_rules,
    render_preview,
    render_settings,
)
from analytics.settings import change_settings, preview_settings, settings_of
from cloudpos.api import envelope
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role


class SettingsView(ApiView):
    roles = {"get": Role.MANAGER, "put": Role.OWNER}
    inputs = {"put": SettingsInput}
    outputs = {"get": SETTINGS, "put": CHANGED_SETTINGS}
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read the thresholds of the segments",
        "put": "Set the thresholds of the segments; everybody's segment follows in a job",
    }

    def get(self, request: Any) -> HttpResponse:
        NoParameters(request)
        return envelope.success(render_settings(settings_of(request.access.merchant_id)))

    def put(self, request: Any) -> HttpResponse:
        access = request.access
        job_id = change_settings(access=access, rules=read_rules(self.input(SettingsInput)))
        shown = render_settings(settings_of(access.merchant_id))
        return envelope.success(
            {**shown, "jobId": job_id}, "Segments follow" if job_id else "These are the thresholds already"
        )


class SettingsPreviewView(ApiView):
    """By the figures that are there: nothing is saved."""

    roles = {"post": Role.MANAGER}
    inputs = {"post": SettingsInput}
    outputs = {"post": Output(SETTINGS_PREVIEW)}
    summaries = {
        "post": "See what other thresholds would do: customers by segment now and then, and who would move"
    }
    idempotent = False

    def post(self, request: Any) -> HttpResponse:
        found = preview_settings(
            merchant_id=request.access.merchant_id, rules=read_rules(self.input(SettingsInput))
        )
        return envelope.success(render_preview(found))
