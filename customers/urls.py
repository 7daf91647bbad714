"""Routes below /api/v1. `<uuid:...>` never matches a word, so `/customers/stats` cannot be taken for an id."""

from django.urls import include, path

from customers import views, views_parts

urlpatterns = [
    path("", include("customers.urls_lifecycle")),
    path("", include("customers.urls_events")),
    path("", include("customers.imports.urls")),
    path("customers", views.CustomersView.as_view(), name="customers"),
    path("customers/stats", views.StatsView.as_view(), name="customer-stats"),
    path("customers/lookup", views.LookupView.as_view(), name="customer-lookup"),
    path("customers/batch", views.BatchView.as_view(), name="customer-batch"),
    path("customers/<uuid:customer_id>", views.CustomerView.as_view(), name="customer"),
    path(
        "customers/<uuid:customer_id>/addresses",
        views_parts.AddressesView.as_view(),
        name="customer-addresses",
    ),
    path(
        "customers/<uuid:customer_id>/addresses/<uuid:address_id>",
        views_parts.AddressView.as_view(),
        name="customer-address",
    ),
    path(
        "customers/<uuid:customer_id>/preferences",
        views_parts.PreferencesView.as_view(),
        name="customer-preferences",
    ),
    path(
        "customers/<uuid:customer_id>/consents", views_parts.ConsentsView.as_view(), name="customer-consents"
    ),
]
