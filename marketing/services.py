"""Writing webhooks. Each function owns its transaction; name servers are asked before it begins."""

import uuid
from dataclasses import dataclass
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
from marketing.deliveries import TEST_EVENT, payload
from marketing.models import WEBHOOKS_PER_MERCHANT_MAX, Webhook, WebhookDelivery
from marketing.signing import new_secret
from marketing.targets import check_url


class WebhookNotFound(NotFound):
    code = "webhook_not_found"
    message = "There is no such webhook"


class TooManyWebhooks(Conflict):
    code = "too_many_webhooks"
    message = f"A merchant has at most {WEBHOOKS_PER_MERCHANT_MAX} webhooks. Delete one first."


class WebhookDisabled(Conflict):
    code = "webhook_disabled"
    message = "This webhook is switched off. Switch it on first."


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

    Switching one off ends what is still waiting for it: nobody wants last month's events when it is on again.
    """
    if "url" in changes:
        check_url(changes["url"])
    return _change_webhook(merchant_id=merchant_id, webhook_id=webhook_id, changes=changes)


@use_case
def _change_webhook(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID, changes: dict[str, Any]) -> Webhook:
    webhook = _lock_webhook(merchant_id, webhook_id)
    changed = {name: value for name, value in changes.items() if getattr(webhook, name) != value}
    if not changed:
        return webhook
    for name, value in changed.items():
        setattr(webhook, name, value)
    webhook.updated_at = now()
    webhook.save(update_fields=[*changed, "updated_at"])
    if changed.get("is_enabled") is False:
        WebhookDelivery.objects.for_merchant(merchant_id).filter(
            webhook_id=webhook_id, state=WebhookDelivery.State.PENDING
        ).update(
            state=WebhookDelivery.State.FAILED, next_attempt_at=None, error="the webhook was switched off"
        )
    return webhook


@use_case
def delete_webhook(*, merchant_id: uuid.UUID, webhook_id: uuid.UUID) -> None:
    """Remove an endpoint and its log. Raises WebhookNotFound."""
    _lock_webhook(merchant_id, webhook_id).delete()


@use_case
def send_test_event(*, access: Access, webhook_id: uuid.UUID) -> WebhookDelivery:
    """Queue a `webhook.test` event for one endpoint. Raises WebhookNotFound and WebhookDisabled."""
    merchant_id = access.merchant_id
    webhook = _lock_webhook(merchant_id, webhook_id)
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
    transaction.on_commit(lambda: enqueue("marketing.tasks.send_due_deliveries"), robust=True)
    return delivery


@use_case
def reencrypt_secrets() -> int:
    """Bring every secret under the first of ENCRYPTION_SECRETS. Returns how many. Raises SecretUnreadable."""
    webhooks = list(Webhook.objects.select_for_update(no_key=True).order_by("pk"))
    for webhook in webhooks:
        webhook.secret_encrypted = encryption.reencrypt(bytes(webhook.secret_encrypted))
        webhook.save(update_fields=["secret_encrypted"])
    return len(webhooks)


def _lock_webhook(merchant_id: uuid.UUID, webhook_id: uuid.UUID) -> Webhook:
    webhook = (
        Webhook.objects.for_merchant(merchant_id).filter(pk=webhook_id).select_for_update(no_key=True).first()
    )
    if webhook is None:
        raise WebhookNotFound()
    return webhook
