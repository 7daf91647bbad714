"""Every table that knows a customer: what a merge, an erasure and an export do with its rows.

A table with a reference to a customer, however indirect, that is not declared here fails
tests/lifecycle/test_tables.py.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db.models import Model

from analytics.models import CustomerFigures, CustomerSnapshot
from cloudpos.models import EventTask
from customers.models import (
    Address,
    Consent,
    Customer,
    Erasure,
    Event,
    ExternalId,
    ImportRow,
    Merge,
    Preferences,
    Purchase,
    PurchaseItem,
    PurchaseReturn,
    PurchaseReturnItem,
)
from loyalty.models import (
    Allocation,
    Enrollment,
    Hold,
    LedgerEntry,
    Lot,
    PromotionAward,
    Redemption,
    Shortfall,
    TierOverride,
    Voucher,
)
from marketing.models import (
    CampaignClick,
    CampaignMessage,
    ConsentRequest,
    SegmentMember,
    WebhookAttempt,
    WebhookDelivery,
)

BOOKKEEPING = "Bookkeeping duty: what was sold, taken back and credited, without personal data."
ACCOUNTABILITY = "Duty to prove what was consented to and when (GDPR article 7): without the IP address."
PROTOCOL = "The record of the change itself: ids and times."


class OnMerge(StrEnum):
    """What becomes of the source's rows."""

    MOVES = "moves"
    """They become the target's; the merge keeps their ids for its undo."""
    FOLLOWS = "follows"
    """They hang on a row that moves."""
    STAYS = "stays"
    """They stay with the source, which the export and the timeline of the target include."""


class OnErase(StrEnum):
    DELETED = "deleted"
    EMPTIED = "emptied"
    """The columns in `emptied` lose their content; the row stays."""
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Table:
    """`path` leads from the model to the customer's id; `key` names the rows in the export, in order of `order`.

    `hidden` columns are not exported: they repeat others in a form of ours (search lexemes, hashes).
    """

    model: type[Model]
    path: str
    key: str
    on_merge: OnMerge
    on_erase: OnErase
    why: str
    emptied: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ("pk",)
    hidden: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        return self.model._meta.label

    @property
    def columns(self) -> tuple[str, ...]:
        """The attribute names of what is exported."""
        return tuple(
            column.attname
            for column in self.model._meta.concrete_fields
            if column.name != "merchant" and column.attname not in self.hidden
        )


_PROFILE_EMPTIED: dict[str, Any] = {
    "first_name": "",
    "last_name": "",
    "company_name": "",
    "tax_id": "",
    "email": "",
    "email_key": "",
    "phone": "",
    "date_of_birth": None,
    "gender": "",
    "language": "",
    "notes": "",
    "tags": [],
    "metadata": {},
    "search": [],
    "sort_name": "",
}

