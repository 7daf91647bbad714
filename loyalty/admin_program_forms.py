"""The forms of the program editor: its settings in plain words, and the rungs of its ladder."""

import uuid
from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from cloudpos.tenancy.backoffice.pages import (
    TenantForm,
    TenantTabularInline,
)
from cloudpos.tenancy.models import Store
from cloudpos.tenancy.roles import Role
from loyalty.models import POINTS_PER_ENTRY_MAX, Program, Tier
from loyalty.models_program import (
    EXPIRY_MONTHS_MAX,
    GRACE_DAYS_MAX,
    NAME_CHARS_MAX,
    PENDING_DAYS_MAX,
    POLICY_LIST_MAX,
)
from loyalty.models_tiers import BENEFIT_CHARS_MAX, BENEFITS_MAX, TIER_GRACE_DAYS_MAX, TIER_MONTHS_MAX
from loyalty.services.programs import CHANGEABLE


class FactorForm(TenantForm):
    """Shows factors as people write them: 1.25, not 1.250."""

    factors: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.factors:
            if self.initial.get(name) is not None:
                self.initial[name] = Decimal(f"{Decimal(self.initial[name]).normalize():f}")


class BenefitsField(forms.CharField):
    """Short texts, one on a line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 2, "placeholder": "One on a line"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, (list, tuple)) else value

    def clean(self, value: Any) -> list[str]:
        lines = [line.strip() for line in str(super().clean(value)).splitlines() if line.strip()]
        if len(lines) > BENEFITS_MAX or any(len(line) > BENEFIT_CHARS_MAX for line in lines):
            raise forms.ValidationError(
                f"At most {BENEFITS_MAX} lines of at most {BENEFIT_CHARS_MAX} characters.", code="max_length"
            )
        return lines

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class TierForm(FactorForm):
    factors = ("multiplier",)
    benefits = BenefitsField(required=False)

    def _post_clean(self) -> None:
        """The service checks the ladder as a whole, and writes it."""


class TierInline(TenantTabularInline):
    model = Tier
    form = TierForm
    add_role = edit_role = delete_role = Role.MANAGER
    fields = ["name", "code", "threshold", "multiplier", "benefits"]
    ordering = ["threshold"]
    verbose_name_plural = "Tiers, from the first to the highest"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and is_open(obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request, obj) and is_open(obj)


class NamesField(forms.CharField):
    """Categories or article numbers, one on each line."""

    widget = UnfoldAdminTextareaWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.widget.attrs["rows"] = 3

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else "\n".join(value)

    def clean(self, value: Any) -> list[str]:
        lines = (line.strip() for line in super().clean(value).splitlines())
        names = list(dict.fromkeys(line for line in lines if line))
        if len(names) > POLICY_LIST_MAX:
            raise forms.ValidationError(f"At most {POLICY_LIST_MAX} lines.", code="max_length")
        if any(len(name) > NAME_CHARS_MAX for name in names):
            raise forms.ValidationError(f"At most {NAME_CHARS_MAX} characters on a line.", code="max_length")
        return names

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class ProgramForm(FactorForm):
    factors = ("points_per_unit", "redeem_value")
    categories_in = NamesField(
        label="Only these categories",
        help_text="One on each line. Where nothing is listed here and below, everything earns.",
    )
    skus_in = NamesField(label="Only these articles (SKU)", help_text="One on each line.")
    categories_out = NamesField(
        label="Not these categories", help_text="One on each line: gift cards, tobacco, delivery ..."
    )
    skus_out = NamesField(label="Not these articles (SKU)", help_text="One on each line.")
    store_ids = forms.MultipleChoiceField(
        label="Stores",
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None chosen: all of them, also those that open later.",
    )
    bounds = {
        "expiry_months": (1, EXPIRY_MONTHS_MAX),
        "grace_days": (0, GRACE_DAYS_MAX),
        "redeem_value": (Decimal("0.0001"), 1_000_000),
        "redeem_points_min": (1, POINTS_PER_ENTRY_MAX),
        "pending_days": (0, PENDING_DAYS_MAX),
        "tier_months": (1, TIER_MONTHS_MAX),
        "tier_grace_days": (0, TIER_GRACE_DAYS_MAX),
    }

    class Meta:
        model = Program
        fields = CHANGEABLE
        labels = {
            "points_per_unit": "Points per unit of currency",
            "expiry": "Points expire",
            "expiry_months": "After so many months",
            "expiry_month_end": "At the end of that month",
            "grace_days": "Days of grace",
            "redeem_value": "Money per point",
            "redeem_points_min": "Fewest points at once",
            "point_name": "One",
            "points_name": "Several",
            "earns_on_tax": "Tax earns points",
            "earns_on_discount": "What a discount took off earns points",
            "pending_days": "Days until points can be spent",
            "returns": "When goods come back",
            "shortfall": "When those points are spent already",
            "tier_metric": "What counts towards tiers",
            "tier_window": "Of which purchases",
            "tier_months": "Of so many months",
            "tier_downgrade": "A tier is lost",
            "tier_grace_days": "Days of grace",
        }
        help_texts = {
            "expiry_months": "A day counts to its end",
            "pending_days": "For points of purchases: 14 is longer than most returns take. 0: at once.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (least, most) in self.bounds.items():
            if name in self.fields:
                self.fields[name].validators += [MinValueValidator(least), MaxValueValidator(most)]
        if "store_ids" in self.fields:
            stores = Store.objects.for_merchant(self.instance.merchant_id).order_by("name")
            self.fields["store_ids"].choices = [  # type: ignore[attr-defined]
                (str(pk), name) for pk, name in stores.values_list("pk", "name")
            ]

    def clean_store_ids(self) -> list[uuid.UUID]:
        return [uuid.UUID(store_id) for store_id in self.cleaned_data["store_ids"]]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        months = cleaned.get("expiry_months")
        if cleaned.get("expiry") == Program.Expiry.NONE:
            cleaned["expiry_months"] = None
        elif months is None and "expiry_months" not in self.errors:
            self.add_error("expiry_months", "Say after how many months.")
        self._clean_qualification(cleaned)
        return cleaned

    def _clean_qualification(self, cleaned: dict[str, Any]) -> None:
        """Fields that another choice makes meaningless are left out, as people expect of a form."""
        window = cleaned.get("tier_window")
        if window != Program.Window.ROLLING:
            cleaned["tier_months"] = None
        elif cleaned.get("tier_months") is None and "tier_months" not in self.errors:
            self.add_error("tier_months", "Say for how many months a purchase counts.")
        if window == Program.Window.LIFETIME:
            cleaned["tier_downgrade"] = Program.Downgrade.IMMEDIATE
        if window == Program.Window.LIFETIME or cleaned.get("tier_downgrade") == Program.Downgrade.NEVER:
            cleaned["tier_grace_days"] = 0

    def _post_clean(self) -> None:
        """The service writes: earlier purchases keep the rules of their time, so a change is a new version."""

    def said(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}


def is_open(program: Any) -> bool:
    return not isinstance(program, Program) or program.is_active


def unfit(form: Any) -> list[str]:
    """What cannot be saved of a form or of a formset as it is filled in, in words; a field that is empty is not told of."""
    if hasattr(form, "forms"):
        lines = [line for each in form.forms for line in unfit(each)]
        return [*lines, *(str(error) for error in form.non_form_errors())]
    lines = []
    for name, errors in form.errors.as_data().items():
        told = [str(message) for error in errors if error.code != "required" for message in error.messages]
        label = f"{form[name].label}: " if name in form.fields else ""
        lines += [f"{label}{message}" for message in told]
    return lines or (["Something is still to be filled in."] if form.errors else [])
