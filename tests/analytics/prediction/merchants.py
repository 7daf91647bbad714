"""Made-up merchants of every shape, for tests that hold for all of them."""

import numpy as np

from analytics.prediction.features import PurchaseTable, purchase_table

TODAY = 735_000


def merchant(
    *,
    customers: int,
    purchases_each: float = 4.0,
    days: int = 900,
    amount: float | None = None,
    seed: int = 1,
) -> PurchaseTable:
    """Customers of very different rates who come at uniform times in the last `days` days; every one has bought once.

    amount: what every purchase costs; None: Gamma distributed around 30.
    """
    random = np.random.default_rng(seed)
    extra = random.poisson(random.gamma(0.5, max(purchases_each - 1.0, 0.0) / 0.5, customers))
    owner = np.repeat(np.arange(customers), 1 + extra)
    day = TODAY - random.integers(0, days, len(owner))
    spent = random.gamma(2.0, 15.0, len(owner)) if amount is None else np.full(len(owner), amount)
    return purchase_table(
        customer=owner, day=day, amount=spent, quantity=random.integers(1, 6, len(owner)), customers=customers
    )


def purchases_of(*days: int, amount: float = 10.0) -> PurchaseTable:
    """One customer with a purchase on each of these days."""
    return purchase_table(
        customer=[0] * len(days),
        day=days,
        amount=[amount] * len(days),
        quantity=[1.0] * len(days),
        customers=1,
    )
