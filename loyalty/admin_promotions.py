"""Promotions: their editor, with the promotion in one sentence and a dry run beside it."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.timezone import get_current_timezone
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.pages import TenantModelAdmin, form_merchant_id, refused_fields
from cloudpos.tenancy.formats import count, moment
from cloudpos.tenancy.models import Store
from cloudpos.tenancy.roles import Role
from customers.admin import numbers
from customers.models import Customer
from loyalty.admin_dry_runs import tried_context
from loyalty.admin_program_forms import FactorForm, NamesField, unfit
from loyalty.models import Promotion, Tier
from loyalty.reading_promotions import Vocabulary, vocabulary_of
from loyalty.rules.wording import DAYS
from loyalty.services.programs import active_program
from loyalty.services.promotion_checks import check_promotion
from loyalty.services.promotions import (
    COLUMNS,
    create_promotion,
    delete_promotion,
    draft_promotion,
    rule_of,
    update_promotion,
)

STATUS_LABELS = {"Draft": "primary", "Active": "success", "Paused": "warning", "Ended": "danger"}


def _choices(**more: Any) -> Any:
    return forms.TypedMultipleChoiceField(
        required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget, empty_value=[], **more
    )


class PromotionForm(FactorForm):
    factors = ("multiplier", "min_quantity")
    weekdays = _choices(
        coerce=int, choices=list(enumerate(DAYS, start=1)), help_text="None chosen: every day"
    )
    stores = _choices(coerce=uuid.UUID, help_text="None chosen: all stores")
    tiers = _choices(coerce=str, help_text="None chosen: all members")
    segments = _choices(coerce=str, choices=Customer.Segment.choices, help_text="None chosen: all customers")
    categories = NamesField(help_text="One on a line. A multiplier is for these items only.")
    skus = NamesField(label="Items (SKU)", help_text="One on a line")

    class Meta:
        model = Promotion
        fields = COLUMNS
        labels = {
            "multiplier": "Times the points",
            "points": "Extra points",
            "starts_at": "From",
            "ends_at": "Until",
            "opens": "From this hour",
            "closes": "To this hour",
            "min_quantity": "At least so many",
            "min_spend": "At least so much money",
            "first_purchase": "First purchase only",
            "birthday_days": "Around the birthday (days)",
            "every_visit": "Every so many purchases",
            "member_times": "Times for one customer",
            "member_points": "Points for one customer",
            "member_period": "These two count",
            "total_times": "Times for all together",
            "total_points": "Points for all together",
            "exclusive": "Nothing else beside it",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        merchant_id = self.instance.merchant_id
        offered: dict[str, list[tuple[Any, str]]] = {
            "stores": [
                (store.pk, store.name) for store in Store.objects.for_merchant(merchant_id).order_by("name")
            ],
            "tiers": [
                (tier.code, tier.name)
                for tier in Tier.objects.for_merchant(merchant_id).filter(program__is_active=True)
            ],
        }
        for name, choices in offered.items():
            if name in self.fields:
                self.fields[name].choices = choices  # type: ignore[attr-defined]

    def _post_clean(self) -> None:
        """The service checks and writes."""

    def said(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name in COLUMNS}


@admin.register(Promotion)
class PromotionAdmin(TenantModelAdmin):
    add_role = edit_role = delete_role = Role.MANAGER
    form = PromotionForm
    change_form_outer_after_template = "backoffice/promotion_panel.html"
    list_display = ["name", "in_words", "standing", "since", "until", "given"]
    list_filter = ["status", "kind"]
    search_fields = ["name"]
    ordering = ["-created_at"]
    fieldsets = [
        (None, {"fields": ["name", "description", "status"]}),
        ("What customers get", {"fields": ["kind", "multiplier", "points"]}),
        (
            "When",
            {
                "fields": ["starts_at", "ends_at", "weekdays", "opens", "closes"],
                "description": "Days and hours are those of the store. Hours may go past midnight: 22:00 to 02:00.",
            },
        ),
        ("Where and for whom", {"fields": ["stores", "tiers", "segments"]}),
        (
            "For which purchases",
            {"fields": ["categories", "skus", "min_quantity", "min_spend"]},
        ),
        ("On which occasion", {"fields": ["first_purchase", "birthday_days", "every_visit"]}),
        (
            "Limits",
            {
                "fields": [
                    "member_times",
                    "member_points",
                    "member_period",
                    "total_times",
                    "total_points",
                ],
                "description": "Leave empty for none. A limit of points gives what is left. Returned goods give nothing of"
                " it back.",
            },
        ),
        (
            "Beside other promotions",
            {
                "fields": ["priority", "exclusive"],
                "description": "All that fit a purchase are added up, the highest priority first.",
            },
        ),
    ]
    empty_icon = "campaign"
    empty_title = "No promotions yet"
    empty_text = "Double points on quiet days, a present for birthdays: see what it would have cost before you start it."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(n_given=Sum("awards__points"))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        words: dict[uuid.UUID, Vocabulary] = {}
        for row in page.result_list:
            if row.merchant_id not in words:
                words[row.merchant_id] = vocabulary_of(row.merchant_id)
            row.sentence = words[row.merchant_id].sentence(rule_of(row))
        return page

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_open = not isinstance(obj, Promotion) or obj.status != Promotion.Status.ENDED
        return is_open and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_draft = isinstance(obj, Promotion) and obj.status == Promotion.Status.DRAFT
        return is_draft and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Promotion, form: Any, change: bool) -> None:
        common: dict[str, Any] = {"merchant_id": obj.merchant_id, "actor_id": request.user.pk}
        if change:
            saved = update_promotion(promotion_id=obj.pk, changes=form.said(), **common)
        else:
            saved = create_promotion(values=form.said(), **common)
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Promotion) -> None:
        delete_promotion(merchant_id=obj.merchant_id, promotion_id=obj.pk)

    # --- The panel beside the form -------------------------------------------------------------------------------

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view
        return [
            path("said/", view(require_POST(self.said)), name="loyalty_promotion_said"),
            path("tried/", view(require_POST(self.tried)), name="loyalty_promotion_tried"),
            *super().get_urls(),
        ]

    def said(self, request: HttpRequest) -> HttpResponse:
        """The promotion as it is filled in, in one sentence. Nothing is written."""
        return self._panel(request, "backoffice/promotion_said.html", tried=False)

    def tried(self, request: HttpRequest) -> HttpResponse:
        """What it would have done to the purchases of the last TRIED_DAYS days. Nothing is written."""
        return self._panel(request, "backoffice/tried.html", tried=True)

    def _panel(self, request: HttpRequest, template: str, *, tried: bool) -> HttpResponse:
        row = self._row(request)
        if not (self.has_change_permission(request, row) if row else self.has_add_permission(request)):
            raise PermissionDenied
        context: dict[str, Any] = {}
        form = self.get_form(request, row, change=row is not None)(request.POST, instance=row)
        merchant_id = row.merchant_id if row is not None else form_merchant_id(request)
        program = active_program(merchant_id) if merchant_id is not None else None
        if merchant_id is None or program is None:
            context["refused"] = ["There is no loyalty program yet."]
        elif not form.is_valid():
            context["refused"] = unfit(form)
        else:
            values = form.said()
            try:
                if tried:
                    context |= tried_context(
                        merchant_id=merchant_id,
                        actor_id=request.user.pk,
                        promotion=values,
                        promotion_id=row.pk if row is not None else None,
                    )
                else:
                    draft = draft_promotion(merchant_id=merchant_id, program=program, values=values)
                    check_promotion(draft)
                    context["sentence"] = vocabulary_of(merchant_id).sentence(rule_of(draft))
            except ApiError as exc:
                context["refused"] = [message for message, _ in refused_fields(exc)]
        return TemplateResponse(request, template, context)

    def _row(self, request: HttpRequest) -> Promotion | None:
        asked = request.GET.get("promotion", "")
        if not asked:
            return None
        try:
            key = uuid.UUID(asked)
        except ValueError:
            raise Http404 from None
        row: Promotion | None = self.get_queryset(request).filter(pk=key).first()
        if row is None or not isinstance(row, Model):
            raise Http404
        return row

    # --- The list ------------------------------------------------------------------------------------------------

    @display(description="In words")
    def in_words(self, promotion: Any) -> str:
        return promotion.sentence

    @display(description="Status", label=STATUS_LABELS, ordering="status")
    def standing(self, promotion: Promotion) -> str:
        return promotion.get_status_display()

    @display(description="From", ordering="starts_at")
    def since(self, promotion: Promotion) -> str:
        return moment(promotion.starts_at, get_current_timezone())

    @display(description="Until", ordering="ends_at")
    def until(self, promotion: Promotion) -> str:
        return moment(promotion.ends_at, get_current_timezone())

    @display(description="Points given", ordering="n_given")
    def given(self, promotion: Any) -> str:
        return numbers(count(promotion.n_given or 0))
