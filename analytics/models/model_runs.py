"""The models that were trained, and which of them are in use."""

from django.db import models
from django.db.models import Q
from django.utils.timezone import now

from cloudpos.tenancy.constraints import tenant_references, unique_in_merchant
from cloudpos.tenancy.models import TenantForeignKey, TenantModel


class ModelRun(TenantModel):
    """One training of one kind of model on one merchant's purchases. A trigger refuses every change.

    Metrics are of the window (window_cut_off, window_until]: of this run's way of training up to the cut-off, of the naive rule,
    and of the model that was in use when it was trained. All of them are empty without a closed window.
    """

    class Kind(models.TextChoices):
        CHURN = "churn", "Churn"
        LIFETIME_VALUE = "lifetime_value", "Lifetime value"

    class Method(models.TextChoices):
        FIXED = "fixed", "Parameters of other shops"
        FITTED = "fitted", "Fitted to this merchant"
        BLEND = "blend", "Blend of two models of this merchant"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    method = models.CharField(max_length=20, choices=Method.choices)
    as_of = models.DateField(help_text="The last day that was learnt from")
    horizon_days = models.IntegerField()
    sample_size = models.IntegerField(help_text="Who had bought by then, of those that were learnt from")
    feature_schema = models.CharField(max_length=64)
    parameters = models.JSONField()
    window_cut_off = models.DateField(null=True)
    window_until = models.DateField(null=True)
    window_size = models.IntegerField(default=0)
    metrics = models.JSONField(default=dict)
    active_metrics = models.JSONField(default=dict, help_text="Of customers who bought in the last 180 days")
    rule_metrics = models.JSONField(default=dict)
    current_metrics = models.JSONField(default=dict)
    calibration = models.JSONField(default=list)
    score_shares = models.JSONField(default=list, help_text="Shares of the scores by tenths")
    horizon_suggestion_days = models.IntegerField(null=True)
    drift = models.JSONField(default=list, help_text="What was found of the model in use, in words")
    verdict = models.CharField(max_length=300, help_text="Why it was promoted or not")
    trained_at = models.DateTimeField(default=now)

    class Meta:
        db_table = "analytics_model_runs"
        constraints = [
            unique_in_merchant("analytics_model_runs"),
            models.CheckConstraint(
                condition=Q(kind__in=["churn", "lifetime_value"]), name="analytics_model_runs_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(method__in=["fixed", "fitted", "blend"]),
                name="analytics_model_runs_method_known",
            ),
            models.CheckConstraint(
                condition=Q(horizon_days__gte=1, sample_size__gte=0, window_size__gte=0),
                name="analytics_model_runs_numbers",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "kind", "-trained_at"], name="analytics_model_runs_time_idx")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.as_of}"


class PromotedModel(TenantModel):
    """Which run the predictions of a merchant come from."""

    kind = models.CharField(max_length=20, choices=ModelRun.Kind.choices)
    run = TenantForeignKey(ModelRun, on_delete=models.PROTECT, related_name="+", db_index=False)
    promoted_at = models.DateTimeField(default=now)

    class Meta:
        db_table = "analytics_promoted_models"
        constraints = [
            *tenant_references("analytics_promoted_models", "run"),
            models.UniqueConstraint(fields=["merchant", "kind"], name="analytics_promoted_models_uniq"),
        ]

    def __str__(self) -> str:
        return self.kind
