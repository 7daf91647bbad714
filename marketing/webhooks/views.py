"""Webhook endpoints of a merchant, and what was sent to them."""

import uuid
from typing import Any

from django.http import HttpResponse

from cloudpos.api import envelope
from cloudpos.api.schema import Output, Paged
from cloudpos.api.views import ApiView
from cloudpos.jobs.serializers import JOB
from cloudpos.tenancy.roles import Role
from marketing.webhooks import services
from marketing.webhooks.finding import (
    attempts_of,
    count_deliveries,
    deliveries_of,
    find_delivery,
    find_webhook,
    webhooks_of,
)
from marketing.webhooks.health import health_of
from marketing.webhooks.replays import Only, start_replay
from marketing.webhooks.serializers import (
    ATTEMPT,
    DELIVERY,
    DELIVERY_WITH_LOG,
    NEW_WEBHOOK,
    WEBHOOK,
    WEBHOOK_WITH_HEALTH,
    DeliveryFilters,
    ReplayInput,
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
    outputs = {"get": WEBHOOK_WITH_HEALTH, "patch": WEBHOOK, "delete": None}
    summaries = {
        "get": "Read a webhook and how it has been doing",
        "patch": "Change a webhook",
        "delete": "Delete a webhook and its log",
    }

    def get(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        webhook = find_webhook(merchant_id=request.access.merchant_id, webhook_id=webhook_id)
        health = health_of([webhook])[webhook.pk]
        return envelope.success({**WEBHOOK.instance(webhook), "health": health.rendered()})

    def patch(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        changes = self.input(WebhookInput, partial=True)
        webhook = services.update_webhook(
            merchant_id=request.access.merchant_id, webhook_id=webhook_id, changes=changes
        )
        return envelope.success(WEBHOOK.instance(webhook), "Webhook changed")

    def delete(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        services.delete_webhook(merchant_id=request.access.merchant_id, webhook_id=webhook_id)
        return envelope.success(None, "Webhook deleted")


class WebhookSecretView(ApiView):
    """Both secrets sign for 24 hours: receivers may take their time to change over."""

    # The answer holds a secret, which must not be stored.
    idempotent = False
    roles = {"post": Role.MANAGER}
    outputs = {"post": NEW_WEBHOOK}
    summaries = {"post": "Rotate a webhook's secret; the new one is shown this once"}

    def post(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        made = services.rotate_secret(merchant_id=request.access.merchant_id, webhook_id=webhook_id)
        return envelope.success(
            {"webhook": WEBHOOK.instance(made.webhook), "secret": made.secret},
            "Keep the secret: it is not shown again. The one before it signs too for 24 hours.",
        )


class WebhookReplayView(ApiView):
    """What failed, and what was never tried; with `"only": "all"` also what was delivered. One at a time."""

    roles = {"post": Role.MANAGER}
    inputs = {"post": ReplayInput}
    outputs = {"post": Output(JOB, status=202)}
    summaries = {"post": "Send what a webhook missed since a time"}

    def post(self, request: Any, webhook_id: uuid.UUID) -> HttpResponse:
        access, asked = request.access, self.input(ReplayInput)
        job = start_replay(
            merchant_id=access.merchant_id,
            webhook_id=webhook_id,
            since=asked["since"],
            only=Only(asked.get("only", Only.UNDELIVERED)),
            actor_id=access.user_id,
        )
        return envelope.accepted(JOB.instance(job), f"/api/v1/jobs/{job.pk}", "The replay is under way")


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


class WebhookDeliveryView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": DELIVERY_WITH_LOG}
    summaries = {"get": "Read a delivery: what is sent, and each attempt to send it"}

    def get(self, request: Any, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> HttpResponse:
        delivery = find_delivery(
            merchant_id=request.access.merchant_id, webhook_id=webhook_id, delivery_id=delivery_id
        )
        body = bytes(delivery.body).decode()
        log = ATTEMPT.rows(attempts_of(delivery))
        return envelope.success({**DELIVERY.instance(delivery), "body": body, "log": log})


class WebhookResendView(ApiView):
    roles = {"post": Role.MANAGER}
    outputs = {"post": Output(DELIVERY, status=202)}
    summaries = {"post": "Send a delivery again"}

    def post(self, request: Any, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> HttpResponse:
        delivery = services.resend_delivery(
            merchant_id=request.access.merchant_id, webhook_id=webhook_id, delivery_id=delivery_id
        )
        return envelope.accepted(
            DELIVERY.instance(delivery),
            location=f"/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}",
            message="The delivery is on its way again",
        )


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
