"""What a merchant's customers are measured by."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from cloudpos.tenancy.models import TenantModel


class CutPoints(TenantModel):
    """Where the merchant's fifths and its top begin, as of the last recalculation of all customers.

    Its row is also the lock of whoever writes the merchant's figures: what was read before it was taken is not written after.
    A score is one more than the number of cut points below the value, so equal values have equal scores and a value on a cut
    point belongs to the lower fifth. The four cut points are the values of the customers at 20, 40, 60 and 80 %.
    """

    for_day = models.DateField(null=True, help_text="The merchant's day of the last recalculation of all")
    finished_at = models.DateTimeField(null=True)
    buyers = models.IntegerField(default=0, help_text="Who had bought by then")
    vip_cents = models.BigIntegerField(null=True, help_text="12-month value from which on a customer is VIP")
    recency_cuts = ArrayField(models.DateField(), default=list, help_text="Last purchase days")
    frequency_cuts = ArrayField(models.IntegerField(), default=list, help_text="Numbers of purchase days")
    monetary_cuts = ArrayField(models.BigIntegerField(), default=list, help_text="Total net spend in cents")

    class Meta:
        db_table = "analytics_cut_points"
        verbose_name_plural = "cut points"
        constraints = [models.UniqueConstraint(fields=["merchant"], name="analytics_cut_points_uniq")]

    def __str__(self) -> str:
        return f"As of {self.for_day}"
