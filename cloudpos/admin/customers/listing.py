"""The list of customers: counted from counters, searched through the index, filtered by standing."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.backoffice.pages import ROWS_COUNTED_MAX, CappedPaginator, TenantChangeList
from customers.models import Customer, CustomerCount
from customers.models.customer import LAST_VISIT
from loyalty.models import Tier

TIER_SHADES = {"bronze": "bronze", "silver": "silver", "gold": "gold", "platinum": "platinum"}
SEGMENT_SHADES = {"new": "blue", "regular": "grey", "vip": "violet", "at_risk": "orange", "churned": "red"}
STATUS_SHADES = {"active": "green", "inactive": "grey", "suspended": "red"}
# Columns that customer_counts is kept by: filters on these alone have an exact total without a scan.
COUNTED = ("status", "type", "segment", "tier")


def badge(text: str, shade: str, hint: str = "") -> SafeString:
    return format_html('<span class="cp-badge cp-badge--{}" title="{}">{}</span>', shade, hint, text)


def tier_badge(customer: Customer) -> SafeString | str:
    if not customer.tier:
        return "–"
    return badge(customer.tier.replace("-", " ").capitalize(), TIER_SHADES.get(customer.tier, "grey"))


def segment_badge(customer: Customer) -> SafeString:
    return badge(customer.get_segment_display(), SEGMENT_SHADES[customer.segment])


def status_badge(customer: Customer) -> SafeString:
    return badge(customer.get_status_display(), STATUS_SHADES[customer.status])


def closed_badge(customer: Customer) -> SafeString | str:
    """What became of a record that is in no list any more, else nothing. A merged one leads to the other."""
    if customer.erased_at is not None:
        return badge("Erased", "red")
    return badge("Removed", "grey") if customer.deleted_at is not None else ""


def tag_badges(customer: Customer) -> SafeString:
    return format_html_join(" ", "{}", ((badge(tag, "grey"),) for tag in customer.tags))


class StandingFilter(SimpleListFilter):
    """By one of the counted columns; several values may be chosen by the address bar as a comma list."""

    column = ""

    @property
    def parameter_name(self) -> str:  # type: ignore[override]
        return self.column

    def chosen(self) -> list[str]:
        known = {key for key, _ in self.lookup_choices}
        return [value for value in (self.value() or "").split(",") if value in known]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{f"{self.column}__in": self.chosen()}) if self.chosen() else queryset


class StatusFilter(StandingFilter):
    title = "status"
    column = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return Customer.Status.choices


class SegmentFilter(StandingFilter):
    title = "segment"
    column = "segment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return Customer.Segment.choices


class TypeFilter(StandingFilter):
    title = "type"
    column = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return Customer.Type.choices


class TierFilter(StandingFilter):
    title = "tier"
    column = "tier"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tiers = staff_access(request).listed(Tier.objects.filter(program__is_active=True), "merchant")
        return [(tier.code, tier.name) for tier in tiers.order_by("threshold")]


class CustomerPaginator(CappedPaginator):
    """Exact totals from the counters when only counted columns filter; otherwise counted up to the cap."""

    counted_by: dict[str, list[str]] | None = None
    merchant_id: Any = None

    @cached_property
    def counted(self) -> int:
        if self.counted_by is None:
            return self.counted_rows()
        rows = CustomerCount.objects.all()
        if self.merchant_id is not None:
            rows = rows.filter(merchant_id=self.merchant_id)
        wanted = [Q(**{f"{column}__in": values}) for column, values in self.counted_by.items()]
        total: int | None = rows.filter(*wanted).aggregate(n=Sum("n"))["n"]
        return max(total or 0, 0)

    @cached_property
    def count(self) -> int:
        return min(self.counted, ROWS_COUNTED_MAX) if self.counted_by is None else self.counted

    @property
    def is_capped(self) -> bool:
        return self.counted_by is None and self.counted > ROWS_COUNTED_MAX


class CustomerChangeList(TenantChangeList):
    def get_results(self, request: HttpRequest) -> None:
        standing = [spec for spec in self.filter_specs if isinstance(spec, StandingFilter)]
        others = [spec for spec in self.filter_specs if not isinstance(spec, StandingFilter)]
        if not self.query and not any(spec.used_parameters for spec in others):
            request._counted_by = {spec.column: spec.chosen() for spec in standing if spec.chosen()}  # type: ignore[attr-defined]
        super().get_results(request)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        ordering = super().get_ordering(request, queryset)
        # The index's own expression; who never came stands beyond who came longest ago. The tie-breaker goes the same
        # way, or everybody who never came would be sorted for it.
        if ordering[:1] == ["-last_visit_at"]:
            return [LAST_VISIT.desc(), "-pk"]
        if ordering[:1] == ["last_visit_at"]:
            return [LAST_VISIT.asc(), "pk"]
        return ordering
