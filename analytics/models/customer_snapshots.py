"""How the figures of each customer stood at the ends of months."""

from django.db import models
from django.utils.timezone import now

from analytics.models.customer_figures import Level
from cloudpos.ids import new_id
from cloudpos.tenancy.constraints import tenant_references
from cloudpos.tenancy.models import TenantForeignKey, TenantPart
from customers.models import Customer


class CustomerSnapshot(TenantPart):
    """What CustomerFigures said in the first night after a month. Never written again.

    Of the night after it, when a recalculation came late: `as_of` says which day.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    customer = TenantForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    month = models.DateField(help_text="Its first day")
    as_of = models.DateField()
    segment = models.CharField(max_length=10, choices=Customer.Segment.choices)
    churn = models.FloatField()
    churn_band = models.SmallIntegerField(choices=Level.choices)
    recency_score = models.SmallIntegerField()
    frequency_score = models.SmallIntegerField()
    monetary_score = models.SmallIntegerField()
    purchase_days = models.IntegerField()
    total_cents = models.BigIntegerField()
    spend_365d_cents = models.BigIntegerField()
    expected_365d_cents = models.BigIntegerField()
    recorded_at = models.DateTimeField(default=now)

    class Meta:
        db_table = "analytics_snapshots"
        constraints = [
            *tenant_references("analytics_snapshots", "customer"),
            models.UniqueConstraint(
                fields=["merchant", "customer", "month"], name="analytics_snapshots_uniq"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.segment} in {self.month:%Y-%m}"
