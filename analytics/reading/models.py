"""The models of a merchant as they are shown: which are used, how right they were, and what was trained before."""

import uuid
from dataclasses import dataclass

from analytics.models import ModelRun, PromotedModel

RUNS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """`latest` is the training after it, which also looked at how this one does by now; itself, if there was none."""

    run: ModelRun
    latest: ModelRun

    @property
    def drift(self) -> list[str]:
        """What was found wrong with this model, in words. What its own training found was wrong with the one it replaced."""
        found: list[str] = self.latest.drift
        return [] if self.latest.pk == self.run.pk else found


@dataclass(frozen=True, slots=True)
class ModelsFound:
    """`in_use` by kind; `runs` are the last trainings of all kinds, newest first."""

    in_use: dict[str, ModelInUse]
    runs: list[ModelRun]


def models_of(merchant_id: uuid.UUID) -> ModelsFound:
    promoted = PromotedModel.objects.for_merchant(merchant_id).select_related("run")
    in_use = {}
    for each in promoted.order_by("kind"):
        trained = ModelRun.objects.for_merchant(merchant_id).filter(kind=each.kind)
        in_use[each.kind] = ModelInUse(each.run, trained.latest("trained_at", "pk"))
    runs = ModelRun.objects.for_merchant(merchant_id).order_by("-trained_at", "-pk")
    return ModelsFound(in_use, list(runs[:RUNS_SHOWN]))
