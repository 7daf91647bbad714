"""Campaigns: the list with its calendar, the editor with a live preview, and the steps of a campaign's life."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.timezone import now

from cloudpos.admin.analytics.pages import Shown, analytics_page
from cloudpos.admin.campaigns.calendar import month_of
from cloudpos.admin.campaigns.form import DESIGN_PARTS, PARTS, CampaignForm, shown_variants
from cloudpos.admin.campaigns.results import results_shown
from cloudpos.api.errors import ApiError, BadRequest, FieldError
from cloudpos.api.middleware import ADMIN_POLICY
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.models import Merchant
from customers.services import CustomerNotFound, find_customer
from marketing.campaigns import services
from marketing.campaigns.audience import Audience, audience_of
from marketing.campaigns.checks import check_campaign
from marketing.campaigns.previews import send_test, shown_for
from marketing.content.text_messages import segments
from marketing.content.variables import VARIABLES
from marketing.models import Campaign, Segment
from marketing.models_messaging import Channel

State = Campaign.State
SHADES = {
    State.DRAFT: "grey", State.SCHEDULED: "blue", State.SENDING: "violet", State.PAUSED: "orange", State.SENT: "green",
    State.CANCELLED: "red",
}  # fmt: skip
LISTED_MAX = 200
# A preview counts so many customers: more take too long for each key that is pressed.
PREVIEW_COUNTED_MAX = 20_000
REASONS = {
    "no_consent": "did not agree", "no_address": "have no address", "suppressed": "bounced or complained",
    "not_active": "are not active", "gone": "are gone",
}  # fmt: skip
# The pictures of a mail come from anywhere; its frame runs nothing.
EDITOR_POLICY = ADMIN_POLICY.replace("img-src 'self' data:", "img-src 'self' data: https:")
STEPS = {
    "schedule": (services.schedule_campaign, "“{}” is on its way."),
    "pause": (services.pause_campaign, "“{}” is paused: nothing is begun any more."),
    "resume": (services.resume_campaign, "“{}” goes on."),
    "cancel": (services.cancel_campaign, "“{}” is cancelled for good."),
    "resend": (services.resend_unknown, "What nobody knows of is sent again for “{}”."),
}


@analytics_page("Campaigns", "list", folder="campaigns")
def campaigns_page(request: HttpRequest, merchant: Merchant) -> Shown:
    campaigns = Campaign.objects.for_merchant(merchant).defer("variants").order_by("-created_at")
    names = dict(Segment.objects.for_merchant(merchant).values_list("pk", "name"))
    rows = [
        {
            "campaign": campaign,
            "shade": SHADES[State(campaign.state)],
            "who": ", ".join(names.get(each, "–") for each in campaign.include_segments) or "Everybody",
        }
        for campaign in campaigns[:LISTED_MAX]
    ]
    return {"rows": rows, "month": month_of(merchant, request.GET.get("month"), at=now())}


@analytics_page("New campaign", "editor", folder="campaigns", policy=EDITOR_POLICY)
def new_campaign_page(request: HttpRequest, merchant: Merchant) -> Shown:
    return _editor(request, merchant, None)


@analytics_page("Campaign", "editor", folder="campaigns", policy=EDITOR_POLICY)
def campaign_page(request: HttpRequest, merchant: Merchant, campaign_id: uuid.UUID) -> Shown:
    """The editor of what has not begun; of what has, what came of it."""
    campaign = _found(merchant, campaign_id)
    if request.method == "POST" and "step" in request.POST:
        return _step(request, merchant, campaign)
    if campaign.started_at is None and campaign.state in (State.DRAFT, State.SCHEDULED):
        return _editor(request, merchant, campaign)
    return {
        "template": "results",
        "title": campaign.name,
        "campaign": campaign,
        "shade": SHADES[State(campaign.state)],
        **results_shown(campaign, merchant),
    }


@analytics_page("What it looks like", "preview", folder="campaigns")
def campaign_preview(request: HttpRequest, merchant: Merchant) -> Shown:
    """A part: whom the form would reach, and what one of them would get. Nothing is saved."""
    form = CampaignForm(request.POST, merchant=merchant, campaign=None)
    form.fields["name"].required = False
    if not form.is_valid():
        return {"problems": _form_problems(form)}
    campaign = Campaign(merchant=merchant, **form.values())
    shown: dict[str, Any] = {"campaign": campaign, "tested": request.POST.get("test", "")}
    refused: ApiError | None = None
    try:
        check_campaign(campaign)
    except ApiError as refusal:
        refused = refusal
        # Whom it would reach can be told before there is a text.
        campaign.variants = [{"key": "A", "weight": 1}]
    try:
        shown["audience"] = _audience(audience_of(campaign, most=PREVIEW_COUNTED_MAX))
        if refused is not None:
            raise refused
        variant = request.POST.get("shown_variant", "A")
        if variant not in {each["key"] for each in campaign.variants}:
            variant = "A"
        customer_id = _customer(merchant, request.POST.get("shown_for", ""))
        rendered = shown_for(campaign=campaign, variant=variant, customer_id=customer_id)
        shown |= {
            "rendered": rendered,
            "variant": variant,
            "variants": [each["key"] for each in campaign.variants],
            "parts": segments(rendered.text) if campaign.channel == Channel.SMS else None,
        }
    except CustomerNotFound:
        shown["problems"] = ["There is no customer of this number, address or phone number."]
    except ApiError as refusal:
        shown["problems"] = _problems(refusal)
    return shown


@analytics_page("Test", "tested", folder="campaigns")
def campaign_test(request: HttpRequest, merchant: Merchant) -> Shown:
    """A part: sends what is in the form to an address of the merchant's own."""
    form = CampaignForm(request.POST, merchant=merchant, campaign=None)
    if request.method != "POST" or not form.is_valid():
        return {"problems": _form_problems(form)}
    campaign = Campaign(merchant=merchant, **form.values())
    try:
        check_campaign(campaign)
        sent = send_test(
            campaign=campaign,
            addresses=[request.POST.get("test_address", "").strip()[:254]],
            variant=request.POST.get("shown_variant", "A"),
            customer_id=_customer(merchant, request.POST.get("shown_for", "")),
        )
    except CustomerNotFound:
        return {"problems": ["There is no customer of this number, address or phone number."]}
    except ApiError as refusal:
        return {"problems": _problems(refusal)}
    return {"messages_sent": sent["messages"]}


