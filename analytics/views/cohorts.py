"""What became of the customers who first bought at the same time."""

from typing import Any

from django.http import HttpResponse
from django.utils.timezone import now

from analytics.cohort_customers import cohort_customers, read_cohort
from analytics.cohorts import RETENTION, cohorts, read_cohorts
from analytics.serializers.cohorts import (
    COHORT_CUSTOMERS,
    COHORTS,
    CohortCustomerFilters,
    CohortFilters,
    cohorts_table,
    members_table,
    render_cohorts,
    render_members,
)
from cloudpos.api import envelope
from cloudpos.api.tables import wants_csv
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from customers.exports import export_csv

GRANULARITY_DEFAULT = "month"


class CohortsView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": COHORTS}
    filters = {"get": CohortFilters}
    summaries = {"get": "Follow customers from their first purchase on"}
    tables = frozenset({"get"})

    def get(self, request: Any) -> HttpResponse:
        """A cohort are those whose first purchase ever was in the same calendar week (from Monday), month or quarter, in the
        time of the store. Cell k is the k-th calendar period after it. A purchase that was taken back altogether never
        happened; other returns lower the revenue of the period in which they are made."""
        access = request.access
        asked = CohortFilters(request).values
        metric = asked.get("metric", RETENTION)
        granularity = asked.get("granularity", GRANULARITY_DEFAULT)
        today = now().astimezone(access.tz).date()
        found = cohorts(
            merchant_id=access.merchant_id,
            wanted=read_cohorts(
                first=asked.get("start_date"),
                last=asked.get("end_date"),
                granularity=granularity,
                today=today,
            ),
            granularity=granularity,
            today=today,
            store_id=asked.get("store_id"),
        )
        if wants_csv(request, asked):
            return export_csv(
                access=access, name=f"cohorts-{metric}-by-{granularity}", table=cohorts_table(found, metric)
            )
        return envelope.success(render_cohorts(found, metric, access))


class CohortCustomersView(ApiView):
    roles = {"get": Role.MANAGER}
    outputs = {"get": COHORT_CUSTOMERS}
    filters = {"get": CohortCustomerFilters}
    summaries = {"get": "List the customers of a cohort who were active in a period, who spent most first"}
    tables = frozenset({"get"})

    def get(self, request: Any, cohort: str) -> HttpResponse:
        access = request.access
        filters = CohortCustomerFilters(request)
        asked = filters.values
        cell = cohort_customers(
            merchant_id=access.merchant_id,
            cohort=read_cohort(cohort),
            granularity=asked.get("granularity", GRANULARITY_DEFAULT),
            k=asked.get("period", 0),
            today=now().astimezone(access.tz).date(),
            offset=filters.offset,
            limit=filters.limit,
            store_id=asked.get("store_id"),
        )
        if wants_csv(request, asked):
            return export_csv(
                access=access,
                name=f"cohort-{cell.cohort.first}-{cell.period.first}",
                table=members_table(cell),
            )
        rows, extra = render_members(cell)
        return envelope.page("customers", rows, cell.total, filters.page, filters.limit, extra=extra)
