"""A campaign as a form: what is typed, in the words that `marketing.campaigns.services` takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django import forms
from django.db.models import Q
from django.utils import timezone

from cloudpos.api.errors import ApiError
from cloudpos.api.parsing import parse_json
from cloudpos.tenancy.models import Merchant
from customers.event_catalogue import CATALOGUE
from customers.models import Channel as ConsentChannel
from customers.models import Purpose
from customers.models.event_type import CustomEventType
from loyalty.models import Reward
from marketing.campaigns.checks import KEYS
from marketing.models import Campaign
from marketing.models_campaigns import (
    CONTROL_PERCENT_DEFAULT,
    CONTROL_PERCENT_MAX,
    INCENTIVE_DAYS_DEFAULT,
    INCENTIVE_DAYS_MAX,
)
from marketing.models_messaging import Channel
from marketing.segment_reading import segments_of

WEEKDAYS = [(1, "Mon"), (2, "Tue"), (3, "Wed"), (4, "Thu"), (5, "Fri"), (6, "Sat"), (7, "Sun")]
NOW, LATER = "now", "later"
NEVER, ALWAYS, AFTER_DAYS = "never", "always", "days"
PARTS = {
    Channel.EMAIL.value: ("subject", "preheader", "html", "text"),
    Channel.SMS.value: ("text",),
    Channel.PUSH.value: ("title", "body", "link"),
    Channel.WEBHOOK.value: ("body",),
}
DESIGN_PARTS = ("heading", "text", "button", "link")
DESIGNED, HTML = "designed", "html"


def _input(**attributes: Any) -> dict[str, Any]:
    return {"class": "cp-input", **attributes}


def _number(label: str, least: int, most: int, *, required: bool = True, **more: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=most,
        required=required,
        widget=forms.NumberInput(attrs=_input(**{"class": "cp-input cp-input--number"})),
        **more,
    )


def _choice(label: str, choices: Any, **more: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, widget=forms.Select(attrs=_input()), **more)


def _moment(label: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,
        required=False,
        widget=forms.DateTimeInput(attrs=_input(type="datetime-local"), format="%Y-%m-%dT%H:%M"),
    )


class CampaignForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=100,
        widget=forms.TextInput(attrs=_input(placeholder="Spring gifts", autocomplete="off")),
    )
    kind = _choice("When", Campaign.Kind.choices)
    channel = _choice("How", Channel.choices)
    consent_channel = _choice("Whose consent counts", ConsentChannel.choices, required=False)
    purpose = _choice(
        "What for", [(Purpose.MARKETING.value, "Advertising"), (Purpose.TRANSACTIONAL.value, "Service")]
    )
    include = forms.MultipleChoiceField(label="Who", required=False, widget=forms.CheckboxSelectMultiple)
    exclude = forms.MultipleChoiceField(label="But not", required=False, widget=forms.CheckboxSelectMultiple)
    control_percent = _number(
        "Control group, in per cent", 0, CONTROL_PERCENT_MAX, initial=CONTROL_PERCENT_DEFAULT
    )
    when = forms.ChoiceField(
        label="Send",
        choices=[(NOW, "as soon as it is started"), (LATER, "at a time")],
        initial=NOW,
        required=False,
        widget=forms.Select(attrs=_input()),
    )
    send_at = _moment("At")
    every = _choice("Every", [("day", "day"), ("week", "week"), ("month", "month")], required=False)
    interval = _number("Every so many", 1, 90, required=False, initial=1)
    weekdays = forms.MultipleChoiceField(
        label="On", choices=WEEKDAYS, required=False, widget=forms.CheckboxSelectMultiple, initial=[1]
    )
    day = _number("Day of the month", 1, 31, required=False, initial=1)
    at = forms.TimeField(
        label="At",
        required=False,
        initial="09:00",
        widget=forms.TimeInput(attrs=_input(type="time"), format="%H:%M"),
    )
    trigger_event = _choice("What happens", [], required=False)
    trigger_segment = _choice("Which group", [], required=False)
    delay_minutes = _number("Minutes later", 0, 129_600, required=False, initial=0)
    again = _choice(
        "The same customer again",
        [(NEVER, "never"), (AFTER_DAYS, "after some days"), (ALWAYS, "each time")],
        required=False,
    )
    again_days = _number("Days", 1, 3_650, required=False, initial=30)
    ends_at = _moment("Ends")
    incentive_points = _number("Points for each recipient", 1, 1_000_000, required=False)
    incentive_reward = _choice("Reward for each recipient", [], required=False)
    incentive_days = _number(
        "Days to use it in", 1, INCENTIVE_DAYS_MAX, required=False, initial=INCENTIVE_DAYS_DEFAULT
    )
    conversion_days = _number("Days in which a purchase counts", 1, 90, initial=7)

    def __init__(self, typed: Any, *, merchant: Merchant, campaign: Campaign | None) -> None:
        super().__init__(typed, initial=_initial(campaign, merchant) if campaign else None)
        self.merchant = merchant
        groups = [
            (str(pk), name)
            for pk, name in segments_of(merchant.pk).order_by("name").values_list("pk", "name")
        ]
        own = CustomEventType.objects.for_merchant(merchant).order_by("type").values_list("type", flat=True)
        types = [*CATALOGUE, *own]
        for name in ("include", "exclude"):
            self.fields[name].choices = groups  # type: ignore[attr-defined]
        self.fields["trigger_segment"].choices = [("", "–"), *groups]  # type: ignore[attr-defined]
        self.fields["trigger_event"].choices = [  # type: ignore[attr-defined]
            ("", "coming into a group"),
            *((each, each) for each in types if not each.startswith("segment.")),
        ]

        rewards = Reward.objects.for_merchant(merchant)
        kept = campaign.incentive_reward_id if campaign else None
        self.fields["incentive_reward"].choices = [  # type: ignore[attr-defined]
            ("", "–"),
            *(
                (str(pk), name)
                for pk, name in rewards.filter(Q(archived_at=None) | Q(pk=kept))
                .order_by("name")
                .values_list("pk", "name")
            ),
        ]

    def full_clean(self) -> None:
        # What is typed is the shop's time.
        with timezone.override(self.merchant.tz):
            super().full_clean()

    def values(self) -> dict[str, Any]:
        """Of a valid form: the fields of a campaign."""
        said = self.cleaned_data
        is_later = said["when"] == LATER or said["kind"] == Campaign.Kind.RECURRING
        return {
            "name": said["name"],
            "kind": said["kind"],
            "channel": said["channel"],
            "consent_channel": said["consent_channel"],
            "purpose": said["purpose"],
            "include_segments": _ids(said["include"]),
            "exclude_segments": _ids(said["exclude"]),
            "control_percent": said["control_percent"],
            "send_at": said["send_at"] if is_later else None,
            "recurrence": self._recurrence(),
            "trigger": self._trigger(),
            "ends_at": said["ends_at"],
            "incentive_points": said["incentive_points"],
            "incentive_reward_id": UUID(said["incentive_reward"]) if said["incentive_reward"] else None,
            "incentive_days": said["incentive_days"] or INCENTIVE_DAYS_DEFAULT,
            "conversion_days": said["conversion_days"],
            "variants": typed_variants(said["channel"], self.data),
        }

    def _recurrence(self) -> dict[str, Any] | None:
        said = self.cleaned_data
        if said["kind"] != Campaign.Kind.RECURRING:
            return None
        found: dict[str, Any] = {
            "every": said["every"] or "day",
            "interval": said["interval"] or 1,
            "at": f"{said['at']:%H:%M}" if said["at"] else "09:00",
        }
        if found["every"] == "week":
            found["weekdays"] = [int(day) for day in said["weekdays"]]
        if found["every"] == "month":
            found["day"] = said["day"] or 1
        return found

    def _trigger(self) -> dict[str, Any] | None:
        said = self.cleaned_data
        if said["kind"] != Campaign.Kind.TRIGGERED:
            return None
        found: dict[str, Any] = (
            {"event": said["trigger_event"]}
            if said["trigger_event"]
            else {"segment": said["trigger_segment"]}
        )
        again = {NEVER: None, ALWAYS: 0, AFTER_DAYS: said["again_days"] or 1}[said["again"] or NEVER]
        return {**found, "delayMinutes": said["delay_minutes"] or 0, "againAfterDays": again}


def _ids(said: list[str]) -> list[Any]:
    return [UUID(each) for each in said]


def _initial(campaign: Campaign, merchant: Merchant) -> dict[str, Any]:
    recurrence, trigger = campaign.recurrence or {}, campaign.trigger or {}
    again = trigger.get("againAfterDays")
    local = _local(merchant)
    return {
        "name": campaign.name,
        "kind": campaign.kind,
        "channel": campaign.channel,
        "consent_channel": campaign.consent_channel,
        "purpose": campaign.purpose,
        "include": [str(each) for each in campaign.include_segments],
        "exclude": [str(each) for each in campaign.exclude_segments],
        "control_percent": campaign.control_percent,
        "when": LATER if campaign.send_at else NOW,
        "send_at": local(campaign.send_at),
        "every": recurrence.get("every", "day"),
        "interval": recurrence.get("interval", 1),
        "weekdays": [str(day) for day in recurrence.get("weekdays", [1])],
        "day": recurrence.get("day", 1),
        "at": recurrence.get("at", "09:00"),
        "trigger_event": trigger.get("event", ""),
        "trigger_segment": trigger.get("segment", ""),
        "delay_minutes": trigger.get("delayMinutes", 0),
        "again": NEVER if again is None else AFTER_DAYS if again else ALWAYS,
        "again_days": again or 30,
        "ends_at": local(campaign.ends_at),
        "incentive_points": campaign.incentive_points,
        "incentive_reward": str(campaign.incentive_reward_id or ""),
        "incentive_days": campaign.incentive_days,
        "conversion_days": campaign.conversion_days,
    }


def _local(merchant: Merchant) -> Any:
    """For a datetime-local input, which knows no zone."""

    def shown(at: datetime | None) -> datetime | None:
        return at and at.astimezone(merchant.tz).replace(tzinfo=None)

    return shown


def typed_variants(channel: str, typed: Mapping[str, str]) -> list[dict[str, Any]]:
    """The variants of the form in their order; those in which nothing was written are not there."""
    found: list[dict[str, Any]] = []
    for key in KEYS:
        content: dict[str, Any] = {
            part: typed.get(f"{channel}-{part}-{key}", "") for part in PARTS.get(channel, ())
        }
        design = None
        if channel == Channel.EMAIL and typed.get(f"mode-{key}", DESIGNED) == DESIGNED:
            design = {part: typed.get(f"design-{part}-{key}", "") for part in DESIGN_PARTS}
            content = {name: content[name] for name in ("subject", "preheader")}
        if channel == Channel.WEBHOOK:
            content = {"body": _json(content["body"])}
        written = [*content.values(), *(design or {}).values()]
        if not any(written) and found:
            continue
        variant: dict[str, Any] = {"weight": _weight(typed.get(f"weight-{key}", "1"))}
        if design is not None:
            variant["design"] = design
        found.append(variant | {"content": {name: value for name, value in content.items() if value}})
    return found


def _weight(said: str) -> int:
    """0, which is refused with its reason, for what is no number."""
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 3 else 0


def _json(said: str) -> Any:
    if not said.strip():
        return ""
    try:
        return parse_json(said.encode())
    except ApiError:
        return said


def shown_variants(campaign: Campaign | None, channel: str, typed: Mapping[str, str]) -> list[dict[str, Any]]:
    """For the template: each of KEYS with its fields filled in, and whether it is open."""
    kept = {each["key"]: each for each in campaign.variants} if campaign else {}
    shown = []
    for key in KEYS:
        variant = kept.get(key, {})
        content, design = variant.get("content", {}), variant.get("design")
        if "body" in content and not isinstance(content["body"], str):
            content = {**content, "body": orjson.dumps(content["body"], option=orjson.OPT_INDENT_2).decode()}
        fields = {
            f"{each}-{part}": content.get(part, "") if campaign and campaign.channel == each else ""
            for each, parts in PARTS.items()
            for part in parts
        } | {f"design-{part}": (design or {}).get(part, "") for part in DESIGN_PARTS}
        weight, mode = str(variant.get("weight", 1)), DESIGNED if design or not content.get("html") else HTML
        if typed:
            fields = {name: typed.get(f"{name}-{key}", "") for name in fields}
            weight, mode = typed.get(f"weight-{key}", "1"), typed.get(f"mode-{key}", DESIGNED)
        is_open = key == KEYS[0] or any(fields.values())
        shown.append(
            {
                "key": key,
                "weight": weight,
                "mode": mode,
                "is_open": is_open,
                "fields": {name.replace("-", "_"): value for name, value in fields.items()},
            }
        )
    return shown
