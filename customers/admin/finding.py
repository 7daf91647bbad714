"""Finding rows by whose they are."""

import uuid
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.models import Merchant, Store
from customers.models import Customer
from customers.search import prefix_query

CUSTOMERS_MATCHED_MAX = 200


def matching_customers(merchant: Merchant, text: str) -> QuerySet[Customer]:
    """Visible customers of `merchant` found by name, e-mail, phone or number, through the search index."""
    query = prefix_query(search_key=merchant.search_key, text=text)
    rows = Customer.objects.for_merchant(merchant).visible()
    return rows.filter(search__matches=query) if query else rows.none()


class CustomerFilter(SimpleListFilter):
    """Set by links from the customer page; offers nothing by itself."""

    title = "customer"
    parameter_name = "customer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        try:
            wanted = uuid.UUID(request.GET.get("customer", ""))
        except ValueError:
            return []
        found = (
            staff_access(request)
            .listed(Customer.objects.filter(pk=wanted).defer("search"), "merchant")
            .first()
        )
        return [(str(found.pk), found.display_name)] if found else []

    def has_output(self) -> bool:
        return self.value() is not None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        chosen = [key for key, _ in self.lookup_choices]
        return queryset.filter(**{f"{self.customer_field}__in": chosen}) if chosen else queryset.none()

    customer_field = "customer"


class SearchesByCustomer:
    """Search of rows that belong to a customer: by the customer, or by the row's own number at a till."""

    transaction_field = ""
    customer_field = "customer"

    def get_search_fields(self, request: HttpRequest) -> Any:
        # The search index is asked for one merchant at a time.
        return super().get_search_fields(request) if staff_access(request).current else ()  # type: ignore[misc]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        current = staff_access(request).current
        text = search_term.strip()
        if not text or current is None:
            return queryset, False
        found = list(matching_customers(current, text).values_list("pk", flat=True)[:CUSTOMERS_MATCHED_MAX])
        wanted = Q(**{f"{self.customer_field}__in": found})
        if self.transaction_field:
            stores = list(Store.objects.for_merchant(current).values_list("pk", flat=True))
            wanted |= Q(**{self.transaction_field: text, "store__in": stores})
        return queryset.filter(wanted), False
