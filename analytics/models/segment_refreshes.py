"""Where the daily refresh of the segments stands."""

from django.db import models

from cloudpos.tenancy.models import TenantModel


class SegmentRefresh(TenantModel):
    """One merchant's daily pass over its customers: resumed at `cursor` by whoever finds it unfinished."""

    for_day = models.DateField(null=True, help_text="The merchant's day that the pass is for")
    cursor = models.UUIDField(null=True, blank=True, help_text="The last customer that was looked at")
    finished_at = models.DateTimeField(null=True, blank=True)
    leased_until = models.DateTimeField(
        null=True, blank=True, help_text="A pass that died is taken over after this"
    )
    seen = models.IntegerField(default=0, help_text="Customers looked at in this pass")
    changed = models.IntegerField(default=0, help_text="Customers whose segment changed in this pass")
    vip_value = models.DecimalField(
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="12-month value from which on a customer is VIP",
    )

    class Meta:
        db_table = "analytics_segment_refreshes"
        verbose_name_plural = "segment refreshes"
        constraints = [
            models.UniqueConstraint(fields=["merchant"], name="analytics_segment_refreshes_uniq"),
            models.CheckConstraint(
                condition=models.Q(seen__gte=0, changed__gte=0), name="analytics_segment_refreshes_counts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.changed} of {self.seen} changed"
