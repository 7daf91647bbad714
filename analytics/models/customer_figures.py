"""What is known and expected of each customer who has bought, as of a day."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from cloudpos.tenancy.constraints import tenant_references
from cloudpos.tenancy.models import TenantForeignKey, TenantPart
from customers.models import Customer

HORIZONS_DAYS = (90, 180, 365)


class Level(models.IntegerChoices):
    """Of a churn probability, and of how sure it is."""

    LOW = 0, "low"
    MEDIUM = 1, "medium"
    HIGH = 2, "high"


class CustomerFigures(TenantPart):
    """One visible customer with at least one purchase day; who has none, has no row.

    Derived: `analytics.recalculating` writes it after each purchase and every night, and may write it anew at any time. Days
    are days of the stores, in which a purchase day has a sale that was not wholly taken back; money is net of returns, in
    cents. The id is the customer's own. What is expected is of the days after `as_of`; an interval holds what will be spent
    with a probability of 80 %.
    """

    customer = TenantForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    as_of = models.DateField(help_text="The merchant's day, by the end of which all this holds")

    first_day = models.DateField()
    last_day = models.DateField()
    purchase_days = models.IntegerField()
    purchases = models.IntegerField(help_text="Sales that were not wholly taken back")
    total_cents = models.BigIntegerField()
    spend_365d_cents = models.BigIntegerField(help_text="The 12-month value")
    mean_gap_days = models.FloatField(null=True, help_text="Between purchase days; empty before the second")
    gap_sd_days = models.FloatField(null=True, help_text="Of the gaps; empty before the third purchase day")
    next_day = models.DateField(null=True, help_text="One mean gap after the last purchase day")

    # 1 to 5, by the merchant's cut points.
    recency_score = models.SmallIntegerField()
    frequency_score = models.SmallIntegerField()
    monetary_score = models.SmallIntegerField()

    # Rows of ModelRun, which are never deleted: a key would be checked for every customer every night.
    value_run_id = models.UUIDField()
    churn_run_id = models.UUIDField()
    alive = models.FloatField(help_text="The probability of not having left for good")
    expected_purchases_90d = models.FloatField()
    expected_purchases_180d = models.FloatField()
    expected_purchases_365d = models.FloatField()
    expected_90d_cents = models.BigIntegerField()
    expected_90d_low_cents = models.BigIntegerField()
    expected_90d_high_cents = models.BigIntegerField()
    expected_180d_cents = models.BigIntegerField()
    expected_180d_low_cents = models.BigIntegerField()
    expected_180d_high_cents = models.BigIntegerField()
    expected_365d_cents = models.BigIntegerField()
    expected_365d_low_cents = models.BigIntegerField()
    expected_365d_high_cents = models.BigIntegerField()

    churn = models.FloatField(help_text="The probability of no purchase within the run's horizon")
    churn_band = models.SmallIntegerField(choices=Level.choices)
    churn_confidence = models.SmallIntegerField(choices=Level.choices)
    churn_reasons = ArrayField(
        models.SmallIntegerField(),
        default=list,
        help_text="As analytics.prediction.themes has them, the weightiest first",
    )
    # What the reasons speak of besides.
    purchases_180d = models.IntegerField(default=0, help_text="Purchase days")
    spend_90d_cents = models.BigIntegerField(default=0)
    milli_units = models.BigIntegerField(default=0, help_text="Thousandths of a unit, in all")

    segment = models.CharField(max_length=10, choices=Customer.Segment.choices)
    segment_reason = models.CharField(max_length=30, help_text="Which line of the rules decided")

    # As the customer's row had it when this was worked out: who differs has bought or returned since.
    visit_count = models.IntegerField()
    total_spent_cents = models.BigIntegerField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "analytics_customers"
        verbose_name_plural = "customer figures"
        constraints = [
            *tenant_references("analytics_customers", "customer"),
            models.UniqueConstraint(fields=["merchant", "customer"], name="analytics_customers_uniq"),
            models.CheckConstraint(condition=Q(id=F("customer")), name="analytics_customers_id"),
            models.CheckConstraint(
                condition=Q(alive__range=(0, 1), churn__range=(0, 1)),
                name="analytics_customers_probabilities",
            ),
            models.CheckConstraint(
                condition=Q(
                    recency_score__range=(1, 5), frequency_score__range=(1, 5), monetary_score__range=(1, 5)
                ),
                name="analytics_customers_scores",
            ),
            models.CheckConstraint(
                condition=Q(
                    first_day__lte=F("last_day"),
                    last_day__lte=F("as_of"),
                    purchase_days__gte=1,
                    purchases__gte=F("purchase_days"),
                ),
                name="analytics_customers_days",
            ),
        ]
        indexes = [
            # Whom to win back first.
            models.Index(
                fields=["merchant", "-spend_365d_cents", "customer"],
                name="analytics_customers_risk_idx",
                condition=Q(segment="at_risk"),
            )
        ]

    def __str__(self) -> str:
        return f"{self.segment} as of {self.as_of}"
