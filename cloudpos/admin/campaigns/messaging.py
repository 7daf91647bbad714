"""How a merchant's messages leave: who writes, when, how much, and through whom."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.api.errors import ApiError
from cloudpos.api.fields import clean_text
from cloudpos.tenancy.backoffice.access import staff_access
from cloudpos.tenancy.backoffice.pages import refused_fields
from cloudpos.tenancy.languages import language_name
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from marketing.channels.settings import (
    FOOT_TEXT_CHARS_MAX,
    SECRETS,
    change_messaging_settings,
    messaging_settings_of,
)
from marketing.content.foot import WORDS, foot_of_text
from marketing.content.variables import example_values_of
from marketing.models import MessagingSettings

SECRET_CHARS_MAX = 300
FOOT = "foot_text_"


def _text(label: str, most: int, **attributes: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"class": "cp-input", "autocomplete": "off", **attributes})
    return forms.CharField(label=label, max_length=most, required=False, widget=widget)


def _lines(label: str, most: int, *, initial: str = "") -> forms.CharField:
    widget = forms.Textarea(attrs={"class": "cp-input", "rows": 2})
    return forms.CharField(label=label, max_length=most, required=False, initial=initial, widget=widget)


def _secret(label: str) -> forms.CharField:
    """Never shown again: what is typed replaces what is kept."""
    widget = forms.PasswordInput(attrs={"class": "cp-input", "autocomplete": "new-password"})
    return forms.CharField(
        label=label, max_length=SECRET_CHARS_MAX, required=False, widget=widget, strip=True
    )


def _clock(label: str) -> forms.TimeField:
    widget = forms.TimeInput(attrs={"class": "cp-input", "type": "time"}, format="%H:%M")
    return forms.TimeField(label=label, required=False, widget=widget)


def _choice(label: str, choices: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label, choices=choices, required=False, widget=forms.Select(attrs={"class": "cp-input"})
    )


class MessagingForm(forms.Form):
    """Its fields are the names of `change_messaging_settings`."""

    sender_name = _text("Sender", 100)
    reply_to = _text("Answers go to", 254, inputmode="email")
    postal_address = _lines("Postal address", 300)
    quiet_from = _clock("Quiet from")
    quiet_until = _clock("Until")
    max_messages_per_week = forms.IntegerField(
        label="Messages a week at most",
        min_value=1,
        max_value=1_000,
        required=False,
        widget=forms.NumberInput(attrs={"class": "cp-input cp-input--number"}),
    )
    per_second = forms.DecimalField(
        label="Messages a second at most",
        min_value=0,
        max_digits=7,
        decimal_places=2,
        widget=forms.NumberInput(attrs={"class": "cp-input cp-input--number", "step": "any"}),
    )
    track_links = forms.BooleanField(label="Count openings and clicks", required=False)
    sms_provider = _choice("Through", MessagingSettings.SmsProvider.choices)
    sms_account = _text("Account SID", 100)
    sms_sender = _text("Sender's number or name", 20)
    sms_secret = _secret("Auth token")
    push_provider = _choice("Through", MessagingSettings.PushProvider.choices)
    push_account = _text("App id", 100)
    push_secret = _secret("API key")
    webhook_url = _text("Address", 2_000, inputmode="url", placeholder="https://letters.example.com/cloudpos")
    webhook_secret = _secret("Secret, whsec_ ...")

    def __init__(self, typed: Any, *, row: MessagingSettings) -> None:
        kept = {name: getattr(row, name) for name in self.base_fields if name not in SECRETS}
        super().__init__(typed, initial=kept)
        # Those that the foot speaks, and what was kept for others.
        self._feet = {f"{FOOT}{tag}": tag for tag in ["", *WORDS, *row.foot_texts]}
        for name, tag in self._feet.items():
            label = language_name(tag) if tag else "Your own text"
            self.fields[name] = _lines(label, FOOT_TEXT_CHARS_MAX, initial=row.foot_texts.get(tag, ""))

    @property
    def own_foot(self) -> forms.BoundField:
        return self[FOOT]

    @property
    def foot_fields(self) -> list[forms.BoundField]:
        return [self[name] for name, tag in self._feet.items() if tag]

    def changes(self) -> dict[str, Any]:
        """What was typed, of a form that is valid. An empty secret is none that is typed: it stays."""
        said = {
            name: value
            for name, value in self.cleaned_data.items()
            if name not in self._feet and (name not in SECRETS or value)
        }
        texts = {tag: clean_text(self.cleaned_data[name]) for name, tag in self._feet.items()}
        return said | {"foot_texts": {tag: text for tag, text in texts.items() if text}}


@analytics_page("Messaging", "messaging", folder="campaigns")
def messaging_page(request: HttpRequest, merchant: Merchant) -> Shown:
    """As with the API: a manager may look, an owner may change."""
    row = messaging_settings_of(merchant.pk)
    form = MessagingForm(request.POST or None, row=row)
    may_change = staff_access(request).may(Role.OWNER)
    if form.is_bound and not may_change:
        raise PermissionDenied
    if form.is_bound and form.is_valid():
        try:
            change_messaging_settings(merchant_id=merchant.pk, changes=form.changes())
        except ApiError as refusal:
            for message, field in refused_fields(refusal):
                form.add_error(field if field in form.fields else None, message)
        else:
            messages.success(request, "Saved.")
            return HttpResponseRedirect(reverse("messaging_page"))
    return {
        "form": form,
        "may_change": may_change,
        "feet": _feet(merchant, row),
        "has_own_languages": any(row.foot_texts),
        "kept": {name: bool(getattr(row, column)) for name, column in SECRETS.items()},
    }


def _feet(merchant: Merchant, row: MessagingSettings) -> list[tuple[str, list[str]]]:
    """The lines of a mail's foot, as it is saved: in the merchant's language, and in those that have a text."""
    values = example_values_of(merchant.pk)
    tags = dict.fromkeys([merchant.language, *sorted(tag for tag in row.foot_texts if tag)])
    shown = []
    for tag in tags:
        values["customer"]["language"] = tag
        shown.append((language_name(tag), foot_of_text("", values)))
    return shown
