"""Writing webhooks. Each function owns its transaction; name servers are asked before it begins."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from cloudpos.api.context import current_request_id
from cloudpos.api.errors import Conflict, NotFound
from cloudpos.api.transactions import use_case
from cloudpos.celery import enqueue
from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Merchant
from customers.events import emit, event
from marketing import encryption
from marketing.models import WEBHOOKS_PER_MERCHANT_MAX, Webhook, WebhookDelivery
from marketing.webhooks.deliveries import TEST_EVENT, payload
from marketing.webhooks.forgetting import delete_deliveries, end_waiting
from marketing.webhooks.signing import new_secret
from marketing.webhooks.targets import check_url

BOTH_SECRETS_SIGN = timedelta(hours=24)


class WebhookNotFound(NotFound):
    code = "webhook_not_found"
    message = "There is no such webhook"


class TooManyWebhooks(Conflict):
    code = "too_many_webhooks"
    message = f"A merchant has at most {WEBHOOKS_PER_MERCHANT_MAX} webhooks. Delete one first."


class WebhookDisabled(Conflict):
    code = "webhook_disabled"
    message = "This webhook is switched off. Switch it on first."


class DeliveryNotFound(NotFound):
    code = "delivery_not_found"
    message = "There is no such delivery"


class DeliveryUnderWay(Conflict):
    code = "delivery_under_way"
    message = "This delivery is being sent right now."


class DeliveryEmptied(Conflict):
    code = "delivery_emptied"
    message = "The customer of this delivery was erased: there is nothing left to send."


# What a webhook looks like that nobody has anything against.
HEALTHY: dict[str, Any] = {
    "disabled_at": None,
    "disabled_reason": "",
    "owners_told_at": None,
    "failures_in_row": 0,
    "failing_since": None,
}


@dataclass(frozen=True)
class NewWebhook:
    """A webhook and its secret, which is told this once."""

    webhook: Webhook
    secret: str


def create_webhook(
    *,
    merchant_id: uuid.UUID,
    url: str,
    event_types: list[str],
    description: str = "",
    is_enabled: bool = True,
) -> NewWebhook:
    """A new endpoint. Raises UrlRefused and TooManyWebhooks."""
    check_url(url)
    return _insert_webhook(
        merchant_id=merchant_id,
        url=url,
        event_types=event_types,
        description=description,
        is_enabled=is_enabled,
    )


@use_case
def _insert_webhook(
    *, merchant_id: uuid.UUID, url: str, event_types: list[str], description: str, is_enabled: bool
) -> NewWebhook:
    # The merchant's row is the lock: two managers must not both make the last one.
    Merchant.objects.select_for_update(no_key=True).get(pk=merchant_id)
    if Webhook.objects.for_merchant(merchant_id).count() >= WEBHOOKS_PER_MERCHANT_MAX:
        raise TooManyWebhooks()
    secret = new_secret()
    webhook = Webhook.objects.create(
        merchant_id=merchant_id,
        url=url,
        event_types=event_types,
        description=description,
        is_enabled=is_enabled,
        secret_encrypted=encryption.encrypt(secret.encode()),
    )
    return NewWebhook(webhook, secret)


def update_webhook(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID, changes: dict[str, Any]) -> Webhook:
    """Change url, event_types, description or is_enabled. Raises WebhookNotFound and UrlRefused.

    Switching one off ends what is still waiting for it: nobody wants last month's events when it is on again. Switched on
    after we switched it off, it begins as one that recovers.
    """
    if "url" in changes:
        check_url(changes["url"])
    return _change_webhook(merchant_id=merchant_id, webhook_id=webhook_id, changes=changes)


@use_case
def _change_webhook(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID, changes: dict[str, Any]) -> Webhook:
    webhook = lock_webhook(merchant_id, webhook_id)
    changed = {name: value for name, value in changes.items() if getattr(webhook, name) != value}
    if not changed:
        return webhook
    at = now()
    if changed.get("is_enabled") is True:
        changed |= {**HEALTHY, "recovering_since": at, "next_drain_at": at}
    elif changed.get("is_enabled") is False:
        changed |= {"disabled_at": at, "disabled_reason": Webhook.DisabledReason.BY_PERSON}
    for name, value in changed.items():
        setattr(webhook, name, value)
    webhook.updated_at = at
    webhook.save(update_fields=[*changed, "updated_at"])
    if changed.get("is_enabled") is False:
        end_waiting(webhook)
    return webhook


@use_case
def rotate_secret(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID) -> NewWebhook:
    """A new secret, told this once; the one before it signs too for 24 hours. Raises WebhookNotFound."""
    webhook = lock_webhook(merchant_id, webhook_id)
    at = now()
    secret = new_secret()
    previous: bytes | None = bytes(webhook.secret_encrypted)
    try:
        encryption.decrypt(bytes(webhook.secret_encrypted))
    except encryption.SecretUnreadable:
        # Nothing can be signed with it any more; a new secret is the way out of that.
        previous = None
    webhook.previous_secret_encrypted = previous
    webhook.previous_secret_until = at + BOTH_SECRETS_SIGN if previous is not None else None
    webhook.secret_encrypted = encryption.encrypt(secret.encode())
    webhook.updated_at = at
    webhook.save(
        update_fields=[
            "secret_encrypted", "previous_secret_encrypted", "previous_secret_until", "updated_at"
        ]
    )  # fmt: skip
    return NewWebhook(webhook, secret)


def delete_webhook(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID) -> None:
    """Remove an endpoint and its log. Raises WebhookNotFound.

    In steps, since the log may be long: it is off with the first, and whoever is interrupted asks again.
    """
    _change_webhook(merchant_id=merchant_id, webhook_id=webhook_id, changes={"is_enabled": False})
    while delete_deliveries(merchant_id=merchant_id, webhook_id=webhook_id):
        pass
    _delete_webhook(merchant_id=merchant_id, webhook_id=webhook_id)


@use_case
def _delete_webhook(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID) -> None:
    # The few that were queued since, by a relay that still saw it switched on.
    lock_webhook(merchant_id, webhook_id).delete()


@use_case
def send_test_event(*, access: Access, webhook_id: uuid.UUID) -> WebhookDelivery:
    """Queue a `webhook.test` event for one endpoint. Raises WebhookNotFound and WebhookDisabled."""
    merchant_id = access.merchant_id
    webhook = lock_webhook(merchant_id, webhook_id)
    if not webhook.is_enabled:
        raise WebhookDisabled()
    test = event(
        merchant_id=merchant_id,
        type=TEST_EVENT,
        data={"webhookId": str(webhook_id)},
        actor_id=access.user_id,
        request_id=current_request_id(),
    )
    emit(test)
    delivery = WebhookDelivery.objects.create(
        merchant_id=merchant_id, webhook=webhook, event=test, body=payload(test)
    )
    transaction.on_commit(ring, robust=True)
    return delivery


@use_case
def resend_delivery(
    *, merchant_id: uuid.UUID, webhook_id: uuid.UUID, delivery_id: uuid.UUID
) -> WebhookDelivery:
    """Send one delivery again, now, and by the schedule from its beginning if it fails.

    Raises WebhookNotFound, DeliveryNotFound, WebhookDisabled, DeliveryUnderWay and DeliveryEmptied.
    """
    webhook = lock_webhook(merchant_id, webhook_id)
    if not webhook.is_enabled:
        raise WebhookDisabled()
    delivery = (
        WebhookDelivery.objects.for_merchant(merchant_id)
        .filter(webhook_id=webhook_id, pk=delivery_id)
        .select_for_update(no_key=True)
        .first()
    )
    if delivery is None:
        raise DeliveryNotFound()
    if delivery.state == WebhookDelivery.State.SENDING:
        raise DeliveryUnderWay()
    if not delivery.body:
        raise DeliveryEmptied()
    delivery.state = WebhookDelivery.State.PENDING
    delivery.step = 0
    delivery.next_attempt_at = now()
    delivery.save(update_fields=["state", "step", "next_attempt_at"])
    transaction.on_commit(ring, robust=True)
    return delivery


@use_case
def reencrypt_secrets() -> int:
    """Bring every secret under the first of ENCRYPTION_SECRETS. Returns how many. Raises SecretUnreadable."""
    webhooks = list(Webhook.objects.select_for_update(no_key=True).order_by("pk"))
    for webhook in webhooks:
        webhook.secret_encrypted = encryption.reencrypt(bytes(webhook.secret_encrypted))
        if webhook.previous_secret_encrypted is not None:
            webhook.previous_secret_encrypted = encryption.reencrypt(bytes(webhook.previous_secret_encrypted))
        webhook.save(update_fields=["secret_encrypted", "previous_secret_encrypted"])
    return len(webhooks)


def ring() -> None:
    """Wake a sender; the sweep finds what is due without it."""
    enqueue("marketing.tasks.send_due_deliveries")


def lock_webhook(merchant_id: uuid.UUID, webhook_id: uuid.UUID) -> Webhook:
    """In the caller's transaction. Raises WebhookNotFound."""
    webhook = (
        Webhook.objects.for_merchant(merchant_id).filter(pk=webhook_id).select_for_update(no_key=True).first()
    )
    if webhook is None:
        raise WebhookNotFound()
    return webhook
