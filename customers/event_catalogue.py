"""The events of this service: what each says and what its `data` holds. The one place; webhooks, triggers and the API read it.

`data` holds ids, numbers and words of ours, never personal data. A schema only grows: receivers rely on what is there.
"""

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

_ID: Schema = {"type": "string", "format": "uuid"}
_TEXT: Schema = {"type": "string"}
_POINTS: Schema = {"type": "integer"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_MONEY: Schema = {
    "type": "string",
    "pattern": r"^-?[0-9]+(\.[0-9]+)?$",
    "description": "A decimal number, e.g. 12.50",
}
_CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
_TIER_OR_SEGMENT: Schema = {"type": ["string", "null"]}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


@dataclass(frozen=True)
class EventType:
    """`schema` is the JSON Schema (2020-12) of `data`. What is not required may be missing."""

    description: str
    schema: Schema


def _type(description: str, required: dict[str, Schema], **optional: Schema) -> EventType:
    schema = {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }
    return EventType(description, schema)


_ENTRY = {"entryId": _ID, "points": {**_POINTS, "description": "Signed"}, "balance": _POINTS}
_MERGE = {"mergeId": _ID, "sourceId": _ID, "targetId": _ID}
_HOLD = {"holdId": _ID, "points": _POINTS}
_REDEMPTION = {"redemptionId": _ID, "rewardId": _or_null(_ID), "entryId": _ID, "points": _POINTS}
_VOUCHER = {"voucherId": _ID, "rewardId": _ID}
_SALE = {"purchaseId": _ID, "storeId": _ID, "amount": _MONEY, "currency": _CURRENCY, "transactionId": _TEXT}
_MEMBERSHIP = {"segmentId": _ID}
_RUN = {"campaignId": _ID, "runId": _ID, "number": {**_COUNT, "description": "From 1"}}
_IMPORT = {**_ID, "description": "By this import, whose customers are told of by `import.finished` alone"}

CATALOGUE: dict[str, EventType] = {
    "customer.created": _type(
        "A customer was made.", {"type": _one_of("individual", "business")}, importId=_IMPORT
    ),
    "customer.updated": _type(
        "A customer's profile was changed.",
        {"fields": {"type": "array", "items": _TEXT, "minItems": 1}},
        importId=_IMPORT,
    ),
    "customer.deleted": _type("A customer was removed from the lists; the books stay.", {}),
    "customer.merged": _type("Two records became one: the target.", _MERGE),
    "customer.unmerged": _type("A merge was undone: one event for each of the two.", _MERGE),
    "customer.erased": _type("A customer's personal data were erased.", {"erasureId": _ID}),
    "customer.exported": _type("Somebody took a copy of everything about a customer.", {"rows": _COUNT}),
    "consent.changed": _type(
        "A customer said who may write to them, or no longer.",
        {"channel": _TEXT, "purpose": _TEXT, "state": _one_of("granted", "withdrawn")},
        importId=_IMPORT,
    ),
    "address.changed": _type(
        "An address was added, changed or deleted.",
        {"action": _one_of("added", "changed", "deleted"), "addressId": _ID},
    ),
    "purchase.recorded": _type("A sale was recorded.", _SALE),
    "purchase.returned": _type(
        "A sale was taken back, wholly or in part.",
        {**_SALE, "returnId": _ID, "purchaseTransactionId": _TEXT},
    ),
    "points.earned": _type("Points were earned.", _ENTRY),
    "points.bonus": _type("Points were given on top.", _ENTRY),
    "points.redeemed": _type("Points were spent.", _ENTRY),
    "points.adjusted": _type("Somebody corrected the balance.", _ENTRY),
    "points.reversed": _type("An entry was taken back.", _ENTRY),
    "points.transferred": _type("Points moved with a merge.", _ENTRY),
    "points.expired": _type("Points were over.", _ENTRY),
    "points.expiring_soon": _type(
        "Points will be over soon; once for each customer, instant and reason.",
        {"points": _POINTS, "expiresAt": _TIME, "reason": _one_of("after_earning", "after_inactivity")},
    ),
    "points.held": _type("A till reserved points.", {**_HOLD, "expiresAt": _TIME}),
    "hold.captured": _type("Reserved points were spent.", {**_HOLD, "captured": _POINTS, "entryId": _ID}),
    "hold.released": _type("Reserved points are free again.", _HOLD),
    "hold.lapsed": _type("Reserved points are free again, since nobody came back to them.", _HOLD),
    "redemption.made": _type("Points became a reward or money off.", _REDEMPTION),
    "redemption.cancelled": _type("A redemption was undone.", _REDEMPTION),
    "voucher.given": _type("A customer was given a reward for no points.", _VOUCHER),
    "voucher.used": _type("A customer took at a till what a voucher was for.", _VOUCHER),
    "voucher.released": _type("The sale did not come about: a voucher is as before.", _VOUCHER),
    "tier.changed": _type(
        "A member reached another tier.",
        {"from": _TIER_OR_SEGMENT, "to": _TIER_OR_SEGMENT, "reason": _TEXT, "until": _or_null(_TIME)},
    ),
    "segment.changed": _type(
        "A customer went to another life-cycle segment.",
        {"from": _TIER_OR_SEGMENT, "to": _TIER_OR_SEGMENT},
        reason=_TEXT,
        isFirst={"type": "boolean", "description": "There was no segment before."},
    ),
    "segment.entered": _type("A customer came into a segment of the merchant's.", _MEMBERSHIP),
    "segment.exited": _type("A customer left a segment of the merchant's.", _MEMBERSHIP),
    "segment.rebuilt": _type(
        "A segment of the merchant's was worked out anew.",
        {**_MEMBERSHIP, "size": _COUNT, "entered": _COUNT, "exited": _COUNT},
    ),
    "campaign.started": _type("A campaign goes out.", _RUN),
    "campaign.finished": _type("A run of a campaign has been sent.", _RUN),
    "import.finished": _type(
        "Customers were imported from a file: how many rows did what.",
        {
            "importId": _ID,
            **dict.fromkeys(("created", "updated", "unchanged", "skipped", "failed"), _COUNT),
        },
    ),
    "import.undone": _type(
        "An import was taken back: of how many rows wholly, in part, and not.",
        {"importId": _ID, **dict.fromkeys(("undone", "partly", "kept"), _COUNT)},
    ),
    "export.made": _type(
        "A list was made into a file for somebody.",
        {"file": _TEXT, "rows": _COUNT},
        exportId=_ID,
        kind=_TEXT,
        format=_TEXT,
        filters={
            "type": "array",
            "items": _TEXT,
            "description": "What narrowed it; of what somebody typed only the filter's name",
        },
    ),
    "export.downloaded": _type(
        "Somebody fetched the file of an export.", {"file": _TEXT, "rows": _COUNT, "exportId": _ID}
    ),
    "webhook.test": _type("Somebody tried a webhook.", {"webhookId": _ID}),
}
