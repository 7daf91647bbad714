"""How fast a merchant's messages leave, over all workers together."""

import uuid
from decimal import Decimal

from cloudpos.api.throttling import limiter


def throttle(merchant_id: uuid.UUID, channel: str, per_second: Decimal | float) -> float:
    """0.0: one more may leave now, and is counted. Else the seconds to wait before asking again. `per_second` 0 is any number."""
    if per_second <= 0:
        return 0.0
    return limiter().pace("messages", f"{merchant_id}:{channel}", float(per_second))
