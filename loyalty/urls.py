from django.urls import path

from loyalty import (
    views,
    views_analytics,
    views_promotions,
    views_rewards,
    views_tiers,
    views_vouchers,
)

urlpatterns = [
    path("customers/loyalty/points", views.PointsView.as_view()),
    path("customers/<uuid:customer_id>/loyalty", views.StandingView.as_view()),
    path("customers/<uuid:customer_id>/loyalty/transactions", views.EntriesView.as_view()),
    path("customers/<uuid:customer_id>/loyalty/tiers", views_tiers.TierChangesView.as_view()),
    path("customers/<uuid:customer_id>/loyalty/tier-override", views_tiers.TierOverrideView.as_view()),
    path("customers/<uuid:customer_id>/loyalty/holds", views_rewards.HoldsView.as_view()),
    path("customers/<uuid:customer_id>/loyalty/rewards", views_rewards.OffersView.as_view()),
    path(
        "customers/<uuid:customer_id>/loyalty/rewards/<uuid:reward_id>/redeem",
        views_rewards.RewardRedeemView.as_view(),
    ),
    path("customers/<uuid:customer_id>/loyalty/vouchers", views_vouchers.CustomerVouchersView.as_view()),
    path("loyalty/vouchers/lookup", views_vouchers.VoucherLookupView.as_view()),
    path("loyalty/vouchers/use", views_vouchers.VoucherUseView.as_view()),
    path("loyalty/vouchers/<uuid:voucher_id>/release", views_vouchers.VoucherReleaseView.as_view()),
    path("loyalty/holds/<uuid:hold_id>", views_rewards.HoldView.as_view()),
    path("loyalty/holds/<uuid:hold_id>/capture", views_rewards.HoldCaptureView.as_view()),
    path("loyalty/holds/<uuid:hold_id>/release", views_rewards.HoldReleaseView.as_view()),
    path("loyalty/rewards", views_rewards.RewardsView.as_view()),
    path("loyalty/rewards/<uuid:reward_id>", views_rewards.RewardView.as_view()),
    path("loyalty/redemptions/<uuid:redemption_id>/cancel", views_rewards.RedemptionCancelView.as_view()),
    path("loyalty/promotions", views_promotions.PromotionsView.as_view()),
    path("loyalty/promotions/<uuid:promotion_id>", views_promotions.PromotionView.as_view()),
    path("loyalty/dry-runs", views_promotions.DryRunsView.as_view()),
    path("loyalty/analytics", views_analytics.ProgramAnalyticsView.as_view()),
    path("loyalty/program", views.ProgramView.as_view()),
    path("loyalty/program/preview", views.ProgramPreviewView.as_view()),
]
