"""What a merchant sells, to choose from: what was on receipts that have been summed up."""

from __future__ import annotations

import uuid

from analytics.models import Article

CATEGORIES_MAX = 300
ARTICLES_MAX = 1_000


def categories_sold(merchant_id: uuid.UUID) -> list[str]:
    """The first CATEGORIES_MAX categories, in order of the alphabet."""
    found = Article.objects.filter(merchant_id=merchant_id, is_category=True).order_by("label")
    return list(found.values_list("label", flat=True)[:CATEGORIES_MAX])


def articles_sold(merchant_id: uuid.UUID) -> list[tuple[str, str]]:
    """SKU and name of the first ARTICLES_MAX products with an SKU, in its order."""
    found = Article.objects.filter(merchant_id=merchant_id, is_category=False, sku__gt="").order_by("sku")
    return list(found.values_list("sku", "name")[:ARTICLES_MAX])
