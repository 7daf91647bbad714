"""Segments: groups of customers by a rule or by hand, and who is in them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel, TenantPart
from customers.models import Customer

SEGMENTS_PER_MERCHANT_MAX = 200


class Segment(TenantModel):
    """A group of customers with a name: who fulfils a rule, or a list made by hand.

    Who is in it stands in `SegmentMember`. Of a rule that was changed it is the old one's members until `built_version` is
    `version`. Size and members are written under this row's lock, by `marketing.segment_membership` alone.
    """

    class Kind(models.TextChoices):
        RULE = "rule", "Rule"
        LIST = "list", "List"

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=300, blank=True)
    kind = models.CharField(max_length=5, choices=Kind.choices)
    rule = models.JSONField(null=True, blank=True, help_text="As it was written; empty for a list")
    asks_for = ArrayField(
        models.CharField(max_length=80), default=list, help_text="What must change for its answer to change"
    )
    segments_named = ArrayField(
        models.UUIDField(), default=list, help_text="The other segments that the rule speaks of"
    )
    version = models.IntegerField(default=1, help_text="Of the rule")
    built_version = models.IntegerField(default=0)
    size = models.IntegerField(default=0)
    built_at = models.DateTimeField(null=True, blank=True, help_text="When all customers were last looked at")
    build_ms = models.IntegerField(null=True, blank=True)
    build_error = models.CharField(max_length=300, blank=True, help_text="Why the last build failed")
    actor_id = models.UUIDField(null=True, blank=True, help_text="Who wrote it last")
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "customer_segment_rules"
        constraints = [
            unique_in_merchant("customer_segment_rules"),
            models.UniqueConstraint(fields=["merchant", "name"], name="customer_segment_rules_name_uniq"),
            models.CheckConstraint(
                condition=Q(kind="rule", rule__isnull=False) | Q(kind="list", rule__isnull=True),
                name="customer_segment_rules_kind",
            ),
            models.CheckConstraint(
                condition=Q(size__gte=0, version__gte=1, built_version__lte=F("version")),
                name="customer_segment_rules_numbers",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_building(self) -> bool:
        """Whether its members are still those of an earlier rule, or none yet."""
        return self.built_version < self.version


class SegmentMember(TenantPart):
    """That a customer is in a segment."""

    segment = TenantForeignKey(Segment, on_delete=models.CASCADE, related_name="members", db_index=False)
    customer = TenantForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    entered_at = models.DateTimeField(default=now)

    class Meta:
        db_table = "customer_segment_members"
        constraints = [
            *tenant_references("customer_segment_members", "segment", "customer"),
            models.UniqueConstraint(
                fields=["merchant", "segment", "customer"], name="customer_segment_members_uniq"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "customer", "segment"], name="customer_segment_members_idx")
        ]
