"""How messages leave: by which channel, through which provider, and to whom never again.

See docs/adr/0031-campaigns.md.
"""

from decimal import Decimal

from django.db import models
from django.db.models import Q, Value
from django.utils.timezone import now

from cloudpos.tenancy.models import TenantModel


class Channel(models.TextChoices):
    """How a message leaves. `webhook` hands it to another system of the merchant's, such as a letter shop."""

    EMAIL = "email", "E-mail"
    SMS = "sms", "Text message"
    PUSH = "push", "Push"
    WEBHOOK = "webhook", "Webhook"


class Suppression(TenantModel):
    """An address that nothing is sent to any more. Of the address only a keyed hash is kept: it outlives the customer."""

    class Reason(models.TextChoices):
        BOUNCE = "bounce", "It does not exist"
        COMPLAINT = "complaint", "They complained"
        MANUAL = "manual", "By hand"

    channel = models.CharField(max_length=10, choices=Channel.choices)
    address_hash = models.BinaryField(max_length=16)
    reason = models.CharField(max_length=10, choices=Reason.choices)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "marketing_suppressions"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "channel", "address_hash"], name="marketing_suppressions_uniq"
            ),
            models.CheckConstraint(
                condition=Q(reason__in=["bounce", "complaint", "manual"]),
                name="marketing_suppressions_reason_known",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-created_at"], name="marketing_suppressions_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()}: {self.get_reason_display()}"


class MessagingSettings(TenantModel):
    """How a merchant's messages leave: sender, quiet hours, caps, and the providers with their secrets, encrypted.

    An absent row is the defaults: e-mail from this service's own address, and no provider for anything else.
    """

    class SmsProvider(models.TextChoices):
        NONE = "", "None"
        CONSOLE = "console", "The log (for development)"
        TWILIO = "twilio", "Twilio"

    class PushProvider(models.TextChoices):
        NONE = "", "None"
        CONSOLE = "console", "The log (for development)"
        ONESIGNAL = "onesignal", "OneSignal"

    sender_name = models.CharField(max_length=100, blank=True, help_text="Empty: the merchant's name")
    reply_to = models.EmailField(blank=True)
    postal_address = models.CharField(
        max_length=300,
        blank=True,
        help_text="At the foot of each e-mail: the law of many countries asks for it",
    )
    foot_texts = models.JSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        help_text='What else stands there, by language: {"de": "...", "": "for all others"}',
    )
    quiet_from = models.TimeField(
        null=True, blank=True, help_text="Nothing is sent from then, in store time ..."
    )
    quiet_until = models.TimeField(null=True, blank=True, help_text="... until then")
    max_messages_per_week = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="To one customer, of all campaigns; empty: any number"
    )
    per_second = models.DecimalField(
        max_digits=7,
        decimal_places=2,
        default=Decimal(0),
        help_text="Messages a second at most; 0: any number",
    )
    track_links = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Links lead through this service, and pictures tell of openings: clicks are counted",
    )
    sms_provider = models.CharField(max_length=10, choices=SmsProvider.choices, blank=True, default="")
    sms_account = models.CharField(max_length=100, blank=True)
    sms_sender = models.CharField(max_length=20, blank=True)
    sms_secret_encrypted = models.BinaryField(null=True, editable=False)
    push_provider = models.CharField(max_length=10, choices=PushProvider.choices, blank=True, default="")
    push_account = models.CharField(max_length=100, blank=True)
    push_secret_encrypted = models.BinaryField(null=True, editable=False)
    webhook_url = models.CharField(max_length=2000, blank=True)
    webhook_secret_encrypted = models.BinaryField(null=True, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "marketing_messaging_settings"
        verbose_name_plural = "messaging settings"
        constraints = [
            models.UniqueConstraint(fields=["merchant"], name="marketing_messaging_settings_uniq"),
            models.CheckConstraint(
                condition=Q(quiet_from=None, quiet_until=None)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="marketing_messaging_settings_quiet_both",
            ),
            models.CheckConstraint(
                condition=Q(per_second__gte=0), name="marketing_messaging_settings_per_second"
            ),
        ]

    def __str__(self) -> str:
        return "Messaging settings"
