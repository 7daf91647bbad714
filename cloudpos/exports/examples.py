"""What to ask for, kind by kind: bodies of POST /exports for OpenAPI."""

from collections.abc import Mapping
from typing import Any

_PERIOD = {"occurredFrom": "2026-01-01", "occurredTo": "2026-03-31"}

EXAMPLES: Mapping[str, dict[str, Any]] = {
    "customers": {
        "kind": "customers",
        "format": "csv",
        "filters": {"tier": ["gold", "platinum"], "lastVisitTo": "2026-06-30", "sortBy": "totalSpent"},
    },
    "customersForMail": {
        "kind": "customers",
        "format": "xlsx",
        "columns": ["firstName", "lastName", "email"],
        "filters": {"tags": "wine", "hasEmail": True},
    },
    "ledger": {"kind": "ledger", "format": "csv", "filters": {**_PERIOD, "type": ["earned", "redeemed"]}},
    "purchases": {"kind": "purchases", "format": "xlsx", "filters": {**_PERIOD, "amountMin": "100.00"}},
    "purchase_items": {
        "kind": "purchase_items",
        "format": "csv",
        "columns": ["occurredAt", "sku", "name", "quantity", "unitPrice"],
        "filters": _PERIOD,
    },
    "returns": {"kind": "returns", "format": "csv", "filters": _PERIOD},
    "redemptions": {"kind": "redemptions", "format": "xlsx", "filters": {**_PERIOD, "state": "redeemed"}},
}