TABLES = (
    Table(
        Customer,
        "id",
        "customers",
        OnMerge.STAYS,
        OnErase.EMPTIED,
        "The bare record stays as the owner of purchases and points: number, standing and dates.",
        emptied=_PROFILE_EMPTIED,
        hidden=frozenset({"search", "sort_name", "email_key"}),
    ),
    Table(
        Address,
        "customer_id",
        "addresses",
        OnMerge.MOVES,
        OnErase.DELETED,
        "No duty to keep.",
        order=("created_at",),
    ),
    Table(Preferences, "customer_id", "preferences", OnMerge.STAYS, OnErase.DELETED, "No duty to keep."),
    Table(
        Consent,
        "customer_id",
        "consents",
        OnMerge.MOVES,
        OnErase.EMPTIED,
        ACCOUNTABILITY,
        emptied={"ip": None},
        order=("occurred_at", "pk"),
    ),
    Table(
        Purchase,
        "customer_id",
        "purchases",
        OnMerge.MOVES,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("occurred_at", "pk"),
        hidden=frozenset({"content_hash", "receipt"}),
    ),
    Table(
        PurchaseItem,
        "purchase__customer_id",
        "purchaseItems",
        OnMerge.FOLLOWS,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("purchase_id", "line"),
    ),
    Table(
        PurchaseReturn,
        "customer_id",
        "returns",
        OnMerge.MOVES,
        OnErase.EMPTIED,
        BOOKKEEPING,
        emptied={"reason": ""},
        order=("occurred_at", "pk"),
        hidden=frozenset({"content_hash", "receipt"}),
    ),
    Table(
        PurchaseReturnItem,
        "purchase_return__customer_id",
        "returnItems",
        OnMerge.FOLLOWS,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("purchase_return_id", "line"),
    ),
    Table(
        Event,
        "customer_id",
        "events",
        OnMerge.MOVES,
        OnErase.EMPTIED,
        "Statistics: that something happened and when. What a client attached to its own events is emptied.",
        emptied={"data": {}, "external_id": ""},
        order=("occurred_at", "pk"),
        hidden=frozenset({"dispatched_at", "request_id"}),
    ),
    Table(
        EventTask,
        "event__customer_id",
        "eventTasks",
        OnMerge.FOLLOWS,
        OnErase.KEPT,
        "Work on an event that is still to be done: ids only.",
    ),
    Table(
        WebhookDelivery,
        "event__customer_id",
        "webhookDeliveries",
        OnMerge.FOLLOWS,
        OnErase.EMPTIED,
        "The log of what was sent where: without what was sent of a client's own events.",
        emptied={"body": b"", "response_body": ""},
        hidden=frozenset({"body"}),
    ),
    Table(
        WebhookAttempt,
        "delivery__event__customer_id",
        "webhookAttempts",
        OnMerge.FOLLOWS,
        OnErase.EMPTIED,
        "The log of what was sent where: without what was answered to a client's own events.",
        emptied={"response_body": ""},
    ),
    Table(
        Enrollment,
        "customer_id",
        "loyaltyAccounts",
        OnMerge.STAYS,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("enrolled_at",),
    ),
    Table(
        LedgerEntry,
        "enrollment__customer_id",
        "loyaltyTransactions",
        OnMerge.STAYS,
        OnErase.EMPTIED,
        BOOKKEEPING,
        emptied={"description": ""},
        order=("enrollment_id", "version"),
        hidden=frozenset({"content_hash"}),
    ),
    Table(
        Lot,
        "enrollment__customer_id",
        "loyaltyLots",
        OnMerge.STAYS,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("enrollment_id", "earned_at", "pk"),
    ),
    Table(
        Allocation,
        "entry__enrollment__customer_id",
        "loyaltyAllocations",
        OnMerge.STAYS,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("entry_id", "pk"),
    ),
    Table(
        Shortfall,
        "enrollment__customer_id",
        "loyaltyShortfalls",
        OnMerge.STAYS,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("recorded_at", "pk"),
    ),
    Table(
        Hold,
        "customer_id",
        "loyaltyHolds",
        OnMerge.MOVES,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("created_at", "pk"),
        hidden=frozenset({"content_hash"}),
    ),
    Table(
        Redemption,
        "customer_id",
        "loyaltyRedemptions",
        OnMerge.MOVES,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("redeemed_at", "pk"),
        hidden=frozenset({"content_hash"}),
    ),
    Table(
        Voucher,
        "customer_id",
        "loyaltyVouchers",
        OnMerge.MOVES,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("given_at", "pk"),
    ),
    Table(
        TierOverride,
        "customer_id",
        "loyaltyTierOverrides",
        OnMerge.MOVES,
        OnErase.EMPTIED,
        BOOKKEEPING,
        emptied={"reason": "", "end_reason": ""},
        order=("recorded_at", "pk"),
    ),
    Table(
        PromotionAward,
        "customer_id",
        "loyaltyAwards",
        OnMerge.MOVES,
        OnErase.KEPT,
        BOOKKEEPING,
        order=("occurred_at", "pk"),
    ),
    Table(
        CustomerFigures,
        "customer_id",
        "analyticsFigures",
        OnMerge.STAYS,
        OnErase.DELETED,
        "A profile of the person. After a merge it is worked out anew.",
    ),
    Table(
        CustomerSnapshot,
        "customer_id",
        "analyticsSnapshots",
        OnMerge.STAYS,
        OnErase.DELETED,
        "A profile of the person over time.",
        order=("month",),
    ),
    Table(
        ConsentRequest,
        "customer_id",
        "consentRequests",
        OnMerge.STAYS,
        OnErase.DELETED,
        "What was confirmed is in the log of consents.",
        hidden=frozenset({"address_hash"}),
        order=("created_at", "pk"),
    ),
    Table(
        CampaignMessage,
        "customer_id",
        "campaignMessages",
        OnMerge.STAYS,
        OnErase.KEPT,
        "What a campaign came to: without address and text.",
        order=("due_at", "pk"),
        hidden=frozenset({"claim", "leased_until"}),
    ),
    Table(
        CampaignClick,
        "message__customer_id",
        "campaignClicks",
        OnMerge.FOLLOWS,
        OnErase.DELETED,
        "When somebody read what.",
        order=("occurred_at", "pk"),
    ),
    Table(
        SegmentMember,
        "customer_id",
        "segments",
        OnMerge.STAYS,
        OnErase.DELETED,
        "Which groups somebody belonged to. After a merge the target is asked anew, and follows onto lists.",
        order=("entered_at", "pk"),
    ),
    Table(
        ExternalId,
        "customer_id",
        "externalIds",
        OnMerge.MOVES,
        OnErase.DELETED,
        "No duty to keep.",
        order=("created_at", "pk"),
    ),
    Table(
        ImportRow,
        "customer_id",
        "imports",
        OnMerge.STAYS,
        OnErase.EMPTIED,
        "That a row of a file was this customer's: without what it said. Deleted with the import's file after 30 days.",
        emptied={"before": {}, "after": {}, "problems": [], "undo_notes": []},
        order=("source_id", "number"),
    ),
    Table(
        Merge,
        "target_id",
        "merges",
        OnMerge.STAYS,
        OnErase.EMPTIED,
        PROTOCOL,
        emptied={"moved": {}},
        order=("merged_at", "pk"),
    ),
    Table(
        Erasure, "customer_id", "erasures", OnMerge.STAYS, OnErase.KEPT, PROTOCOL, order=("erased_at", "pk")
    ),
)
BY_MODEL = {table.model: table for table in TABLES}
MOVING = tuple(table for table in TABLES if table.on_merge is OnMerge.MOVES)
