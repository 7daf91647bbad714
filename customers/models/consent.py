"""What a customer allows and prefers. The log is the truth; preferences are its fold."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references
from cloudpos.tenancy.models import TenantForeignKey, TenantPart
from customers.models.customer import Customer


class Channel(models.TextChoices):
    EMAIL = "email", "E-mail"
    SMS = "sms", "SMS"
    PUSH = "push", "Push"
    PHONE = "phone", "Phone"
    MAIL = "mail", "Mail"


class Purpose(models.TextChoices):
    MARKETING = "marketing", "Marketing"
    TRANSACTIONAL = "transactional", "Transactional"
    ANALYTICS = "analytics", "Analytics"


class ConsentState(models.TextChoices):
    GRANTED = "granted", "Granted"
    WITHDRAWN = "withdrawn", "Withdrawn"


class Consent(TenantPart):
    """One statement of a customer. Append-only: a database trigger refuses changes except moving it on a merge."""

    customer = TenantForeignKey(Customer, on_delete=models.PROTECT, related_name="consents", db_index=False)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    purpose = models.CharField(max_length=15, choices=Purpose.choices)
    state = models.CharField(max_length=10, choices=ConsentState.choices)
    source = models.CharField(
        max_length=50, help_text="Where it was said: till, web, import, unsubscribe link ..."
    )
    wording_version = models.CharField(max_length=50, blank=True)
    actor_id = models.UUIDField(null=True, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)
    occurred_at = models.DateTimeField(default=now)
    recorded_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "customer_consents"
        constraints = [
            *tenant_references("customer_consents", "customer"),
            models.CheckConstraint(
                condition=Q(channel__in=Channel.values), name="customer_consents_channel_known"
            ),
            models.CheckConstraint(
                condition=Q(purpose__in=Purpose.values), name="customer_consents_purpose_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=ConsentState.values), name="customer_consents_state_known"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "customer", "-occurred_at"], name="customer_consents_idx"),
            # The merchant's whole log, newest first.
            models.Index(fields=["merchant", "occurred_at"], name="customer_consents_time_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.get_purpose_display()}: {self.get_state_display()}"


class Preferences(TenantPart):
    """How a customer wants to be spoken to. Absent row: the defaults, with marketing off."""

    customer = TenantForeignKey(
        Customer, on_delete=models.CASCADE, related_name="preferences_rows", db_index=False
    )
    # {"email": {"marketing": true, ...}, ...}: the fold of the consent log, only for pairs that were ever said.
    consents = models.JSONField(default=dict)
    language = models.CharField(max_length=10, blank=True)
    quiet_hours_start = models.TimeField(null=True, blank=True)
    quiet_hours_end = models.TimeField(null=True, blank=True)
    max_messages_per_week = models.PositiveSmallIntegerField(null=True, blank=True)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "customer_preferences"
        verbose_name_plural = "preferences"
        constraints = [
            *tenant_references("customer_preferences", "customer"),
            models.UniqueConstraint(fields=["merchant", "customer"], name="customer_preferences_uniq"),
            models.CheckConstraint(
                condition=Q(quiet_hours_start=None, quiet_hours_end=None)
                | Q(quiet_hours_start__isnull=False, quiet_hours_end__isnull=False),
                name="customer_preferences_quiet_hours_both",
            ),
        ]
