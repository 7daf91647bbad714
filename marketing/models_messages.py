"""What a campaign says to each customer: a row per message with its state, and what the customer did with it.

See docs/adr/0031-campaigns.md.
"""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel, TenantPart
from customers.models import Customer
from marketing.models_campaigns import Campaign, CampaignRun


class CampaignMessage(TenantModel):
    """One recipient of a run, or one of those who get nothing, to compare with. Holds no address and no text.

    pending -> claimed by a worker -> sending, written just before it leaves -> sent. What was claimed by a worker that died is
    pending again; what it was sending is `unknown`, and is never sent again by itself. `claim` fences: a worker writes only
    what it still holds. `due_at` is when it was meant to go, and what purchases are counted from in both groups.
    """

    class State(models.TextChoices):
        CONTROL = "control", "Control group"
        PENDING = "pending", "Waiting"
        CLAIMED = "claimed", "Next"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        DELIVERED = "delivered", "Delivered"
        BOUNCED = "bounced", "Bounced"
        FAILED = "failed", "Not sent"
        SKIPPED = "skipped", "Left out"
        UNKNOWN = "unknown", "Unknown"
        CANCELLED = "cancelled", "Cancelled"

    campaign = TenantForeignKey(Campaign, on_delete=models.CASCADE, related_name="+", db_index=False)
    run = TenantForeignKey(CampaignRun, on_delete=models.CASCADE, related_name="messages", db_index=False)
    customer = TenantForeignKey(Customer, on_delete=models.CASCADE, related_name="+", db_index=False)
    occasion = models.CharField(
        max_length=40, blank=True, default="", help_text="What set it off: the event's id, or empty"
    )
    variant = models.CharField(max_length=1, blank=True, help_text="Empty: control group")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=40, blank=True, help_text="Why it was left out or failed")
    error = models.CharField(max_length=300, blank=True)
    due_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    claim = models.UUIDField(null=True, blank=True, editable=False)
    leased_until = models.DateTimeField(null=True, blank=True)
    provider_id = models.CharField(max_length=200, blank=True, help_text="The provider's name of it")
    link_code = models.BigIntegerField(
        null=True, blank=True, editable=False, help_text="What stands for it in its short links"
    )
    incentive_given = models.BooleanField(default=False)
    begun_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    bounced_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True, help_text="First")
    clicked_at = models.DateTimeField(null=True, blank=True, help_text="First")
    unsubscribed_at = models.DateTimeField(null=True, blank=True)
    complained_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "campaign_messages"
        constraints = [
            *tenant_references("campaign_messages", "campaign", "run", "customer"),
            unique_in_merchant("campaign_messages"),
            # Nobody gets it twice, however often recipients are found.
            models.UniqueConstraint(
                fields=["merchant", "run", "customer", "occasion"], name="campaign_messages_once"
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "control", "pending", "claimed", "sending", "sent", "delivered", "bounced", "failed",
                        "skipped", "unknown", "cancelled",
                    ]
                ),
                name="campaign_messages_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="control", variant="") | (~Q(state="control") & ~Q(variant="")),
                name="campaign_messages_control_has_no_variant",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", next_attempt_at__isnull=False)
                | (~Q(state="pending") & Q(next_attempt_at=None)),
                name="campaign_messages_pending_has_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["claimed", "sending"], claim__isnull=False, leased_until__isnull=False)
                | (~Q(state__in=["claimed", "sending"]) & Q(leased_until=None)),
                name="campaign_messages_leased",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(
                fields=["merchant", "run", "next_attempt_at"],
                name="campaign_messages_due_idx",
                condition=Q(state="pending"),
            ),
            models.Index(
                fields=["merchant", "run", "leased_until"],
                name="campaign_messages_leased_idx",
                condition=Q(state__in=["claimed", "sending"]),
            ),
            # How often a customer was written to lately, and their export.
            models.Index(fields=["merchant", "customer", "begun_at"], name="campaign_messages_cust_idx"),
            models.Index(fields=["merchant", "campaign", "state"], name="campaign_messages_result_idx"),
            models.Index(
                fields=["merchant", "campaign", "link_code"],
                name="campaign_messages_link_idx",
                condition=Q(link_code__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()}, {self.due_at:%Y-%m-%d %H:%M} UTC"


class CampaignLink(TenantModel):
    """Where a short link leads: a link of a campaign's text as its author wrote it. Nothing of anybody who got it.

    What a text said before it was changed has rows of its own, so that links in messages that are out stay what they were.
    """

    campaign = TenantForeignKey(Campaign, on_delete=models.CASCADE, related_name="links", db_index=False)
    variant = models.CharField(max_length=1)
    number = models.PositiveSmallIntegerField(help_text="Which link of the variant, from 1")
    url = models.CharField(max_length=2000, help_text="Liquid, where it says something of its reader")
    code = models.BigIntegerField(help_text="What stands for it in a short link")
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "campaign_links"
        constraints = [
            *tenant_references("campaign_links", "campaign"),
            models.UniqueConstraint(fields=["merchant", "code"], name="campaign_links_code_uniq"),
        ]
        indexes = [
            # Its reader names no merchant.
            models.Index(fields=["code"], name="campaign_links_code_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.variant}{self.number}"


class CampaignClick(TenantPart):
    """A link of a message was followed, or its picture fetched. Nothing of who it was but the message."""

    class Kind(models.TextChoices):
        OPEN = "open", "Opened"
        CLICK = "click", "Clicked"

    message = TenantForeignKey(
        CampaignMessage, on_delete=models.CASCADE, related_name="clicks", db_index=False
    )
    # Without a key of its own: the message's proves it.
    campaign_id = models.UUIDField()
    kind = models.CharField(max_length=5, choices=Kind.choices)
    link = models.PositiveSmallIntegerField(
        default=0, help_text="Which link of the variant, from 1; 0 of an opening"
    )
    occurred_at = models.DateTimeField(default=now)

    class Meta:
        db_table = "campaign_clicks"
        constraints = [
            *tenant_references("campaign_clicks", "message"),
            models.CheckConstraint(
                condition=Q(kind__in=["open", "click"]), name="campaign_clicks_kind_known"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "campaign_id", "occurred_at"], name="campaign_clicks_time_idx"),
            models.Index(fields=["merchant", "message"], name="campaign_clicks_message_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.occurred_at:%Y-%m-%d %H:%M} UTC"
