"""The customer's form. It checks shapes; the services check, normalise and write."""

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminBigIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from cloudpos.tenancy.backoffice.pages import TenantForm
from cloudpos.tenancy.languages import language_choices
from customers.models import Address, Channel, ConsentState, Customer, Purpose

PROFILE_FIELDS = (
    "type",
    "status",
    "first_name",
    "last_name",
    "company_name",
    "tax_id",
    "email",
    "phone",
    "date_of_birth",
    "gender",
    "language",
    "notes",
    "tags",
)
ADDRESS_FIELDS = (
    "label",
    "type",
    "street1",
    "street2",
    "city",
    "state",
    "postal_code",
    "country",
    "latitude",
    "longitude",
    "is_default",
    "instructions",
)
REASON_CHARS_MAX = 200
# As people type it, with spaces and brackets; stored are 16 at most.
PHONE_TYPED_CHARS_MAX = 40


class TagsField(forms.CharField):
    """Words between commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, (list, tuple)) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return [tag.strip() for tag in text.split(",") if tag.strip()] if isinstance(text, str) else text

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != self.to_python(data or "")


class CustomerForm(TenantForm):
    tags = TagsField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Words between commas, such as: wholesale, newsletter",
    )
    notes = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), max_length=5000
    )
    language = forms.ChoiceField(
        required=False, choices=lambda: language_choices(empty="Not known"), widget=UnfoldAdminSelectWidget
    )
    # The state that the person saw: a change in between is refused instead of overwritten.
    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Customer
        fields = [*PROFILE_FIELDS, "home_store"]
        labels = {
            "email": "E-mail",
            "tax_id": "Tax number",
            "date_of_birth": "Birthday",
            "home_store": "Home store",
        }
        help_texts = {"phone": ""}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "phone" not in self.fields:
            return  # shown only, not changed
        language = self.fields["language"]
        language.choices = language_choices(self.instance.language, empty="Not known")  # type: ignore[attr-defined]
        phone = self.fields["phone"]
        phone.max_length = PHONE_TYPED_CHARS_MAX  # type: ignore[attr-defined]
        phone.validators = []
        phone.widget.attrs |= {"maxlength": PHONE_TYPED_CHARS_MAX, "placeholder": "+44 20 7183 8750"}
        self.fields["home_store"].empty_label = "None"  # type: ignore[attr-defined]
        if not self.instance._state.adding:
            self.fields["seen_version"].initial = self.instance.version

    def clean_phone(self) -> str:
        typed: str = self.cleaned_data["phone"]
        if len(typed) > PHONE_TYPED_CHARS_MAX:
            raise forms.ValidationError("This is too long for a phone number.", code="max_length")
        return typed

    def _post_clean(self) -> None:
        """Nothing is put on the instance here: the service normalises first, and it alone knows what is unique."""

    def profile(self) -> dict[str, Any]:
        """What `customers.services` take."""
        data = {name: self.cleaned_data[name] for name in PROFILE_FIELDS if name in self.cleaned_data}
        store = self.cleaned_data.get("home_store")
        return {**data, "home_store_id": store.pk if store else None}


class AddressForm(TenantForm):
    class Meta:
        model = Address
        fields = ADDRESS_FIELDS
        labels = {"street1": "Street", "street2": "Street, second line", "is_default": "Default address"}
        help_texts = {"country": "Two letters, such as GB"}

    def _post_clean(self) -> None:
        """See CustomerForm."""


def address_rows(formset: Any) -> list[dict[str, Any]]:
    """The addresses that the customer has after saving, as `customers.services` take them."""
    rows: list[dict[str, Any]] = []
    was_default: list[dict[str, Any]] = []
    for form in formset.forms:
        data: Mapping[str, Any] = getattr(form, "cleaned_data", {})
        existing = form.instance.pk if not form.instance._state.adding else None
        if data.get("DELETE") or (existing is None and not form.has_changed()):
            continue
        row = {name: data[name] for name in ADDRESS_FIELDS if name in data}
        rows.append({**row, "id": existing} if existing else row)
        if existing and form.instance.is_default:
            was_default.append(rows[-1])
    if sum(bool(row.get("is_default")) for row in rows) > 1:
        # Ticking another one is enough to take it from the old one.
        for row in was_default:
            row["is_default"] = False
    return rows


class ConsentForm(forms.Form):
    channel = forms.ChoiceField(choices=Channel.choices, widget=UnfoldAdminSelectWidget)
    purpose = forms.ChoiceField(choices=Purpose.choices, widget=UnfoldAdminSelectWidget)
    state = forms.ChoiceField(
        choices=ConsentState.choices, widget=UnfoldAdminSelectWidget, label="The customer"
    )
    source = forms.CharField(
        max_length=50,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "in the shop, by phone, letter of 3 May"}),
        label="Where they said so",
    )


class AskConsentForm(forms.Form):
    purpose = forms.ChoiceField(choices=Purpose.choices, widget=UnfoldAdminSelectWidget, label="What for")


class PointsForm(forms.Form):
    direction = forms.ChoiceField(
        choices=[("add", "Add points"), ("take", "Take points away")],
        widget=UnfoldAdminSelectWidget,
        label="What",
    )
    points = forms.IntegerField(min_value=1, max_value=1_000_000, widget=UnfoldAdminBigIntegerFieldWidget)
    reason = forms.CharField(
        max_length=REASON_CHARS_MAX,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Why, for the customer and the books"}),
    )
    # Sent once per page shown: pressing the button twice adjusts once.
    token = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def signed_points(self) -> int:
        points: int = self.cleaned_data["points"]
        return points if self.cleaned_data["direction"] == "add" else -points


class EraseForm(forms.Form):
    customer_number = forms.CharField(
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        label="Customer number",
    )

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected

    def clean_customer_number(self) -> str:
        typed: str = self.cleaned_data["customer_number"].strip()
        if typed != self.expected:
            raise forms.ValidationError("This is not the customer's number.", code="other_number")
        return typed
