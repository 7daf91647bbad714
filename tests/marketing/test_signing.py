"""marketing.signing and marketing.encryption: signatures that others verify, secrets that only we read."""

import base64
from datetime import UTC, datetime

import pytest
from django.test import override_settings
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from marketing import encryption
from marketing.models import Webhook as WebhookRow
from marketing.webhooks.services import reencrypt_secrets
from marketing.webhooks.signing import new_secret, sign
from tests.fixtures import Shop
from tests.marketing.conftest import new_webhook


def test_the_reference_library_verifies_what_we_sign() -> None:
    secret, body = new_secret(), '{"type":"purchase.recorded","n":"é"}'.encode()
    timestamp = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets=[secret], message_id="evt_1", timestamp=timestamp, body=body),
    }
    Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)


def test_a_secret_is_32_random_bytes() -> None:
    one, another = new_secret(), new_secret()
    assert one.startswith("whsec_")
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32
    assert one != another


@pytest.mark.django_db
def test_secrets_are_not_readable_in_the_database(shop: Shop) -> None:
    made = new_webhook(shop, "http://127.0.0.1:1/")
    stored = bytes(WebhookRow.objects.get().secret_encrypted)
    assert made.secret.encode() not in stored
    assert base64.b64decode(made.secret.removeprefix("whsec_")) not in stored
    assert encryption.decrypt(stored).decode() == made.secret


@pytest.mark.django_db
def test_rotation(shop: Shop) -> None:
    with override_settings(ENCRYPTION_SECRETS=["old secret"]):
        made = new_webhook(shop, "http://127.0.0.1:1/")
    with override_settings(ENCRYPTION_SECRETS=["new secret", "old secret"]):
        assert encryption.decrypt(bytes(WebhookRow.objects.get().secret_encrypted)).decode() == made.secret
        assert reencrypt_secrets() == 1
    with override_settings(ENCRYPTION_SECRETS=["new secret"]):
        assert encryption.decrypt(bytes(WebhookRow.objects.get().secret_encrypted)).decode() == made.secret
    with override_settings(ENCRYPTION_SECRETS=["old secret"]), pytest.raises(encryption.SecretUnreadable):
        encryption.decrypt(bytes(WebhookRow.objects.get().secret_encrypted))
