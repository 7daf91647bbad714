"""Files of customers that a merchant brings in: the file itself, what was said of its columns, and what became of its rows."""

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import Store, TenantForeignKey, TenantModel, TenantPart
from customers.models.customer import Customer

# The file, the problems of its rows and what an undo needs are personal data: they are kept as long as a person may need them.
KEPT_FOR = timedelta(days=30)
# Of a file that was never imported nobody needs anything: as long as one may take to find out what to do with it.
DRAFTS_KEPT_FOR = timedelta(days=3)
EXTERNAL_ID_CHARS_MAX = 100


class Import(TenantModel):
    """One file. Long work on it is a job; how far that is stands here too, so that another job goes on where one was stopped.

    `layout` is how the file is read, with its columns' names and some of their values; `settings` is what becomes of them.
    """

    class State(models.TextChoices):
        UPLOADING = "uploading", "Being uploaded"
        UPLOADED = "uploaded", "Uploaded"
        CHECKING = "checking", "Being checked"
        CHECKED = "checked", "Checked"
        RUNNING = "running", "Being imported"
        DONE = "done", "Imported"
        UNDOING = "undoing", "Being undone"
        UNDONE = "undone", "Undone"

    # Nothing came of it yet.
    DRAFTS = (State.UPLOADING, State.UPLOADED, State.CHECKING, State.CHECKED)

    file_name = models.CharField(max_length=200)
    file_bytes = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.UPLOADING)
    layout = models.JSONField(default=dict)
    settings = models.JSONField(default=dict)
    position = models.IntegerField(
        default=0, help_text="Number of the last row that the import, or its undo, is done with"
    )
    check_counts = models.JSONField(default=dict)
    run_counts = models.JSONField(default=dict)
    undo_counts = models.JSONField(default=dict)
    job_id = models.UUIDField(null=True, blank=True, help_text="The job that was asked for last")
    # Where new customers are at home.
    store = TenantForeignKey(
        Store, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    actor_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When its last row was imported")
    undone_at = models.DateTimeField(null=True, blank=True)
    forgotten_at = models.DateTimeField(
        null=True, blank=True, help_text="When the file, its rows and the way back were deleted"
    )

    class Meta:
        db_table = "customer_imports"
        constraints = [
            unique_in_merchant("customer_imports"),
            *tenant_references("customer_imports", "store"),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "uploading",
                        "uploaded",
                        "checking",
                        "checked",
                        "running",
                        "done",
                        "undoing",
                        "undone",
                    ]
                ),
                name="customer_imports_state_known",
            ),
            models.CheckConstraint(
                condition=Q(file_bytes__gte=0, position__gte=0), name="customer_imports_numbers"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-created_at", "-id"], name="customer_imports_log_idx"),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def kept_until(self) -> datetime:
        return self.created_at + (DRAFTS_KEPT_FOR if self.is_draft else KEPT_FOR)

    @property
    def is_draft(self) -> bool:
        return self.state in self.DRAFTS


class ImportPart(TenantPart):
    """A piece of a file: in the database, where every process reads it."""

    # Django's models have no attribute called `import`.
    source = TenantForeignKey(Import, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        db_table = "customer_import_parts"
        constraints = [
            *tenant_references("customer_import_parts", "source"),
            models.UniqueConstraint(
                fields=["merchant", "source", "number"], name="customer_import_parts_uniq"
            ),
            models.CheckConstraint(condition=Q(number__gte=0), name="customer_import_parts_number"),
        ]


class ImportRow(TenantPart):
    """What became of a row of a file: in the check (only those with a problem), or in the import (all of them).

    `number` counts from 1 as a spreadsheet does, its heading included. `before` and `after` have the columns that were changed,
    for the undo.
    """

    class Phase(models.TextChoices):
        CHECK = "check", "Check"
        RUN = "run", "Import"

    class Outcome(models.TextChoices):
        CREATED = "created", "Created"
        UPDATED = "updated", "Updated"
        UNCHANGED = "unchanged", "Unchanged"
        SKIPPED = "skipped", "Left out"
        FAILED = "failed", "Not imported"

    class Undo(models.TextChoices):
        NOT_YET = "", "Not undone"
        UNDONE = "undone", "Undone"
        PARTLY = "partly", "Partly undone"
        KEPT = "kept", "Could not be undone"

    source = TenantForeignKey(Import, on_delete=models.CASCADE, related_name="rows", db_index=False)
    phase = models.CharField(max_length=5, choices=Phase.choices)
    number = models.IntegerField()
    outcome = models.CharField(max_length=9, choices=Outcome.choices)
    customer = TenantForeignKey(
        Customer, on_delete=models.CASCADE, related_name="+", null=True, blank=True, db_index=False
    )
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    version = models.IntegerField(null=True, blank=True, help_text="The customer's, after the import")
    problems = models.JSONField(default=list)
    undo = models.CharField(max_length=6, choices=Undo.choices, blank=True, default=Undo.NOT_YET)
    undo_notes = ArrayField(models.CharField(max_length=200), default=list)

    class Meta:
        db_table = "customer_import_rows"
        constraints = [
            *tenant_references("customer_import_rows", "source", "customer"),
            models.UniqueConstraint(
                fields=["merchant", "source", "phase", "number"], name="customer_import_rows_uniq"
            ),
            models.CheckConstraint(
                condition=Q(phase__in=["check", "run"]), name="customer_import_rows_phase"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["created", "updated", "unchanged", "skipped", "failed"]),
                name="customer_import_rows_outcome",
            ),
            models.CheckConstraint(
                condition=Q(undo__in=["", "undone", "partly", "kept"]), name="customer_import_rows_undo"
            ),
        ]
        indexes = [
            # Found again when the customer is erased.
            models.Index(
                fields=["merchant", "customer"],
                name="customer_import_rows_who_idx",
                condition=Q(customer__isnull=False),
            ),
            models.Index(
                fields=["merchant", "source", "phase", "number"],
                name="customer_import_rows_bad_idx",
                condition=Q(outcome="failed"),
            ),
            models.Index(
                fields=["merchant", "source", "number"],
                name="customer_import_rows_undo_idx",
                condition=Q(undo__in=["partly", "kept"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.get_outcome_display()}"


class ExternalId(TenantPart):
    """What another system calls a customer. One may have several: of several systems, or after a merge."""

    customer = TenantForeignKey(
        Customer, on_delete=models.CASCADE, related_name="external_ids", db_index=False
    )
    external_id = models.CharField(max_length=EXTERNAL_ID_CHARS_MAX)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        db_table = "customer_external_ids"
        constraints = [
            *tenant_references("customer_external_ids", "customer"),
            models.UniqueConstraint(fields=["merchant", "external_id"], name="customer_external_ids_uniq"),
            models.CheckConstraint(condition=~Q(external_id=""), name="customer_external_ids_said"),
        ]
        indexes = [models.Index(fields=["merchant", "customer"], name="customer_external_ids_who_idx")]

    def __str__(self) -> str:
        return self.external_id
