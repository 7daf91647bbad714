"""The program's editor: how points are earned, how long they last, what they are worth, and the ladder of tiers."""

import re
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.http import require_POST
from unfold.decorators import display

from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.pages import (
    TenantModelAdmin,
    form_merchant_id,
    refused_fields,
)
from cloudpos.tenancy.formats import money
from cloudpos.tenancy.roles import Role
from loyalty.admin_dry_runs import tried_context
from loyalty.admin_program_forms import ProgramForm, TierInline, is_open, unfit
from loyalty.models import Program
from loyalty.reading_preview import preview
from loyalty.rules import TierRule, to_cents
from loyalty.services import DEFAULT_TIERS, active_program, create_program, update_program
from loyalty.services.program_checks import InvalidTiers


@admin.register(Program)
class ProgramAdmin(TenantModelAdmin):
    list_title = "Program and tiers"
    add_role = edit_role = Role.MANAGER
    form = ProgramForm
    list_display = ["name", "rate", "rounding", "tier_count", "is_active"]
    list_select_related = ["merchant"]
    inlines = [TierInline]
    opens_single_row = True
    fieldsets = [
        (None, {"fields": ["name"]}),
        (
            "What customers earn",
            {
                "fields": ["points_per_unit", "rounding"],
                "description": "A change counts for purchases from now on. What was earned before stays as it is.",
            },
        ),
        (
            "What of a purchase earns",
            {
                "fields": [
                    "earns_on_tax",
                    "earns_on_discount",
                    "categories_in",
                    "categories_out",
                    "skus_in",
                    "skus_out",
                ],
                "description": "Purchases whose lines the till does not send earn on all of their amount.",
            },
        ),
        (
            "Where",
            {
                "fields": ["store_ids"],
                "description": "At other stores purchases earn nothing, and no points are redeemed.",
            },
        ),
        (
            "How long points last",
            {
                "fields": ["expiry", "expiry_months", "expiry_month_end", "grace_days", "pending_days"],
                "description": "For points earned from now on: those that exist keep their time. A day counts to its end.",
            },
        ),
        (
            "Returns",
            {
                "fields": ["returns", "shortfall"],
                "description": "What goods take back is decided when they are sold, what happens when it is spent when they"
                " come back. A balance below zero buys nothing, and is never asked for in money.",
            },
        ),
        (
            "What points are worth",
            {
                "fields": ["redeem_value", "redeem_points_min"],
                "description": "Leave the money empty when points buy no money off.",
            },
        ),
        (
            "How tiers are reached and kept",
            {
                "fields": [
                    "tier_metric",
                    "tier_window",
                    "tier_months",
                    "tier_downgrade",
                    "tier_grace_days",
                ],
                "description": "A customer goes up at once. A tier that is no longer reached is lost as said here; the days"
                " of grace come on top.",
            },
        ),
        ("What points are called", {"fields": ["point_name", "points_name"]}),
    ]
    change_form_outer_after_template = "backoffice/program_preview_panel.html"
    empty_icon = "loyalty"
    empty_title = "No loyalty program yet"
    empty_text = "Say how many points a purchase earns and which tiers there are; customers join with their next purchase."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(n_tiers=Count("tiers"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        if not super().has_add_permission(request):
            return False
        match = request.resolver_match
        if match is None or not (match.url_name or "").startswith("loyalty_program_"):
            # Asked by the navigation of every page, which offers no "add".
            return True
        merchant_id = form_merchant_id(request)
        return merchant_id is not None and active_program(merchant_id) is None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and is_open(obj)

    def save_model(self, request: HttpRequest, obj: Program, form: Any, change: bool) -> None:
        """Saved together with its tiers, in save_related."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        program = form.instance
        tiers = [rule for formset in formsets for rule in tier_rules(formset)]
        for formset in formsets:
            formset.new_objects = formset.changed_objects = formset.deleted_objects = []
        said = {**form.said(), "actor_id": request.user.pk}
        if change:
            saved = update_program(merchant_id=program.merchant_id, tiers=tiers, **said)
        else:
            saved = create_program(merchant_id=program.merchant_id, tiers=tiers or DEFAULT_TIERS, **said)
        program.__dict__.update(saved.__dict__)

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view
        return [
            path(
                "<path:object_id>/preview/", view(require_POST(self.preview)), name="loyalty_program_preview"
            ),
            path("<path:object_id>/tried/", view(require_POST(self.tried)), name="loyalty_program_tried"),
            *super().get_urls(),
        ]

    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the form as it is filled in would do: the panel beside it. Nothing is written."""
        return self._panel(request, object_id, "backoffice/program_preview.html", self._previewed)

    def tried(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What it would have done to the purchases of the last days. Nothing is written."""
        return self._panel(request, object_id, "backoffice/tried.html", self._tried)

    def _panel(
        self, request: HttpRequest, object_id: str, template: str, find: Callable[..., dict[str, Any]]
    ) -> HttpResponse:
        program = self.get_object(request, unquote(object_id))
        if program is None:
            raise Http404
        if not self.has_change_permission(request, program):
            raise PermissionDenied
        context: dict[str, Any] = {"program": program, "currency": program.merchant.currency}
        form = self.get_form(request, program, change=True)(request.POST, instance=program)
        formsets, _ = self._create_formsets(request, program, change=True)
        if form.is_valid() and all(formset.is_valid() for formset in formsets):
            try:
                tiers = [rule for formset in formsets for rule in tier_rules(formset)]
                context |= find(request, program.merchant_id, form, tiers)
            except ApiError as exc:
                context["refused"] = [message for message, _ in refused_fields(exc)]
        else:
            context["refused"] = [line for each in (form, *formsets) for line in unfit(each)]
        return TemplateResponse(request, template, context)

    def _previewed(
        self, request: HttpRequest, merchant_id: uuid.UUID, form: Any, tiers: list[TierRule]
    ) -> dict[str, Any]:
        found = preview(merchant_id=merchant_id, tiers=tiers, **form.said())
        return {"preview": found, "changes": described_changes(form, found["changes"])}

    def _tried(
        self, request: HttpRequest, merchant_id: uuid.UUID, form: Any, tiers: list[TierRule]
    ) -> dict[str, Any]:
        return tried_context(
            merchant_id=merchant_id, actor_id=request.user.pk, program={**form.said(), "tiers": tiers}
        )

    @display(description="Earns")
    def rate(self, program: Program) -> str:
        points = f"{program.points_per_unit.normalize():f}"
        name = program.point_name if program.points_per_unit == 1 else program.points_name
        return f"{points} {name} per {money(1, program.merchant.currency)}"

    @display(description="Tiers")
    def tier_count(self, program: Any) -> int:
        return program.n_tiers


def described_changes(form: Any, changes: list[dict[str, str]]) -> list[dict[str, str]]:
    """Changes with the form's own words for fields and choices."""
    found = []
    for change in changes:
        name = _CAPITAL.sub(lambda match: f"_{match[0].lower()}", change["field"])
        field = form.fields.get(name)
        choices = {str(value): str(label) for value, label in getattr(field, "choices", ())}
        label = (
            str(field.label or name.replace("_", " ").capitalize())
            if field is not None
            else name.capitalize()
        )
        said = {
            side: ", ".join(choices.get(part, part) for part in change[side].split(", ")) for side in SIDES
        }
        found.append({**change, **said, "label": label})
    return found


_CAPITAL = re.compile(r"[A-Z]")
SIDES = ("before", "after")


def tier_rules(formset: Any) -> list[TierRule]:
    """The ladder as it is to be after saving. Raises InvalidTiers for an amount that is no whole number of cents."""
    rules = []
    for form in formset.forms:
        data = getattr(form, "cleaned_data", {})
        if not data or data.get("DELETE"):
            continue
        try:
            threshold = to_cents(data["threshold"])
        except ValueError as exc:
            raise InvalidTiers(str(exc)) from None
        benefits = tuple(data.get("benefits") or ())
        rules.append(TierRule(data["code"], data["name"], threshold, data["multiplier"], benefits))
    return sorted(rules, key=lambda rule: rule.threshold_cents)
