"""A merchant's messaging settings: who writes, when, how much, and through whom."""

import base64
import binascii
import uuid
from typing import Any

from django.utils.timezone import now

from cloudpos.api.errors import BadRequest, FieldError
from cloudpos.api.transactions import use_case
from customers.identity import NotAnEmail, normal_email
from marketing import encryption
from marketing.models_messaging import MessagingSettings
from marketing.webhooks.signing import PREFIX
from marketing.webhooks.targets import UrlRefused, check_url

WEBHOOK_SECRET_BYTES = range(24, 65)
FOOT_TEXT_CHARS_MAX = 2_000
FOOT_TEXTS_MAX = 40
SECRETS = {
    "sms_secret": "sms_secret_encrypted",
    "push_secret": "push_secret_encrypted",
    "webhook_secret": "webhook_secret_encrypted",
}


class SettingsRefused(BadRequest):
    code = "messaging_settings_refused"


def messaging_settings_of(merchant_id: uuid.UUID) -> MessagingSettings:
    """The row, or the defaults where there is none."""
    row: MessagingSettings | None = MessagingSettings.objects.for_merchant(merchant_id).first()
    return row or MessagingSettings(merchant_id=merchant_id)


def change_messaging_settings(*, merchant_id: uuid.UUID, changes: dict[str, Any]) -> MessagingSettings:
    """Set everything; of the secrets those that are said: "" removes one. Raises SettingsRefused.

    The name server is asked before the transaction begins.
    """
    errors = list(_mistakes(changes))
    if url := changes.get("webhook_url"):
        try:
            check_url(url)
        except UrlRefused as refused:
            errors.append(FieldError("webhookUrl", refused.detail, refused.error_code))
    if errors:
        raise SettingsRefused(errors=errors)
    return _save(merchant_id=merchant_id, changes=changes)


def _mistakes(changes: dict[str, Any]) -> Any:
    if (changes.get("quiet_from") is None) != (changes.get("quiet_until") is None):
        yield FieldError("quietUntil", "Give both the start and the end of quiet hours.", "required")
    if reply_to := changes.get("reply_to"):
        try:
            changes["reply_to"], _ = normal_email(reply_to)
        except NotAnEmail as wrong:
            yield FieldError("replyTo", str(wrong))
    if (secret := changes.get("webhook_secret")) and not _is_webhook_secret(secret):
        yield FieldError("webhookSecret", "This must be whsec_ and base64 of 24 to 64 bytes.")
    for name, value in changes.items():
        if name in SECRETS and value and not value.isprintable():
            yield FieldError(f"{name.partition('_')[0]}Secret", "This is no secret of a provider's.")


def _is_webhook_secret(secret: str) -> bool:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return secret.startswith(PREFIX) and len(key) in WEBHOOK_SECRET_BYTES


@use_case
def _save(*, merchant_id: uuid.UUID, changes: dict[str, Any]) -> MessagingSettings:
    columns = {name: value for name, value in changes.items() if name not in SECRETS}
    for name, column in SECRETS.items():
        if name in changes:
            secret = changes[name]
            columns[column] = encryption.encrypt(secret.encode()) if secret else None
    # Two that are first at the same time: the row decides.
    MessagingSettings.objects.bulk_create([MessagingSettings(merchant_id=merchant_id)], ignore_conflicts=True)
    row: MessagingSettings = (
        MessagingSettings.objects.for_merchant(merchant_id).select_for_update(no_key=True).get()
    )
    for name, value in columns.items():
        setattr(row, name, value)
    _refuse_incomplete(row)
    row.version += 1
    row.updated_at = now()
    row.save(update_fields=[*columns, "version", "updated_at"])
    return row


def _refuse_incomplete(row: MessagingSettings) -> None:
    """What could not send a single message is not saved as if it could."""
    needed: list[tuple[str, Any]] = []
    if row.sms_provider == MessagingSettings.SmsProvider.TWILIO:
        needed += [("smsAccount", row.sms_account), ("smsSender", row.sms_sender)]
        needed.append(("smsSecret", row.sms_secret_encrypted))
    if row.push_provider == MessagingSettings.PushProvider.ONESIGNAL:
        needed += [("pushAccount", row.push_account), ("pushSecret", row.push_secret_encrypted)]
    if row.webhook_url:
        needed.append(("webhookSecret", row.webhook_secret_encrypted))
    missing = [FieldError(name, "This provider needs it.", "required") for name, value in needed if not value]
    if missing:
        raise SettingsRefused(errors=missing)


@use_case
def reencrypt_messaging_secrets() -> int:
    """Bring every secret under the first of ENCRYPTION_SECRETS. Returns how many rows. Raises SecretUnreadable."""
    rows = list(MessagingSettings.objects.select_for_update(no_key=True).order_by("pk"))
    for row in rows:
        for column in SECRETS.values():
            if secret := getattr(row, column):
                setattr(row, column, encryption.reencrypt(bytes(secret)))
        row.save(update_fields=list(SECRETS.values()))
    return len(rows)
