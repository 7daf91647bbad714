"""How many customers changed from one segment to another, month by month."""

from django.db import models


class SegmentMoves(models.Model):
    """Changes in one of the merchant's months that is over; a month whose segments are empty says that it was counted.

    Derived from `segment.changed` events, which are always of the moment they are written, so a month that is over stays
    as it is. Written by `analytics.segment_moves` alone.
    """

    pk = models.CompositePrimaryKey("merchant_id", "month", "origin", "target")
    merchant_id = models.UUIDField()
    month = models.DateField(help_text="Its first day")
    origin = models.CharField(max_length=10)
    target = models.CharField(max_length=10)
    n = models.IntegerField()

    class Meta:
        db_table = "analytics_segment_moves"
