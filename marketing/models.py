"""Webhooks: where a merchant's other systems listen, and what was sent to them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel
from customers.models import Event

WEBHOOKS_PER_MERCHANT_MAX = 20


class Webhook(TenantModel):
    """An endpoint of another system. Its secret is encrypted at rest and shown once."""

    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    event_types = ArrayField(models.CharField(max_length=60), help_text="Event types, e.g. purchase.recorded")
    secret_encrypted = models.BinaryField(editable=False)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "customer_webhooks"
        constraints = [unique_in_merchant("customer_webhooks")]
        indexes = [models.Index(fields=["merchant"], name="customer_webhooks_idx")]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(TenantModel):
    """One event for one endpoint: a row with its state, so that nothing is lost with a worker."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        SENDING = "sending", "Sending"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    webhook = TenantForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    event = TenantForeignKey(Event, on_delete=models.PROTECT, related_name="+", db_index=False)
    body = models.BinaryField(help_text="The exact bytes that are signed and sent")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True, default=now)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_body = models.CharField(max_length=1024, blank=True)
    error = models.CharField(max_length=300, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "webhook_deliveries"
        verbose_name_plural = "webhook deliveries"
        constraints = [
            *tenant_references("webhook_deliveries", "webhook", "event"),
            models.UniqueConstraint(fields=["merchant", "webhook", "event"], name="webhook_deliveries_uniq"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "sending", "delivered", "failed"]),
                name="webhook_deliveries_state_known",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "webhook", "-created_at"], name="webhook_deliveries_log_idx"),
            # By endpoint: each gets its few places, however much another one has waiting.
            models.Index(
                fields=["merchant", "webhook", "next_attempt_at"],
                name="webhook_deliveries_due_idx",
                condition=Q(state__in=["pending", "sending"]),
            ),
            models.Index(fields=["state"], name="webhook_deliveries_open_idx", condition=Q(state="sending")),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()}, {self.created_at:%Y-%m-%d %H:%M} UTC"
