"""How the customers stand now, and what was sold last."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum

from cloudpos.tenancy.models import Merchant
from customers.models import Customer, CustomerCount, Purchase
from loyalty.models import Tier

PURCHASES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Share:
    """One bar of a distribution."""

    code: str
    label: str
    n: int
    percent: int


def standing(merchant: Merchant) -> dict[str, list[Share]]:
    """Visible customers by segment and by tier, from the list's counters."""
    counts = (
        CustomerCount.objects.filter(merchant_id=merchant.pk)
        .values_list("segment", "tier")
        .annotate(total=Sum("n"))
    )
    found = [(segment, tier, n) for segment, tier, n in counts if n > 0]
    tiers = list(
        Tier.objects.for_merchant(merchant)
        .filter(program__is_active=True)
        .order_by("threshold")
        .values_list("code", "name")
    )
    segments = [(segment.value, str(segment.label)) for segment in Customer.Segment]
    return {
        "segments": _shares(segments, [(segment, n) for segment, _, n in found]),
        "tiers": _shares([*tiers, ("", "No tier")], [(tier, n) for _, tier, n in found]),
    }


def _shares(known: list[tuple[Any, Any]], counted: list[tuple[str, int]]) -> list[Share]:
    """A bar for each known code, also an empty one; "no tier" and unknown codes only when somebody is there."""
    sums: dict[str, int] = {}
    for code, n in counted:
        sums[code] = sums.get(code, 0) + n
    total = sum(sums.values())
    rows = [(code, label) for code, label in known if code or sums.get("")]
    rows += [(code, code.capitalize()) for code in sums if code not in dict(known)]
    return [
        Share(code, label, sums.get(code, 0), round(sums.get(code, 0) * 100 / total) if total else 0)
        for code, label in rows
    ]


def latest_purchases(merchant: Merchant) -> QuerySet[Purchase]:
    rows: QuerySet[Purchase] = (
        Purchase.objects.for_merchant(merchant)
        .select_related("customer", "store")
        .defer("receipt", "content_hash", "customer__search", "customer__metadata", "customer__notes")
        .order_by("-occurred_at")[:PURCHASES_SHOWN]
    )
    return rows
