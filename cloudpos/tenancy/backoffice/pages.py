"""Base classes of every admin page: rows, choices, actions and look-ups stay inside the person's merchants.

What a page writes goes through the same services as the API, and a service's refusal is shown on the form.
"""

import re
import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin import ShowFacets, SimpleListFilter
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.admin.views.main import ChangeList as DjangoChangeList
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.paginator import Paginator
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.text import capfirst
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.views import ChangeList

from cloudpos.api.errors import ApiError
from cloudpos.api.transactions import RequestTransaction
from cloudpos.tenancy.backoffice.access import StaffAccess, staff_access
from cloudpos.tenancy.models import Merchant, Store, TenantModel
from cloudpos.tenancy.roles import Role

ROWS_COUNTED_MAX = 10_000
STORES_OFFERED_MAX = 100
# Columns whose names say less to a store manager than to us.
FIELD_LABELS = {
    "is_active": "Active",
    "is_enabled": "Switched on",
    "street1": "Street",
    "street2": "Street, second line",
    "timezone": "Time zone",
}


class CappedPaginator(Paginator):
    """Counts up to ROWS_COUNTED_MAX rows, so that a list of millions opens as fast as one of hundreds."""

    @cached_property
    def count(self) -> int:
        return min(self.counted, ROWS_COUNTED_MAX)

    @property
    def is_capped(self) -> bool:
        return self.counted > ROWS_COUNTED_MAX

    @cached_property
    def counted(self) -> int:
        return self.counted_rows()

    def counted_rows(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        return rows.order_by()[: ROWS_COUNTED_MAX + 1].count()


class TenantChangeList(ChangeList):
    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        # Every index starts with the merchant; across all of them only the time-ordered key is one.
        if staff_access(request).current is None and issubclass(self.model, TenantModel):
            return ["-pk"]
        return super().get_ordering(request, queryset)


def merchant_id_of(obj: Model | None) -> uuid.UUID | None:
    if isinstance(obj, Merchant):
        return obj.pk
    return getattr(obj, "merchant_id", None)


def addresses_one_row(request: HttpRequest) -> bool:
    """Whether the URL names a row: such pages reach every merchant of the person, lists only the current one."""
    match = request.resolver_match
    return match is not None and "object_id" in match.kwargs


def form_merchant_id(request: HttpRequest) -> uuid.UUID | None:
    """The merchant that the form on this page writes to: its row's, else the current one."""
    if hasattr(request, "_form_merchant_id"):
        return request._form_merchant_id
    current = staff_access(request).current
    return current.pk if current else None


class TenantForm(ModelForm):
    """A form whose new row has its merchant before validation, so that "unique per merchant" is checked like a field."""

    merchant_id: uuid.UUID | None = None
    # What a service said to this form when it was saved a moment ago.
    refusal: ApiError | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.instance, TenantModel) and self.instance._state.adding:
            self.instance.merchant_id = self.merchant_id  # type: ignore[assignment]  # None: the form is refused

    def _get_validation_exclusions(self) -> set[str]:
        return super()._get_validation_exclusions() - {"merchant"}  # type: ignore[misc]

    def clean(self) -> Any:
        cleaned = super().clean()
        if self.refusal is not None:
            for message, field in refused_fields(self.refusal):
                self.add_error(field if field in self.fields else None, message)
        return cleaned


def refused_fields(refusal: ApiError) -> list[tuple[str, str | None]]:
    """(message, form field) of what a service refused; the API's names of fields are in camel case."""
    if not refusal.errors:
        return [(str(refusal.message), None)]
    return [
        (error.message, _CAPITAL.sub(lambda m: f"_{m[0].lower()}", error.field or ""))
        for error in refusal.errors
    ]


_CAPITAL = re.compile(r"[A-Z]")


class TenantScope:
    """What a page and the tables inside of it share. A role of None is nobody's: deny by default."""

    merchant_path = "merchant"
    view_role: Role | None = Role.MANAGER
    add_role: Role | None = None
    edit_role: Role | None = None
    delete_role: Role | None = None
    form = TenantForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)  # type: ignore[misc]
        access = staff_access(request)
        return self.reach(access, rows, one=addresses_one_row(request))

    def reach(self, access: StaffAccess, rows: QuerySet[Any], *, one: bool) -> QuerySet[Any]:
        return access.reachable(rows, self.merchant_path) if one else access.listed(rows, self.merchant_path)

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        target = db_field.remote_field.model
        if issubclass(target, TenantModel):
            merchant_id = form_merchant_id(request)
            rows = kwargs.get("queryset", target.objects.all())
            kwargs["queryset"] = rows.for_merchant(merchant_id) if merchant_id else rows.none()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in FIELD_LABELS:
            kwargs.setdefault("label", FIELD_LABELS[db_field.name])
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        widget = getattr(field, "widget", None)
        if isinstance(widget, RelatedFieldWidgetWrapper):
            # Choosing a store is no occasion to change it.
            widget.can_add_related = widget.can_change_related = False
            widget.can_delete_related = widget.can_view_related = False
        return field

    def _may(self, request: HttpRequest, role: Role | None, obj: Any) -> bool:
        # A detail action is asked about with the bare id; its row is then loaded through get_queryset.
        merchant_id = merchant_id_of(obj) if isinstance(obj, Model) else None
        return staff_access(request).may(role, merchant_id)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.view_role, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.edit_role, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.delete_role, obj)


