"""Campaigns: what a merchant says to whom and when, each message with its state, and what came of it.

See docs/adr/0031-campaigns.md.
"""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel, TenantPart
from customers.models import Channel as ConsentChannel
from customers.models import Customer, Purpose
from loyalty.models import Reward

CAMPAIGNS_PER_MERCHANT_MAX = 2_000
CONTROL_PERCENT_DEFAULT = 10
CONTROL_PERCENT_MAX = 50
CONVERSION_DAYS_DEFAULT = 7
CONVERSION_DAYS_MAX = 90
SEND_WITHIN_HOURS_DEFAULT = 48
INCENTIVE_DAYS_DEFAULT = 30
INCENTIVE_DAYS_MAX = 365


class Channel(models.TextChoices):
    """How a message leaves. `webhook` hands it to another system of the merchant's, such as a letter shop."""

    EMAIL = "email", "E-mail"
    SMS = "sms", "Text message"
    PUSH = "push", "Push"
    WEBHOOK = "webhook", "Webhook"


class Campaign(TenantModel):
    """One thing to say. What it says stands in `variants`, one to five: [{"key": "A", "weight": 50, "content": {...}}].

    `state` goes draft -> scheduled -> sending -> sent; paused and cancelled from scheduled and sending. A triggered campaign
    is sending for as long as it listens. `version` counts what a manager writes.
    """

    class Kind(models.TextChoices):
        ONCE = "once", "Once"
        RECURRING = "recurring", "Again and again"
        TRIGGERED = "triggered", "When something happens"

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        SCHEDULED = "scheduled", "Scheduled"
        SENDING = "sending", "Sending"
        PAUSED = "paused", "Paused"
        SENT = "sent", "Sent"
        CANCELLED = "cancelled", "Cancelled"

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.ONCE)
    channel = models.CharField(max_length=10, choices=Channel.choices, default=Channel.EMAIL)
    consent_channel = models.CharField(
        max_length=10,
        choices=ConsentChannel.choices,
        help_text="Whose consent counts: the channel's own, but for a webhook",
    )
    purpose = models.CharField(max_length=15, choices=Purpose.choices, default=Purpose.MARKETING)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT, editable=False)
    include_segments = ArrayField(
        models.UUIDField(), default=list, blank=True, help_text="Who is in any of these; empty: everybody"
    )
    exclude_segments = ArrayField(
        models.UUIDField(), default=list, blank=True, help_text="But nobody in any of these"
    )
    variants = models.JSONField(default=list)
    control_percent = models.PositiveSmallIntegerField(
        default=CONTROL_PERCENT_DEFAULT, help_text="Of the audience, who gets nothing, to compare with"
    )
    send_at = models.DateTimeField(
        null=True, blank=True, help_text="When it is sent, or first; empty: at once"
    )
    recurrence = models.JSONField(
        null=True,
        blank=True,
        help_text='{"every": "day" | "week" | "month", "interval": 1, "at": "09:00"}; store time',
    )
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Nothing is begun from then on")
    trigger = models.JSONField(
        null=True,
        blank=True,
        help_text='{"event": "purchase.recorded"} or {"segment": id}, "delayMinutes", "againAfterDays"',
    )
    incentive_points = models.PositiveIntegerField(
        null=True, blank=True, help_text="Given to each recipient once, just before their message"
    )
    incentive_reward = TenantForeignKey(
        Reward,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        db_index=False,
        help_text="Each recipient gets a voucher for it once, just before their message",
    )
    incentive_days = models.PositiveSmallIntegerField(
        default=INCENTIVE_DAYS_DEFAULT,
        db_default=INCENTIVE_DAYS_DEFAULT,
        help_text="For how many days a voucher can be used",
    )
    conversion_days = models.PositiveSmallIntegerField(
        default=CONVERSION_DAYS_DEFAULT, help_text="A purchase within so many days counts"
    )
    send_within_hours = models.PositiveSmallIntegerField(
        default=SEND_WITHIN_HOURS_DEFAULT, help_text="Who could not be written to by then is not any more"
    )
    next_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    actor_id = models.UUIDField(null=True, blank=True, help_text="Who wrote it last")
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "marketing_campaigns"
        constraints = [
            unique_in_merchant("marketing_campaigns"),
            *tenant_references("marketing_campaigns", "incentive_reward"),
            models.CheckConstraint(
                condition=(Q(incentive_points=None) | Q(incentive_reward=None))
                & Q(incentive_days__gte=1, incentive_days__lte=INCENTIVE_DAYS_MAX),
                name="marketing_campaigns_incentive",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "scheduled", "sending", "paused", "sent", "cancelled"]),
                name="marketing_campaigns_state_known",
            ),
            models.CheckConstraint(
                condition=Q(channel__in=["email", "sms", "push", "webhook"]),
                name="marketing_campaigns_channel_known",
            ),
            models.CheckConstraint(
                condition=Q(kind="once", recurrence=None, trigger=None)
                | Q(kind="recurring", recurrence__isnull=False, trigger=None)
                | Q(kind="triggered", recurrence=None, trigger__isnull=False),
                name="marketing_campaigns_kind",
            ),
            models.CheckConstraint(
                condition=Q(control_percent__lte=CONTROL_PERCENT_MAX)
                & Q(conversion_days__gte=1, conversion_days__lte=CONVERSION_DAYS_MAX)
                & Q(send_within_hours__gte=1),
                name="marketing_campaigns_bounds",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["sent", "cancelled"], finished_at__isnull=False)
                | Q(state__in=["draft", "scheduled", "sending", "paused"], finished_at=None),
                name="marketing_campaigns_over_when_finished",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-created_at", "-id"], name="marketing_campaigns_idx"),
            models.Index(
                fields=["merchant", "next_run_at"],
                name="marketing_campaigns_due_idx",
                condition=Q(next_run_at__isnull=False),
            ),
            models.Index(
                fields=["merchant", "state"],
                name="marketing_campaigns_open_idx",
                condition=Q(state__in=["scheduled", "sending", "paused"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_incentive(self) -> bool:
        return bool(self.incentive_points) or self.incentive_reward_id is not None

    @property
    def is_over(self) -> bool:
        return self.state in (self.State.SENT, self.State.CANCELLED)


class CampaignRun(TenantModel):
    """One time a campaign goes out. Of a triggered campaign there is one, for as long as it listens.

    While it prepares, `cursor` is the last customer that was looked at: a chunk's messages and the cursor are written together.
    """

    class State(models.TextChoices):
        PREPARING = "preparing", "Finding recipients"
        SENDING = "sending", "Sending"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"

    campaign = TenantForeignKey(Campaign, on_delete=models.CASCADE, related_name="runs", db_index=False)
    number = models.PositiveIntegerField(help_text="From 1")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PREPARING)
    due_at = models.DateTimeField()
    cursor = models.UUIDField(null=True, blank=True)
    looked_at = models.PositiveIntegerField(default=0, help_text="Customers in the segments")
    audience = models.PositiveIntegerField(default=0, help_text="Those of them that may be written to")
    prepared_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "campaign_runs"
        constraints = [
            *tenant_references("campaign_runs", "campaign"),
            unique_in_merchant("campaign_runs"),
            models.UniqueConstraint(
                fields=["merchant", "campaign", "number"], name="campaign_runs_number_uniq"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["preparing", "sending", "done", "cancelled"]),
                name="campaign_runs_state_known",
            ),
            models.CheckConstraint(condition=Q(audience__lte=F("looked_at")), name="campaign_runs_audience"),
        ]
        indexes = [
            models.Index(
                fields=["merchant", "campaign"],
                name="campaign_runs_open_idx",
                condition=Q(state__in=["preparing", "sending"]),
            ),
        ]

    def __str__(self) -> str:
        return f"Run {self.number}"


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
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()}, {self.due_at:%Y-%m-%d %H:%M} UTC"


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


