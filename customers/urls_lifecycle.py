"""Routes of customers about their records as such; those that also touch points are in cloudpos.lifecycle."""

from django.urls import path

from customers.views_duplicates import DuplicatesView

urlpatterns = [
    path("customers/duplicates", DuplicatesView.as_view(), name="customer-duplicates"),
]
