"""Asking for a consent by e-mail: it counts once the link in the mail was followed."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references
from cloudpos.tenancy.models import TenantForeignKey, TenantModel
from customers.models import Customer, Purpose

# How long a customer has to follow the link.
CONFIRM_WITHIN = timedelta(days=7)


class ConsentRequest(TenantModel):
    """One mail that asks "was it you?" (double opt-in). Holds no address: it goes to the customer's own, as of `address_hash`."""

    class State(models.TextChoices):
        PENDING = "pending", "To be sent"
        SENT = "sent", "Sent"
        CONFIRMED = "confirmed", "Confirmed"
        FAILED = "failed", "Not sent"

    customer = TenantForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    purpose = models.CharField(max_length=15, choices=Purpose.choices)
    wording_version = models.CharField(max_length=50, blank=True)
    # Whoever has changed their address since is another reader.
    address_hash = models.BinaryField(max_length=16)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, default=now)
    created_at = models.DateTimeField(default=now, editable=False)
    sent_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "consent_requests"
        constraints = [
            *tenant_references("consent_requests", "customer"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "sent", "confirmed", "failed"]),
                name="consent_requests_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", next_attempt_at__isnull=False)
                | (~Q(state="pending") & Q(next_attempt_at__isnull=True)),
                name="consent_requests_pending_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "customer", "-created_at"], name="consent_requests_idx"),
            models.Index(
                fields=["merchant", "next_attempt_at"],
                name="consent_requests_due_idx",
                condition=Q(state="pending"),
            ),
        ]

    @property
    def expires_at(self) -> datetime:
        return self.created_at + CONFIRM_WITHIN

    def __str__(self) -> str:
        return f"{self.get_purpose_display()}, {self.get_state_display()}"
