"""Which provider sends a merchant's messages."""

from django.conf import settings as service

from cloudpos.tenancy.models import Merchant
from marketing import encryption
from marketing.channels.console import ConsoleSender
from marketing.channels.email import SMTP_BACKEND, MailSender, ServiceSender, SmtpSender
from marketing.channels.handing_over import WebhookSender
from marketing.channels.onesignal import OneSignalSender
from marketing.channels.outgoing import NoProvider, Sender
from marketing.channels.twilio import TwilioSender
from marketing.models_messaging import Channel, MessagingSettings

CONSOLE_MAIL = "django.core.mail.backends.console.EmailBackend"


def sender_for(settings: MessagingSettings | None, merchant: Merchant, channel: str) -> Sender:
    """Not opened yet. Raises NoProvider."""
    if channel == Channel.EMAIL:
        return _email(settings, merchant)
    if settings is None:
        raise NoProvider(
            f"No provider is set up for {_CALLED[Channel(channel)]}: see the messaging settings."
        )
    if channel == Channel.SMS:
        return _sms(settings)
    if channel == Channel.PUSH:
        return _push(settings)
    return _webhook(settings)


_CALLED = {Channel.SMS: "text messages", Channel.PUSH: "push messages", Channel.WEBHOOK: "webhooks"}


def _email(settings: MessagingSettings | None, merchant: Merchant) -> Sender:
    name = (settings.sender_name if settings else "") or merchant.name
    reply_to = settings.reply_to if settings else ""
    backend = service.EMAIL_BACKEND
    if backend.startswith("anymail."):
        return ServiceSender(sender_name=name, reply_to=reply_to)
    if backend == SMTP_BACKEND:
        return SmtpSender(sender_name=name, reply_to=reply_to)
    if service.PRODUCTION and backend == CONSOLE_MAIL:
        raise NoProvider("This service has no mail server: set EMAIL_URL or EMAIL_PROVIDER.")
    return MailSender(sender_name=name, reply_to=reply_to)


def _sms(settings: MessagingSettings) -> Sender:
    provider = settings.sms_provider
    if provider == MessagingSettings.SmsProvider.CONSOLE:
        return _console(Channel.SMS)
    if provider == MessagingSettings.SmsProvider.TWILIO and settings.sms_account and settings.sms_sender:
        secret = _secret(settings.sms_secret_encrypted, "Twilio's auth token")
        return TwilioSender(account=settings.sms_account, secret=secret, sender=settings.sms_sender)
    raise NoProvider("No provider is set up for text messages: see the messaging settings.")


def _push(settings: MessagingSettings) -> Sender:
    provider = settings.push_provider
    if provider == MessagingSettings.PushProvider.CONSOLE:
        return _console(Channel.PUSH)
    if provider == MessagingSettings.PushProvider.ONESIGNAL and settings.push_account:
        return OneSignalSender(
            app_id=settings.push_account, key=_secret(settings.push_secret_encrypted, "OneSignal's key")
        )
    raise NoProvider("No provider is set up for push messages: see the messaging settings.")


def _webhook(settings: MessagingSettings) -> Sender:
    if not settings.webhook_url:
        raise NoProvider("No address is set up for webhooks of campaigns: see the messaging settings.")
    secret = _secret(settings.webhook_secret_encrypted, "the webhook's secret")
    return WebhookSender(url=settings.webhook_url, secret=secret)


def _console(channel: str) -> Sender:
    if service.PRODUCTION:
        raise NoProvider("The log is for development: nobody receives what is written there.")
    return ConsoleSender(channel)


def _secret(encrypted: bytes | memoryview | None, called: str) -> str:
    if not encrypted:
        raise NoProvider(f"{called[:1].upper()}{called[1:]} is missing: see the messaging settings.")
    try:
        return encryption.decrypt(bytes(encrypted)).decode()
    except encryption.SecretUnreadable:
        raise NoProvider(f"{called[:1].upper()}{called[1:]} cannot be read any more: set it again.") from None
