"""Routes of one customer's record as a whole, below /api/v1."""

from django.urls import path

from cloudpos.lifecycle import views

urlpatterns = [
    path("customers/<uuid:customer_id>/timeline", views.TimelineView.as_view(), name="customer-timeline"),
    path("customers/<uuid:customer_id>/merge", views.MergeView.as_view(), name="customer-merge"),
    path(
        "customers/<uuid:customer_id>/merge/<uuid:merge_id>/undo",
        views.UndoMergeView.as_view(),
        name="customer-merge-undo",
    ),
    path("customers/<uuid:customer_id>/erase", views.EraseView.as_view(), name="customer-erase"),
    path("customers/<uuid:customer_id>/export", views.ExportView.as_view(), name="customer-export"),
]
