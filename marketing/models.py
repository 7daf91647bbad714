"""Webhooks: where a merchant's other systems listen, what is to be sent to them, and each attempt to send it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel, TenantPart
from customers.models import Event

WEBHOOKS_PER_MERCHANT_MAX = 20


class Webhook(TenantModel):
    """An endpoint of another system. Its secret is encrypted at rest and shown once.

    What the sender learns of it stands here too, written only when it changes: `failures_in_row` and `failing_since` until an
    attempt succeeds, `recovering_since` from then until what had waited has been sent, one delivery at each `next_drain_at`.
    """

    class DisabledReason(models.TextChoices):
        BY_PERSON = "by_person", "Switched off"
        GONE = "gone", "It answered 410 Gone"
        FAILING = "failing", "It failed for five days"

    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    event_types = ArrayField(models.CharField(max_length=60), help_text="Event types, e.g. purchase.recorded")
    secret_encrypted = models.BinaryField(editable=False)
    previous_secret_encrypted = models.BinaryField(null=True, editable=False)
    previous_secret_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until then the secret before this one signs too"
    )
    is_enabled = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(
        max_length=10, choices=DisabledReason.choices, blank=True, default="", db_default="", editable=False
    )
    owners_told_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the owners were told that we switched it off"
    )
    failures_in_row = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    last_failure_at = models.DateTimeField(null=True, blank=True, editable=False)
    recovering_since = models.DateTimeField(null=True, blank=True, editable=False)
    next_drain_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "customer_webhooks"
        constraints = [
            unique_in_merchant("customer_webhooks"),
            models.CheckConstraint(
                condition=Q(disabled_reason__in=["", "by_person", "gone", "failing"]),
                name="customer_webhooks_reason_known",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant"], name="customer_webhooks_idx"),
            models.Index(
                fields=["merchant", "next_drain_at"],
                name="customer_webhooks_drain_idx",
                condition=Q(next_drain_at__isnull=False),
            ),
            # Those that we switched off and whose owners do not know it yet.
            models.Index(
                fields=["merchant", "disabled_at"],
                name="customer_webhooks_untold_idx",
                condition=Q(owners_told_at__isnull=True, disabled_reason__in=["gone", "failing"]),
            ),
        ]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(TenantModel):
    """One event for one endpoint: a row with its state, so that nothing is lost with a worker.

    `attempts` only grows, and is what a sender's writes are fenced by. `step` is how far the current run of the schedule is;
    sending it again by hand begins a new run. `interruptions` counts senders that died with it in their hands.
    """

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
    step = models.PositiveSmallIntegerField(default=0, db_default=0)
    interruptions = models.PositiveSmallIntegerField(default=0, db_default=0)
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
            unique_in_merchant("webhook_deliveries"),
            # The event first: erasing a customer and forgetting old events ask by it.
            models.UniqueConstraint(
                fields=["merchant", "event", "webhook"], name="webhook_deliveries_event_uniq"
            ),
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


class WebhookAttempt(TenantPart):
    """One POST and what came back. Kept as long as its delivery."""

    delivery = TenantForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="log", db_index=False)
    # Without a key of its own: the delivery's proves it.
    webhook_id = models.UUIDField()
    number = models.PositiveSmallIntegerField(help_text="From 1, as in the delivery's `attempts`")
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_body = models.CharField(max_length=1024, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "webhook_attempts"
        constraints = [
            *tenant_references("webhook_attempts", "delivery"),
            models.UniqueConstraint(fields=["merchant", "delivery", "number"], name="webhook_attempts_uniq"),
        ]
        indexes = [
            # How an endpoint has been doing lately.
            models.Index(fields=["merchant", "webhook_id", "started_at"], name="webhook_attempts_time_idx"),
        ]

    def __str__(self) -> str:
        return f"Attempt {self.number}"


from marketing.models_campaigns import Campaign as Campaign  # noqa: E402
from marketing.models_campaigns import CampaignRun as CampaignRun  # noqa: E402
from marketing.models_consents import ConsentRequest as ConsentRequest  # noqa: E402
from marketing.models_messages import CampaignClick as CampaignClick  # noqa: E402
from marketing.models_messages import CampaignLink as CampaignLink  # noqa: E402
from marketing.models_messages import CampaignMessage as CampaignMessage  # noqa: E402
from marketing.models_messaging import MessagingSettings as MessagingSettings  # noqa: E402
from marketing.models_messaging import Suppression as Suppression  # noqa: E402
from marketing.models_segments import Segment as Segment  # noqa: E402
from marketing.models_segments import SegmentMember as SegmentMember  # noqa: E402
