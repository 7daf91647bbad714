"""Files that a merchant takes out, and the bytes of each."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel, TenantPart

# A file is a copy of personal data that nobody keeps up to date: long enough to fetch it, no longer.
FILE_KEPT_FOR = timedelta(days=7)
# Who took what out, and when, is on record for as long as jobs are.
ROW_KEPT_FOR = timedelta(days=90)


class Export(TenantModel):
    """One file: what was asked for, and what came of it. The work is a job; how far that is stands there.

    `filters` may hold what somebody typed into a search, and `people` says who stands in the file: both go with the file.
    """

    class Kind(models.TextChoices):
        CUSTOMERS = "customers", "Customers"
        LEDGER = "ledger", "Points ledger"
        PURCHASES = "purchases", "Purchases"
        PURCHASE_ITEMS = "purchase_items", "Purchases by item"
        RETURNS = "returns", "Returns"
        REDEMPTIONS = "redemptions", "Redemptions"

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        XLSX = "xlsx", "Excel"

    class Gone(models.TextChoices):
        NOT_YET = "", "Still here"
        EXPIRED = "expired", "Its time was over"
        ERASURE = "erasure", "Somebody who stood in it was erased"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    format = models.CharField(max_length=4, choices=Format.choices)
    columns = models.JSONField(default=list)
    filters = models.JSONField(default=dict)
    timezone = models.CharField(max_length=64, help_text="In which its days begin and its times are written")
    file_name = models.CharField(max_length=100)
    job_id = models.UUIDField()
    store_id = models.UUIDField(null=True, blank=True)
    actor_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(default=now, editable=False)

    as_of = models.DateTimeField(null=True, blank=True, help_text="The instant at which its rows were chosen")
    run = models.UUIDField(null=True, blank=True, help_text="The attempt whose parts are the file")
    rows = models.BigIntegerField(null=True, blank=True)
    file_bytes = models.BigIntegerField(null=True, blank=True, help_text="As somebody gets it")
    stored_bytes = models.BigIntegerField(null=True, blank=True, help_text="As it is kept: CSV is compressed")
    people = models.BinaryField(null=True, help_text="See cloudpos.exports.people")
    ready_at = models.DateTimeField(null=True, blank=True)
    gone = models.CharField(max_length=10, choices=Gone.choices, blank=True, default=Gone.NOT_YET)
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "exports"
        constraints = [
            unique_in_merchant("exports"),
            models.CheckConstraint(
                condition=Q(
                    kind__in=["customers", "ledger", "purchases", "purchase_items", "returns", "redemptions"]
                ),
                name="exports_kind_known",
            ),
            models.CheckConstraint(condition=Q(format__in=["csv", "xlsx"]), name="exports_format_known"),
            models.CheckConstraint(
                condition=Q(ready_at=None)
                | Q(run__isnull=False, rows__gte=0, file_bytes__gte=0, stored_bytes__gte=0),
                name="exports_ready_has_a_file",
            ),
            models.CheckConstraint(
                condition=Q(gone="", gone_at=None)
                | Q(gone__in=["expired", "erasure"], gone_at__isnull=False, people=None, filters={}),
                name="exports_gone_names_nobody",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-created_at", "-id"], name="exports_log_idx"),
            # Files that are there, or that a job which was stopped has left behind.
            models.Index(fields=["merchant", "created_at"], name="exports_kept_idx", condition=Q(gone="")),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def expires_at(self) -> datetime:
        return self.created_at + FILE_KEPT_FOR

    @property
    def has_file(self) -> bool:
        """Whether it can be fetched."""
        return self.ready_at is not None and not self.gone


class ExportPart(TenantPart):
    """A piece of a file: in the database, where every process reads it. Those of another `run` than the export's are no file."""

    export = TenantForeignKey(Export, on_delete=models.CASCADE, related_name="parts", db_index=False)
    run = models.UUIDField()
    number = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        db_table = "export_parts"
        constraints = [
            *tenant_references("export_parts", "export"),
            models.UniqueConstraint(fields=["merchant", "export", "run", "number"], name="export_parts_uniq"),
            models.CheckConstraint(condition=Q(number__gte=0), name="export_parts_number"),
        ]
