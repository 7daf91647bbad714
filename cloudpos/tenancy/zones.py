"""The clocks of a merchant's stores."""

import uuid
from zoneinfo import ZoneInfo

from cloudpos.tenancy.models import Store


def store_zones(merchant_id: uuid.UUID) -> dict[uuid.UUID, ZoneInfo]:
    """By store its time zone: its own, else the merchant's."""
    rows = Store.objects.for_merchant(merchant_id).values_list("pk", "timezone", "merchant__timezone")
    return {store_id: ZoneInfo(own or merchant_zone) for store_id, own, merchant_zone in rows}
