"""Routes below /admin/analytics/."""

from django.urls import path

from cloudpos.admin.analytics.at_risk import at_risk_page, at_risk_part
from cloudpos.admin.analytics.buyers import buyers_page
from cloudpos.admin.analytics.cohorts import cohort_page, cohorts_page
from cloudpos.admin.analytics.predictions import predictions_page
from cloudpos.admin.analytics.products import product_buyers_page, products_page
from cloudpos.admin.analytics.recalculation import recalculation_page
from cloudpos.admin.analytics.rfm import rfm_cell_page, rfm_part
from cloudpos.admin.analytics.segments import moved_page, segments_page
from cloudpos.admin.analytics.thresholds import thresholds_page

urlpatterns = [
    path("buyers/<str:group>/", buyers_page, name="buyers_page"),
    path("at-risk/", at_risk_page, name="at_risk_page"),
    path("at-risk/part/", at_risk_part, name="at_risk_part"),
    path("cohorts/", cohorts_page, name="cohorts_page"),
    path("cohorts/<str:cohort>/<int:k>/", cohort_page, name="cohort_page"),
    path("products/", products_page, name="products_page"),
    path("products/customers/", product_buyers_page, name="product_buyers_page"),
    path("rfm/", rfm_part, name="rfm_part"),
    path("rfm/<int:recency>/<int:frequency>/", rfm_cell_page, name="rfm_cell_page"),
    path("predictions/", predictions_page, name="predictions_page"),
    path("recalculation/", recalculation_page, name="recalculation_page"),
    path("segments/", segments_page, name="segments_page"),
    path("segments/<str:month>/<str:segment>/<str:direction>/", moved_page, name="moved_page"),
    path("segment-rules/", thresholds_page, name="thresholds_page"),
]
