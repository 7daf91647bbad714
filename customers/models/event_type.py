"""Event types that a merchant has described."""

from django.db import models
from django.utils.timezone import now

from cloudpos.tenancy.models import TenantModel


class CustomEventType(TenantModel):
    """What a merchant says of an event type of its clients. With a schema, only events whose `data` fit are taken in."""

    type = models.CharField(max_length=60, help_text="noun.verb, e.g. cart.abandoned")
    description = models.CharField(max_length=300, blank=True)
    schema = models.JSONField(null=True, blank=True, help_text="JSON Schema of `data`; empty: anything goes")
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "customer_event_types"
        constraints = [
            models.UniqueConstraint(fields=["merchant", "type"], name="customer_event_types_uniq"),
        ]

    def __str__(self) -> str:
        return self.type
