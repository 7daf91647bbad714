"""What happened: the customer's activity log and the transactional outbox in one table."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import Store, TenantForeignKey, TenantModel
from customers.models.customer import Customer


class Event(TenantModel):
    """One fact. Holds ids and facts, never personal data, so that erasing a customer leaves it harmless.

    `dispatched_at` is empty until the relay has handed it to its handlers (`cloudpos.wiring.ROUTES`).
    """

    customer = TenantForeignKey(
        Customer, on_delete=models.PROTECT, related_name="events", null=True, blank=True, db_index=False
    )
    store = TenantForeignKey(
        Store, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    type = models.CharField(max_length=60, help_text="noun.verb, e.g. purchase.recorded")
    data = models.JSONField(default=dict)
    external_id = models.CharField(
        max_length=100, blank=True, help_text="The sender's eventId: accepted once"
    )
    actor_id = models.UUIDField(null=True, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    occurred_at = models.DateTimeField(default=now)
    recorded_at = models.DateTimeField(default=now, editable=False)
    dispatched_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "customer_events"
        constraints = [
            unique_in_merchant("customer_events"),
            *tenant_references("customer_events", "customer", "store"),
            models.UniqueConstraint(
                fields=["merchant", "external_id"],
                name="customer_events_external_id_uniq",
                condition=~Q(external_id=""),
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant", "customer", "-occurred_at"], name="customer_events_customer_idx"
            ),
            # The merchant's whole log, newest first.
            models.Index(fields=["merchant", "occurred_at"], name="customer_events_time_idx"),
            # Movements between tiers, and between segments, which are few among everything that happens.
            models.Index(
                fields=["merchant", "occurred_at"],
                name="customer_events_tier_idx",
                condition=Q(type="tier.changed"),
            ),
            models.Index(
                fields=["merchant", "occurred_at"],
                name="customer_events_segment_idx",
                condition=Q(type="segment.changed"),
            ),
            # By merchant first: the relay takes a few of each, so that one merchant's import holds nobody else up.
            models.Index(
                fields=["merchant", "recorded_at"],
                name="customer_events_pending_idx",
                condition=Q(dispatched_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.type