class TenantAdmin(TenantScope):
    """Mixin of every registered page; `BackofficeSite.register` refuses others."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 25
    list_max_show_all = 0
    list_fullwidth = True
    empty_value_display = "–"
    # What the navigation, the list and the trail call this page, and what one and several of its rows are called;
    # empty: the model's own names.
    list_title = ""
    noun = nouns = ""
    # What an empty list says to a person.
    empty_icon = "inbox"
    empty_title = ""
    empty_text = ""
    # A list that holds one row for most merchants opens it at once.
    opens_single_row = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        opts = self.opts  # type: ignore[attr-defined]
        self.noun = self.noun or str(opts.verbose_name)
        self.nouns = self.nouns or str(opts.verbose_name_plural)
        self.list_title = self.list_title or capfirst(self.nouns)

    def row_title(self, row: Any) -> str:
        """What a person calls this row, in titles and trails."""
        return str(row)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        row = context.get("original")
        context |= {"title": f"Add {self.noun}" if row is None else self.row_title(row), "subtitle": None}
        if self.edit_role is None and not self.has_change_permission(request, row):
            # Nobody ever changes such a row here.
            context["show_history"] = False
        return super().render_change_form(request, context, *args, **kwargs)  # type: ignore[misc]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        return super().history_view(  # type: ignore[misc]
            request, object_id, {"title": "History", "subtitle": None, **(extra_context or {})}
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return staff_access(request).may(self.view_role)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # While all merchants are shown there is none that a new row would belong to.
        return staff_access(request).current is not None and self._may(request, self.add_role, None)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DjangoChangeList]:
        return TenantChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        if ERROR_FLAG in request.GET:
            # Where Django sends a query that it cannot read; with a second fault in it, it would show a bare page.
            messages.warning(
                request, "The address asked for something that is not there. This is the whole list."
            )
            return HttpResponseRedirect(request.path)
        if self.opens_single_row and request.method == "GET" and not request.GET:
            opts = self.opts  # type: ignore[attr-defined]
            rows = list(self.get_queryset(request)[:2])
            if len(rows) == 1 and self.has_view_permission(request, rows[0]):
                return HttpResponseRedirect(
                    reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[rows[0].pk])
                )
        extra_context = {"title": self.list_title, "subtitle": None, **(extra_context or {})}
        return super().changelist_view(request, extra_context)  # type: ignore[misc]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = list(super().get_list_display(request))  # type: ignore[misc]
        if staff_access(request).current is None and self.merchant_path == "merchant":
            columns.append("merchant")
        return columns

    def get_sortable_by(self, request: HttpRequest) -> Any:
        if staff_access(request).current is None and self.merchant_path == "merchant":
            return ()
        return super().get_sortable_by(request)  # type: ignore[misc]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            request._form_merchant_id = merchant_id_of(obj)  # type: ignore[attr-defined]
        form = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        form.merchant_id = form_merchant_id(request)
        form.refusal = getattr(request, "_refusal", None)
        return form

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            request._form_merchant_id = merchant_id_of(obj)  # type: ignore[attr-defined]
        return super().get_inline_instances(request, obj)  # type: ignore[misc]


class UseCaseForms(DjangoModelAdmin):
    """Stands directly above Django's own class, whose transaction no use case may run in.

    A refusal rolls everything back, and the page comes again with what was typed and what was refused.
    """

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        if request.method != "POST":
            return self._form_page(request, object_id, form_url, extra_context)
        try:
            with RequestTransaction():
                return self._form_page(request, object_id, form_url, extra_context)
        except ApiError as refusal:
            request._refusal = refusal  # type: ignore[attr-defined]
            return self._form_page(request, object_id, form_url, extra_context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        with RequestTransaction():
            return self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined]

    def _form_page(self, *args: Any) -> Any:
        return self._changeform_view(*args)  # type: ignore[attr-defined]  # Django's own, inside its transaction


class TenantModelAdmin(TenantAdmin, ModelAdmin, UseCaseForms):
    pass


class StoreFilter(SimpleListFilter):
    """By store of the current merchant. Django's own filter of a reference would offer every merchant's rows."""

    title = "store"
    parameter_name = "store"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = staff_access(request).listed(Store.objects.order_by("name"), "merchant")
        return [(str(store.pk), store.name) for store in rows[:STORES_OFFERED_MAX]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = {key for key, _ in self.lookup_choices} & {self.value()}
        return queryset.filter(store__in=chosen) if chosen else queryset


class TenantInline(TenantScope):
    extra = 0
    show_change_link = False
    # The theme would repeat each row's name, which for most of them is an id.
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.add_role, obj)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)  # type: ignore[misc]
        formset.form.merchant_id = form_merchant_id(request)
        return formset


class TenantTabularInline(TenantInline, TabularInline):
    pass


class TenantStackedInline(TenantInline, StackedInline):
    pass
