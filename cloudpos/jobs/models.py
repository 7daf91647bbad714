"""The jobs' own table."""

from django.db import models
from django.db.models import F, Q
from django.utils.timezone import now

from cloudpos.tenancy.models import TenantModel


class Job(TenantModel):
    """One piece of long work for a merchant, from its request to its end. See docs/adr/0021-jobs.md.

    `parameters`, `cursor`, `counts` and `result` hold ids and facts, no personal data.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    kind = models.CharField(max_length=60, help_text="A name of cloudpos.jobs.kinds")
    key = models.CharField(
        max_length=100, blank=True, help_text="Of one merchant, kind and key only one is active at a time"
    )
    parameters = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, blank=True, help_text="Empty: not known yet")
    counts = models.JSONField(default=dict, blank=True)
    cursor = models.JSONField(null=True, blank=True, help_text="Where whoever takes it over goes on")
    result = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    error = models.CharField(max_length=300, blank=True)
    cancel_requested = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="How often it was taken since it last came further"
    )
    # Who holds it: a process that lost its lease must not write any more.
    claim = models.UUIDField(null=True, blank=True, editable=False)
    leased_until = models.DateTimeField(
        null=True, blank=True, help_text="A process that died gives it up after this"
    )
    actor_id = models.UUIDField(null=True, blank=True, help_text="Who asked for it; empty: a schedule")
    created_at = models.DateTimeField(default=now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "jobs"
        constraints = [
            # Also how due jobs are found: it holds only those that are not over.
            models.UniqueConstraint(
                fields=["merchant", "kind", "key"],
                condition=Q(state__in=["queued", "running"]),
                name="jobs_active_uniq",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "done", "failed", "cancelled"]),
                name="jobs_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running"], finished_at=None)
                | Q(state__in=["done", "failed", "cancelled"], finished_at__isnull=False),
                name="jobs_over_when_finished",
            ),
            models.CheckConstraint(
                condition=Q(state="running", claim__isnull=False, leased_until__isnull=False)
                | (~Q(state="running") & Q(claim=None, leased_until=None)),
                name="jobs_running_is_leased",
            ),
            models.CheckConstraint(
                condition=Q(done__gte=0) & (Q(total=None) | Q(total__gte=F("done"))), name="jobs_progress"
            ),
        ]
        indexes = [models.Index(fields=["merchant", "-created_at", "-id"], name="jobs_log_idx")]

    def __str__(self) -> str:
        return self.kind

    @property
    def is_active(self) -> bool:
        """Whether it is not over yet."""
        return self.state in (self.State.QUEUED, self.State.RUNNING)
