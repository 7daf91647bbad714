"""The tables of analytics, one file per noun."""

from analytics.models.articles import Article
from analytics.models.customer_figures import HORIZONS_DAYS, CustomerFigures, Level
from analytics.models.customer_snapshots import CustomerSnapshot
from analytics.models.cut_points import CutPoints
from analytics.models.model_runs import ModelRun, PromotedModel
from analytics.models.rollups import ChangedDays, PurchaseRollup, RollupDay, RollupMember, RollupSpan
from analytics.models.segment_moves import SegmentMoves
from analytics.models.settings import AnalyticsSettings

__all__ = [
    "HORIZONS_DAYS",
    "AnalyticsSettings",
    "Article",
    "ChangedDays",
    "CustomerFigures",
    "CustomerSnapshot",
    "CutPoints",
    "Level",
    "ModelRun",
    "PromotedModel",
    "PurchaseRollup",
    "RollupDay",
    "RollupMember",
    "RollupSpan",
    "SegmentMoves",
]