def _editor(request: HttpRequest, merchant: Merchant, campaign: Campaign | None) -> Shown:
    typed = request.POST if request.method == "POST" else None
    form = CampaignForm(typed, merchant=merchant, campaign=campaign)
    problems: list[str] = []
    if typed is not None and form.is_valid():
        try:
            saved = _save(request, merchant, campaign, form.values())
            if request.POST.get("act") == "start":
                services.schedule_campaign(access=acting_for(request, merchant), campaign_id=saved.pk)
        except ApiError as refusal:
            problems = _problems(refusal)
        else:
            said = "is on its way" if request.POST.get("act") == "start" else "is saved"
            messages.success(request, f"“{saved.name}” {said}.")
            return HttpResponseRedirect(reverse("campaign_page", args=[saved.pk]))
    elif typed is not None:
        problems = _form_problems(form)
    return {
        "form": form,
        "campaign": campaign,
        "problems": problems,
        "variants": shown_variants(campaign, form["channel"].value() or "email", typed or {}),
        "catalogue": list(VARIABLES.values()),
        "parts": PARTS,
        "design_parts": DESIGN_PARTS,
    }


def _save(
    request: HttpRequest, merchant: Merchant, campaign: Campaign | None, values: dict[str, Any]
) -> Campaign:
    access = acting_for(request, merchant)
    if campaign is None:
        return services.create_campaign(access=access, **values)
    return services.update_campaign(access=access, campaign_id=campaign.pk, changes=values)


def _step(request: HttpRequest, merchant: Merchant, campaign: Campaign) -> HttpResponse:
    step, access = request.POST["step"], acting_for(request, merchant)
    try:
        if step == "delete":
            services.delete_campaign(merchant_id=merchant.pk, campaign_id=campaign.pk)
            messages.success(request, f"“{campaign.name}” is deleted.")
            return HttpResponseRedirect(reverse("campaigns_page"))
        if step == "copy":
            name = f"{campaign.name[:93]} (copy)"
            copy = services.copy_campaign(access=access, campaign_id=campaign.pk, name=name)
            messages.success(request, "This is the copy, as a draft.")
            return HttpResponseRedirect(reverse("campaign_page", args=[copy.pk]))
        if step not in STEPS:
            raise BadRequest(errors=[FieldError("step", "There is no such step.")])
        take, said = STEPS[step]
        take(access=access, campaign_id=campaign.pk)
        messages.success(request, said.format(campaign.name))
    except ApiError as refusal:
        messages.error(request, " ".join([refusal.detail, *_problems(refusal)[:3]]))
    return HttpResponseRedirect(reverse("campaign_page", args=[campaign.pk]))


def _found(merchant: Merchant, campaign_id: uuid.UUID) -> Campaign:
    try:
        return services.find_campaign(merchant_id=merchant.pk, campaign_id=campaign_id)
    except services.CampaignNotFound:
        raise Http404 from None


def _customer(merchant: Merchant, said: str) -> uuid.UUID | None:
    """By number, e-mail address or phone number; nobody when nothing was typed. Raises CustomerNotFound."""
    said = said.strip()
    if not said:
        return None
    named: dict[str, Any] = {"email" if "@" in said else "phone" if said.startswith("+") else "number": said}
    try:
        return find_customer(merchant_id=merchant.pk, country=merchant.country, **named).pk
    except BadRequest:
        raise CustomerNotFound() from None


def _audience(found: Audience) -> dict[str, Any]:
    return {
        "recipients": found.reached - found.groups[""],
        "control": found.groups[""],
        "customers": found.looked_at,
        "variants": sorted((key, n) for key, n in found.groups.items() if key),
        "others": [(REASONS.get(reason, reason), n) for reason, n in found.reasons.most_common()],
        "is_whole": found.is_whole,
    }


def _form_problems(form: CampaignForm) -> list[str]:
    return [
        f"{form.fields[name].label}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()
    ]


def _problems(refusal: ApiError) -> list[str]:
    """In words; of a text, in which variant and part."""
    return [_said(error) for error in refusal.errors] or [refusal.detail]


def _said(error: FieldError) -> str:
    where = (error.field or "").split(".")
    if len(where) >= 4 and where[0] == "variants" and where[1].isdigit():
        return f"Variant {'ABCDE'[int(where[1])]}, {where[3]}: {error.message}"
    return error.message
