from django.urls import path

from cloudpos.checkout import views

urlpatterns = [
    path("purchases", views.PurchasesView.as_view()),
    path("purchases/quote", views.QuoteView.as_view()),
    path("purchases/batch", views.PurchaseBatchView.as_view()),
    # A till's transaction id may hold slashes.
    path("purchases/<path:transaction_id>/returns", views.ReturnsView.as_view()),
    path("customers/<uuid:customer_id>/purchases", views.CustomerPurchasesView.as_view()),
]