class Suppression(TenantModel):
    """An address that nothing is sent to any more. Of the address only a keyed hash is kept: it outlives the customer."""

    class Reason(models.TextChoices):
        BOUNCE = "bounce", "It does not exist"
        COMPLAINT = "complaint", "They complained"
        MANUAL = "manual", "By hand"

    channel = models.CharField(max_length=10, choices=Channel.choices)
    address_hash = models.BinaryField(max_length=16)
    reason = models.CharField(max_length=10, choices=Reason.choices)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "marketing_suppressions"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "channel", "address_hash"], name="marketing_suppressions_uniq"
            ),
            models.CheckConstraint(
                condition=Q(reason__in=["bounce", "complaint", "manual"]),
                name="marketing_suppressions_reason_known",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-created_at"], name="marketing_suppressions_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()}: {self.get_reason_display()}"


class MessagingSettings(TenantModel):
    """How a merchant's messages leave: sender, quiet hours, caps, and the providers with their secrets, encrypted.

    An absent row is the defaults: e-mail from this service's own address, and no provider for anything else.
    """

    class SmsProvider(models.TextChoices):
        NONE = "", "None"
        CONSOLE = "console", "The log (for development)"
        TWILIO = "twilio", "Twilio"

    class PushProvider(models.TextChoices):
        NONE = "", "None"
        CONSOLE = "console", "The log (for development)"
        ONESIGNAL = "onesignal", "OneSignal"

    sender_name = models.CharField(max_length=100, blank=True, help_text="Empty: the merchant's name")
    reply_to = models.EmailField(blank=True)
    postal_address = models.CharField(
        max_length=300,
        blank=True,
        help_text="At the foot of each e-mail: the law of many countries asks for it",
    )
    quiet_from = models.TimeField(
        null=True, blank=True, help_text="Nothing is sent from then, in store time ..."
    )
    quiet_until = models.TimeField(null=True, blank=True, help_text="... until then")
    max_messages_per_week = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="To one customer, of all campaigns; empty: any number"
    )
    per_second = models.DecimalField(
        max_digits=7,
        decimal_places=2,
        default=Decimal(0),
        help_text="Messages a second at most; 0: any number",
    )
    sms_provider = models.CharField(max_length=10, choices=SmsProvider.choices, blank=True, default="")
    sms_account = models.CharField(max_length=100, blank=True)
    sms_sender = models.CharField(max_length=20, blank=True)
    sms_secret_encrypted = models.BinaryField(null=True, editable=False)
    push_provider = models.CharField(max_length=10, choices=PushProvider.choices, blank=True, default="")
    push_account = models.CharField(max_length=100, blank=True)
    push_secret_encrypted = models.BinaryField(null=True, editable=False)
    webhook_url = models.CharField(max_length=2000, blank=True)
    webhook_secret_encrypted = models.BinaryField(null=True, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    updated_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "marketing_messaging_settings"
        verbose_name_plural = "messaging settings"
        constraints = [
            models.UniqueConstraint(fields=["merchant"], name="marketing_messaging_settings_uniq"),
            models.CheckConstraint(
                condition=Q(quiet_from=None, quiet_until=None)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="marketing_messaging_settings_quiet_both",
            ),
            models.CheckConstraint(
                condition=Q(per_second__gte=0), name="marketing_messaging_settings_per_second"
            ),
        ]

    def __str__(self) -> str:
        return "Messaging settings"
