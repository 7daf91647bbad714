"""The outbox's own table: which event still has to reach which handler."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references
from cloudpos.tenancy.models import TenantForeignKey, TenantModel
from customers.models import Event


class EventTask(TenantModel):
    """One event for one handler, from the relay's commit until the handler has succeeded, when the row is deleted.

    The message that wakes a worker may be lost with the broker; this row is not. See docs/adr/0006-outbox.md.
    """

    event = TenantForeignKey(Event, on_delete=models.CASCADE, related_name="+", db_index=False)
    handler = models.CharField(max_length=100, help_text="Name of the Celery task")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(
        null=True, default=now, help_text="Empty: given up, a person must look"
    )
    error = models.CharField(
        max_length=200, blank=True, help_text="What the last attempt raised, by its class"
    )
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "event_tasks"
        constraints = [
            *tenant_references("event_tasks", "event"),
            models.UniqueConstraint(fields=["merchant", "event", "handler"], name="event_tasks_uniq"),
        ]
        indexes = [
            models.Index(
                fields=["merchant", "handler", "next_attempt_at"],
                name="event_tasks_due_idx",
                condition=Q(next_attempt_at__isnull=False),
            ),
            # Empty on a good day: those that a person must look at.
            models.Index(
                fields=["merchant", "created_at"],
                name="event_tasks_given_up_idx",
                condition=Q(next_attempt_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.handler
