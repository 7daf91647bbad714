"""A model run says what was true when it was trained: the database lets nobody change it."""

from datetime import date

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from analytics.models import ModelRun, PromotedModel
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db


def make_run(shop: Shop) -> ModelRun:
    return ModelRun.objects.create(
        merchant=shop.merchant,
        kind=ModelRun.Kind.CHURN,
        method=ModelRun.Method.FIXED,
        as_of=date(2026, 6, 30),
        horizon_days=90,
        sample_size=0,
        feature_schema="",
        parameters={},
        verdict="The first one.",
    )


def test_a_run_is_never_changed_nor_deleted(shop: Shop) -> None:
    run = make_run(shop)
    run.sample_size = 9_000
    with (
        pytest.raises(DatabaseError, match="UPDATE on analytics_model_runs is refused"),
        transaction.atomic(),
    ):
        run.save(update_fields=["sample_size"])
    with (
        pytest.raises(DatabaseError, match="DELETE on analytics_model_runs is refused"),
        transaction.atomic(),
    ):
        run.delete()


def test_of_each_kind_one_run_is_in_use(shop: Shop) -> None:
    for _ in range(2):
        run = make_run(shop)
    PromotedModel.objects.create(merchant=shop.merchant, kind=run.kind, run=run)
    with pytest.raises(IntegrityError, match="analytics_promoted_models_uniq"), transaction.atomic():
        PromotedModel.objects.create(merchant=shop.merchant, kind=run.kind, run=run)
