"""Campaigns: what a merchant says to whom and when, and each time that it is sent.

See docs/adr/0031-campaigns.md.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel
from customers.models import Channel as ConsentChannel
from customers.models import Purpose
from loyalty.models import Reward
from marketing.models_messaging import Channel

CAMPAIGNS_PER_MERCHANT_MAX = 2_000
CONTROL_PERCENT_DEFAULT = 10
CONTROL_PERCENT_MAX = 50
CONVERSION_DAYS_DEFAULT = 7
CONVERSION_DAYS_MAX = 90
SEND_WITHIN_HOURS_DEFAULT = 48
INCENTIVE_DAYS_DEFAULT = 30
INCENTIVE_DAYS_MAX = 365


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
