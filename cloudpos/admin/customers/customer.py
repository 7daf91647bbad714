"""The customer page of the admin: profile and addresses are a form, everything else is shown beside it."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone, now
from django.views.decorators.http import require_POST
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from cloudpos.admin.customers import erasure, merge, operations, tiers
from cloudpos.admin.customers.forms import (
    AddressForm,
    AskConsentForm,
    ConsentForm,
    CustomerForm,
    address_rows,
)
from cloudpos.admin.customers.listing import (
    CustomerChangeList,
    CustomerPaginator,
    SegmentFilter,
    StatusFilter,
    TierFilter,
    TypeFilter,
    closed_badge,
    segment_badge,
    status_badge,
    tag_badges,
    tier_badge,
)
from cloudpos.admin.customers.page import ROWS_SHOWN, customer_page
from cloudpos.tenancy.backoffice.access import StaffAccess, acting_for, staff_access
from cloudpos.tenancy.backoffice.pages import TenantModelAdmin, TenantStackedInline
from cloudpos.tenancy.formats import ago, count, day, money, phone
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from customers.admin import numbers
from customers.models import Address, Customer
from customers.search import prefix_query
from customers.services import create_customer, update_customer

_SUB = SafeString(' class="cp-sub"')


class AddressInline(TenantStackedInline):
    model = Address
    form = AddressForm
    add_role = edit_role = delete_role = Role.MANAGER
    fields = [
        ("label", "type", "is_default"),
        ("street1", "street2"),
        ("postal_code", "city"),
        ("state", "country"),
        ("latitude", "longitude"),
        "instructions",
    ]
    ordering = ["-is_default", "created_at"]
    max_num = 50
    collapsible = True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not _is_closed(obj)


class CustomerAdmin(TenantModelAdmin):
    add_role = edit_role = Role.MANAGER
    form = CustomerForm
    paginator = CustomerPaginator
    inlines = [AddressInline]
    list_display = [
        "who",
        "contact",
        "tier_of",
        "segment_of",
        "points_of",
        "spent",
        "last_visit",
    ]
    list_display_links = ["who"]
    list_select_related = ["merchant"]
    list_filter = [StatusFilter, SegmentFilter, TierFilter, TypeFilter]
    search_fields = ["search"]
    search_help_text = "Name, e-mail, phone or customer number"
    ordering = ["-created_at"]
    actions = ["merge_selected", "erase_selected"]
    actions_detail = ["adjust_points", "merge", {"title": "More", "items": ["give_tier", "remove", "erase"]}]
    change_form_template = "admin/customers/customer/change_form.html"
    warn_unsaved_form = True
    fieldsets = [
        (None, {"fields": [("first_name", "last_name"), ("company_name", "type"), ("email", "phone")]}),
        (
            "More",
            {
                "fields": [
                    ("date_of_birth", "gender"),
                    ("home_store", "status"),
                    ("language", "tax_id"),
                    "tags",
                    "notes",
                ]
            },
        ),
        (None, {"fields": ["seen_version"], "classes": ["cp-hidden"]}),
    ]
    empty_icon = "group"
    empty_title = "No customers yet"
    empty_text = "Tills add customers when they sell to somebody new. You can also add one here."

    # --- Rows ---------------------------------------------------------------------------------------------

    def reach(self, access: StaffAccess, rows: QuerySet[Any], *, one: bool) -> QuerySet[Any]:
        rows = super().reach(access, rows, one=one).defer("search", "metadata")
        return rows if one else rows.filter(deleted_at=None).defer("search", "metadata", "notes")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CustomerChangeList]:
        return CustomerChangeList

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any
    ) -> Any:
        paginator: Any = super().get_paginator(request, queryset, per_page, *args, **kwargs)
        current = staff_access(request).current
        paginator.counted_by = getattr(request, "_counted_by", None)
        paginator.merchant_id = current.pk if current else None
        return paginator

    def get_search_fields(self, request: HttpRequest) -> Any:
        return super().get_search_fields(request) if staff_access(request).current else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        current = staff_access(request).current
        text = search_term.strip()
        if not text or current is None:
            return queryset, False
        query = prefix_query(search_key=current.search_key, text=text)
        return (queryset.filter(search__matches=query) if query else queryset.none()), False

    # --- Columns ------------------------------------------------------------------------------------------

    @display(description="Name", ordering="sort_name")
    def who(self, customer: Customer) -> SafeString:
        return format_html(
            '<span class="cp-name">{} {}</span><span class="cp-sub">{}</span>',
            customer.display_name,
            # Only what is out of the ordinary.
            status_badge(customer) if customer.status != Customer.Status.ACTIVE else "",
            customer.customer_number,
        )

    @display(description="Contact", ordering="email_key")
    def contact(self, customer: Customer) -> SafeString | str:
        if not customer.phone:
            return customer.email or "–"
        return format_html(
            "{}<span{}>{}</span>", customer.email, _SUB if customer.email else "", phone(customer.phone)
        )

    @display(description="Tier")
    def tier_of(self, customer: Customer) -> str:
        return tier_badge(customer)

    @display(description="Segment")
    def segment_of(self, customer: Customer) -> str:
        return segment_badge(customer)

    @display(description="Points")
    def points_of(self, customer: Customer) -> str:
        return numbers(count(customer.points))

    @display(description="Total spent", ordering="total_spent")
    def spent(self, customer: Customer) -> str:
        return numbers(money(customer.total_spent, customer.merchant.currency))

    @display(description="Last visit", ordering="last_visit_at")
    def last_visit(self, customer: Customer) -> SafeString | str:
        if customer.last_visit_at is None:
            return "–"
        return format_html(
            '<span>{}</span><span class="cp-sub">{}</span>',
            day(customer.last_visit_at, get_current_timezone()),
            ago(customer.last_visit_at, now=now()),
        )

    # --- The page -----------------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not _is_closed(obj)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if self._is_form(request, obj) else fieldsets[:-1]

    def _is_form(self, request: HttpRequest, obj: Any) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        customer = self.get_object(request, unquote(object_id))
        if customer is None:
            return super().change_view(request, object_id, form_url, extra_context)
        if customer.merged_into_id is not None:
            messages.info(request, f"{customer.customer_number} was merged into this customer.")
            return HttpResponseRedirect(
                reverse("admin:customers_customer_change", args=[customer.merged_into_id])
            )
        request._shown_customer = customer  # type: ignore[attr-defined]
        merchant = Merchant.objects.get(pk=customer.merchant_id)
        context = {
            **customer_page(customer, merchant),
            "merchant": merchant,
            "badges": [
                closed_badge(customer) or status_badge(customer),
                tier_badge(customer),
                segment_badge(customer),
            ],
            "tags": tag_badges(customer),
            "rows_slice": f":{ROWS_SHOWN}",
            "consent_form": ConsentForm(initial={"state": "granted"}),
            "ask_form": AskConsentForm(),
            "title": customer.display_name,
            "subtitle": None,
            "show_delete": False,
            "show_save_and_add_another": False,
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Of a removed customer only the erasure works, of an erased one nothing: the page shows its receipt."""
        offered = super().get_actions_detail(request, object_id)
        customer = getattr(request, "_shown_customer", None)
        if customer is None or not _is_closed(customer):
            return offered
        erases = "" if customer.erased_at else "customers_customer_erase"
        return [action for action in offered if action.action_name == erases]

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        """Saved together with the addresses, in save_related, by one call of the service."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        customer = form.instance
        merchant = Merchant.objects.get(pk=customer.merchant_id)
        data = form.profile()
        for formset in formsets:
            if formset.has_changed():
                data["addresses"] = address_rows(formset)
            # What Django's history would list row by row is in the customer's own event log.
            formset.new_objects = formset.changed_objects = formset.deleted_objects = []
        access = acting_for(request, merchant)
        if change:
            saved = update_customer(
                access=access,
                customer_id=customer.pk,
                data=data,
                expected_version=form.cleaned_data.get("seen_version"),
            )
        else:
            saved = create_customer(access=access, data=data)
        customer.__dict__.update(saved.__dict__)

    # --- Operations ---------------------------------------------------------------------------------------

    @action(description="Adjust points", url_path="points", icon="toll", permissions=["change"])
    def adjust_points(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operation(request, object_id, operations.adjust_points)

    @action(description="Give a tier", url_path="tier", icon="military_tech", permissions=["change"])
    def give_tier(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operation(request, object_id, tiers.give)

    @action(description="Merge", url_path="merge", icon="merge", permissions=["change"])
    def merge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operation(request, object_id, merge.merge)

    @action(description="Remove from lists", url_path="remove", icon="visibility_off", permissions=["change"])
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operation(request, object_id, operations.remove)

    @action(
        description="Erase personal data",
        url_path="erase",
        icon="person_off",
        variant=ActionVariant.DANGER,
        permissions=["change"],
    )
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operation(request, object_id, erasure.erase)

    def get_urls(self) -> Any:
        consent = path(
            "<path:object_id>/consent/",
            self.admin_site.admin_view(require_POST(self.record_consent)),
            name="customers_customer_consent",
        )
        ask = path(
            "<path:object_id>/ask-consent/",
            self.admin_site.admin_view(require_POST(self.ask_consent)),
            name="customers_customer_ask_consent",
        )
        undo = path(
            "<path:object_id>/undo-merge/",
            self.admin_site.admin_view(require_POST(self.undo_merge)),
            name="customers_customer_undo_merge",
        )
        end_tier = path(
            "<path:object_id>/end-tier/",
            self.admin_site.admin_view(require_POST(self.end_tier)),
            name="customers_customer_end_tier",
        )
        return [consent, ask, undo, end_tier, *super().get_urls()]

    def end_tier(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        return self._operation(request, object_id, tiers.end)

    def undo_merge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        return self._operation(request, object_id, merge.undo)

    def record_consent(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        return self._operation(request, object_id, operations.record_consent)

    def ask_consent(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        return self._operation(request, object_id, operations.ask_consent)

    def _operation(self, request: HttpRequest, object_id: str, operation: Any) -> HttpResponse:
        customer = self.get_object(request, unquote(object_id))
        if customer is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        merchant = Merchant.objects.get(pk=customer.merchant_id)
        return operation(self, request, customer, merchant)

    @admin.action(description="Merge the two selected customers", permissions=["change"])
    def merge_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        chosen = list(queryset.order_by("created_at")[:3])
        if len(chosen) != 2:
            messages.warning(request, "Select exactly two customers to merge.")
            return None
        # The older record stays.
        url = reverse("admin:customers_customer_merge", args=[chosen[0].pk])
        return HttpResponseRedirect(f"{url}?source={chosen[1].pk}")

    @admin.action(description="Erase the selected customer's personal data", permissions=["change"])
    def erase_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            messages.warning(request, "Customers are erased one at a time: select one.")
            return None
        return HttpResponseRedirect(reverse("admin:customers_customer_erase", args=[chosen[0].pk]))


def _is_closed(obj: Any) -> bool:
    """Removed, merged or erased: shown, never changed."""
    return isinstance(obj, Customer) and (obj.deleted_at is not None or obj.erased_at is not None)
