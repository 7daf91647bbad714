"""Where a merchant's fifths and its top begin; and the lock of whoever writes its figures."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from django.db import connection
from django.utils.timezone import now

from analytics.models import CutPoints
from analytics.segments import VIP_CUSTOMERS_MIN, Rules
from analytics.statements import PROBING, long_statements

# For the chunk of another process; a till waits two seconds at most, for others.
LOCK_SECONDS_MAX = 60


@contextmanager
def locked(merchant_id: uuid.UUID) -> Iterator[CutPoints]:
    """A transaction in which nobody else writes this merchant's figures, and whose statements may take a job's time.

    What is read in it is committed, and whoever changes it afterwards finds the figures of this transaction. No customer may be
    locked before: a till that holds one never waits for this.
    """
    with long_statements(lock_timeout=f"{LOCK_SECONDS_MAX}s", **PROBING):
        rows = CutPoints.objects.for_merchant(merchant_id).select_for_update()
        try:
            cuts = rows.get()
        except CutPoints.DoesNotExist:
            # Once for each merchant. Somebody else's is waited for, as its lock is.
            CutPoints.objects.bulk_create([CutPoints(merchant_id=merchant_id)], ignore_conflicts=True)
            cuts = rows.get()
        yield cuts


# percentile_disc gives a value that somebody has: the first whose share of all, from the lowest, reaches the fraction.
_MEASURE = """
SELECT count(*),
    percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY last_day),
    percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY purchase_days),
    percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY total_cents)
FROM analytics_customers WHERE merchant_id = %(merchant)s
"""

# The least value within the top share: that of the ceil(n * share)-th customer by value.
_VIP = """
SELECT count(*), percentile_disc(%(share)s) WITHIN GROUP (ORDER BY spend_365d_cents DESC)
FROM analytics_customers WHERE merchant_id = %(merchant)s AND spend_365d_cents > 0
"""


def measure(cuts: CutPoints, rules: Rules) -> None:
    """Take the cut points of all figures anew, and save them. Under `locked`."""
    with connection.cursor() as cursor:
        cursor.execute(_MEASURE, {"merchant": cuts.merchant_id})
        cuts.buyers, *found = cursor.fetchone()
    cuts.recency_cuts, cuts.frequency_cuts, cuts.monetary_cuts = (
        [] if each is None else each for each in found
    )
    cuts.vip_cents = vip_cents(merchant_id=cuts.merchant_id, rules=rules)
    cuts.save(update_fields=["buyers", "recency_cuts", "frequency_cuts", "monetary_cuts", "vip_cents"])


def vip_cents(*, merchant_id: uuid.UUID, rules: Rules) -> int | None:
    """From which 12-month value on a customer is in the top share; None with too few customers to say."""
    with connection.cursor() as cursor:
        cursor.execute(_VIP, {"merchant": merchant_id, "share": float(rules.vip_share)})
        spenders, value = cursor.fetchone()
    return int(value) if spenders >= VIP_CUSTOMERS_MIN else None


def finish_day(cuts: CutPoints, *, day: date) -> None:
    """All customers have been recalculated for this day."""
    cuts.for_day = day
    cuts.finished_at = now()
    cuts.save(update_fields=["for_day", "finished_at"])
