"""Searching among rows that belong to a customer, as the lists of the back office do, but for any number of customers."""

from typing import Any, ClassVar

from django.db.models import QuerySet

from cloudpos.api.parameters import Text
from cloudpos.api.query import NoParameters
from cloudpos.tenancy.models import Store
from customers.models import Customer
from customers.search import prefix_query


class SearchedByCustomer(NoParameters):
    """With `by_number`, also by the row's own number at a till, in full."""

    customer_field: ClassVar[str] = "customer_id"
    by_number: ClassVar[bool] = False

    query = Text(
        method="search",
        description="Of visible customers found by these words, as in GET /customers; purchases and returns also by their "
        "transactionId in full.",
    )

    def search(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        access = self.request.access
        # The empty query matches nobody.
        query = prefix_query(search_key=access.search_key, text=text) or ""
        people = Customer.objects.for_merchant(access.merchant_id).visible().matching(query)
        found = queryset.filter(**{f"{self.customer_field}__in": people.values("pk")})
        if not self.by_number:
            return found
        stores = Store.objects.for_merchant(access.merchant_id).values("pk")
        numbered = queryset.filter(store_id__in=stores, transaction_id=text)
        # An index for each of the two, where an OR of them would read every row.
        return queryset.filter(pk__in=found.values("pk").union(numbered.values("pk")))
