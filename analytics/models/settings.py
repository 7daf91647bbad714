"""What a merchant says of its own customers."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.models import TenantModel


class AnalyticsSettings(TenantModel):
    """The thresholds of the lifecycle segments, and how far ahead churn looks. Without a row these defaults hold."""

    horizon_days = models.IntegerField(
        default=90, help_text="Churned: no purchase within this many days. For models trained from now on"
    )
    new_days = models.IntegerField(default=30, help_text="New: the first purchase at most this long ago")
    active_days = models.IntegerField(
        default=180, help_text="Active: the last purchase at most this long ago"
    )
    vip_share = models.DecimalField(
        max_digits=4,
        decimal_places=3,
        default=Decimal("0.100"),
        help_text="VIP: active, and in this share of all by 12-month value",
    )
    churned_probability = models.FloatField(default=0.9, help_text="Churned: a probability of at least this")
    churned_gaps = models.FloatField(default=4.0, help_text="Or silent for more than this many usual gaps")
    churned_days = models.IntegerField(default=180, help_text="and for more than this many days")
    at_risk_probability = models.FloatField(default=0.6, help_text="At risk: a probability of at least this")
    at_risk_purchase_days = models.IntegerField(default=2, help_text="and at least this many purchase days")
    actor_id = models.UUIDField(null=True, editable=False, help_text="Who changed it last")
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "analytics_settings"
        verbose_name_plural = "analytics settings"
        constraints = [
            models.UniqueConstraint(fields=["merchant"], name="analytics_settings_uniq"),
            models.CheckConstraint(
                condition=Q(
                    horizon_days__range=(7, 730),
                    new_days__range=(1, 730),
                    active_days__range=(1, 1830),
                    churned_days__range=(1, 1830),
                    at_risk_purchase_days__range=(1, 100),
                ),
                name="analytics_settings_days",
            ),
            models.CheckConstraint(
                condition=Q(
                    vip_share__range=(Decimal("0.001"), Decimal("0.5")),
                    churned_probability__range=(0, 1),
                    at_risk_probability__range=(0, 1),
                    churned_gaps__range=(1, 100),
                ),
                name="analytics_settings_shares",
            ),
        ]

    def __str__(self) -> str:
        return f"Churn after {self.horizon_days} days"
