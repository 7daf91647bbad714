"""What is sold, by number."""

from django.db import models


class Article(models.Model):
    """A product or a category that was on a receipt: what its number stands for in the sums of days.

    Derived, as the sums are; written by `analytics.rollups.goods` alone. A product is known by its sku, without one by its
    name. Receipts may spell its name or category differently: this is one of those that were summed up last.
    """

    pk = models.CompositePrimaryKey("merchant_id", "number")
    merchant_id = models.UUIDField()
    number = models.IntegerField()
    is_category = models.BooleanField()
    sku = models.CharField(max_length=100)
    label = models.CharField(max_length=200, help_text="The name if there is no sku, or of the category")
    name = models.CharField(max_length=200)
    category = models.CharField(max_length=100)

    class Meta:
        db_table = "analytics_articles"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "is_category", "sku", "label"], name="analytics_articles_uniq"
            )
        ]
