"""Webhook endpoints of a merchant, and what was sent to them."""

import uuid
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.schema import Output, Paged
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from marketing import services
from marketing.finding import count_deliveries, deliveries_of, find_webhook, webhooks_of
from marketing.serializers import (
    DELIVERY,
    NEW_WEBHOOK,
    WEBHOOK,
    DeliveryFilters,
    WebhookFilters,
    WebhookInput,
)


class WebhooksView(ApiView):
    # The answer holds a secret, which must not be stored.
    idempotent = False
    roles = {"get": Role.MANAGER, "post": Role.MANAGER}
    inputs = {"post": WebhookInput}
    outputs = {"get": Paged("webhooks", WEBHOOK), "post": Output(NEW_WEBHOOK, status=201)}
    filters = {"get": WebhookFilters}
    summaries = {"get": "List webhooks", "post": "Create a webhook; its secret is shown this once"}

    def get(self, request: Any) -> HttpResponse:
        filters = WebhookFilters(request)
        webhooks = webhooks_of(request.access.merchant_id)
        return filters.respond("webhooks", WEBHOOK, webhooks, total=webhooks.count)

    def post(self, request: Any) -> HttpResponse:
        made = services.create_webhook(merchant_id=request.access.merchant_id, **self.input(WebhookInput))
        return envelope.created(
            {"webhook": WEBHOOK.instance(made.webhook), "secret": made.secret},
            location=f"/api/v1/webhooks/{made.webhook.pk}",
            message="Keep the secret: it is not shown again.",
        )


class WebhookView(ApiView):
    # Checking a URL asks name servers: nothing that leaves the process happens inside a transaction.
    idempotent = False
    roles = {"get": Role.MANAGER, "patch": Role.MANAGER, "delete": Role.MANAGER}
    inputs = {"patch": WebhookInput}
    outputs = {"get": WEBHOOK, "patch": WEBHOOK, "delete": None}
    summaries = {
        "get": "Read a webhook",
        "patch": "Change a webhook",
        "delete": "Delete a webhook and its log",
    }

    def get(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        webhook = find_webhook(merchant_id=request.access.merchant_id, webhook_id=webhook_id)
        return envelope.success(WEBHOOK.instance(webhook))

    def patch(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        changes = self.input(WebhookInput, partial=True)
        webhook = services.update_webhook(
            merchant_id=request.access.merchant_id, webhook_id=webhook_id, changes=changes
        )
        return envelope.success(WEBHOOK.instance(webhook), "Webhook changed")

    def delete(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        services.delete_webhook(merchant_id=request.access.merchant_id, webhook_id=webhook_id)
        return envelope.success(None, "Webhook deleted")


class WebhookDeliveriesView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": Paged("deliveries", DELIVERY)}
    filters = {"get": DeliveryFilters}
    summaries = {"get": "List what was sent to a webhook"}

    def get(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        filters = DeliveryFilters(request)
        deliveries = filters.filter_queryset(
            deliveries_of(merchant_id=request.access.merchant_id, webhook_id=webhook_id)
        )
        total, exact = count_deliveries(deliveries)
        return filters.respond("deliveries", DELIVERY, deliveries, total=total, exact=exact)


class WebhookTestView(ApiView):
    roles = {"post": Role.MANAGER}
    outputs = {"post": Output(DELIVERY, status=202)}
    summaries = {"post": "Send a test event to a webhook"}

    def post(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        delivery = services.send_test_event(access=request.access, webhook_id=webhook_id)
        return envelope.accepted(
            DELIVERY.instance(delivery),
            location=f"/api/v1/webhooks/{webhook_id}/deliveries",
            message="The test event is on its way",
        )
