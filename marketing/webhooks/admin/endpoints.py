"""The webhook console: endpoints with their health, a test, a replay, a new secret, and switching one on again."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.timezone import get_current_timezone, now
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.backoffice.pages import TenantForm, TenantModelAdmin
from cloudpos.tenancy.formats import ago, count, moment
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from customers.event_types import OUR_EVENTS
from marketing.models import Webhook
from marketing.webhooks.deliveries import TEST_EVENT
from marketing.webhooks.finding import deliveries_of
from marketing.webhooks.health import WAITING_COUNTED_MAX, Health, HealthState, health_of
from marketing.webhooks.replays import Only, start_replay
from marketing.webhooks.services import (
    NewWebhook,
    create_webhook,
    delete_webhook,
    rotate_secret,
    send_test_event,
    update_webhook,
)
from marketing.webhooks.targets import UrlRefused, check_url

EVERYTHING = "*"


class WebhookForm(TenantForm):
    url = forms.CharField(
        label="Address",
        max_length=2000,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "https://erp.example.com/cloudpos"}),
        help_text="Where we send each event, as a signed POST",
    )
    description = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)
    event_types = forms.MultipleChoiceField(label="Events", widget=UnfoldAdminCheckboxSelectMultipleWidget)
    is_enabled = forms.BooleanField(
        label="Switched on", required=False, initial=True, widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = Webhook
        fields = ["url", "description", "event_types", "is_enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        listed = [] if self.instance._state.adding else list(self.instance.event_types)
        known = [EVERYTHING, *sorted(OUR_EVENTS - {TEST_EVENT})]
        others = [entry for entry in listed if entry not in known]
        self.fields["event_types"].choices = [  # type: ignore[attr-defined]
            (entry, "Every event" if entry == EVERYTHING else entry) for entry in [*known, *others]
        ]

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        if url != self.initial.get("url"):
            try:
                check_url(url)
            except UrlRefused as refusal:
                raise forms.ValidationError(str(refusal.message), code="url") from None
        return url

    def _post_clean(self) -> None:
        """The service writes; nothing is put on the instance here."""

    def said(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields if name in self.cleaned_data}


SHADES = {
    HealthState.NEW: "blue",
    HealthState.HEALTHY: "green",
    HealthState.FAILING: "red",
    HealthState.RECOVERING: "orange",
    HealthState.DISABLED: "silver",
}
WORDS = {
    HealthState.NEW: "Nothing sent yet",
    HealthState.HEALTHY: "Healthy",
    HealthState.FAILING: "Failing",
    HealthState.RECOVERING: "Catching up",
    HealthState.DISABLED: "Switched off",
}
DELIVERIES_SHOWN = 8
# How far back a replay may be asked to reach.
REPLAYS = {
    "1": "the last hour",
    "24": "the last 24 hours",
    "168": "the last 7 days",
    "720": "the last 30 days",
}


def shown(webhook: Webhook) -> Health:
    """What `changelist_view` has found out for the whole page."""
    health: Health = vars(webhook)["shown_health"]
    return health


def badge(health: Health) -> str:
    return format_html(
        '<span class="cp-badge cp-badge--{}">{}</span>', SHADES[health.state], WORDS[health.state]
    )


def waiting_words(health: Health) -> str:
    return (
        f"{count(WAITING_COUNTED_MAX)}+" if health.waiting >= WAITING_COUNTED_MAX else count(health.waiting)
    )


def rate_words(health: Health) -> str:
    rate = health.success_rate
    # 99.96 % is not all of them.
    return "–" if rate is None else "100%" if rate == 1 else f"{min(rate * 100, 99.9):.1f}%"


@admin.register(Webhook)
class WebhookAdmin(TenantModelAdmin):
    add_role = edit_role = delete_role = Role.MANAGER
    form = WebhookForm
    list_display = ["endpoint", "health", "success", "waiting", "last_failure", "listens_to"]
    list_display_links = ["endpoint"]
    ordering = ["-created_at"]
    fields = ["url", "description", "event_types", "is_enabled"]
    actions_detail = [
        "send_test",
        "replay",
        "switch_on",
        {"title": "More", "items": ["deliveries", "rotate", "verify"]},
    ]
    change_form_outer_before_template = "backoffice/webhook_head.html"
    empty_icon = "webhook"
    empty_title = "No webhooks yet"
    empty_text = (
        "A webhook tells another system of yours, such as accounting or a shop, the moment something happens."
    )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        answer = super().changelist_view(request, extra_context)
        page = getattr(answer, "context_data", {}).get("cl")
        if page is not None:
            # Of the whole page at once: merchants one by one only while all of them are shown.
            rows: dict[Any, list[Webhook]] = {}
            for webhook in page.result_list:
                rows.setdefault(webhook.merchant_id, []).append(webhook)
            for webhooks in rows.values():
                healths = health_of(webhooks)
                for webhook in webhooks:
                    vars(webhook)["shown_health"] = healths[webhook.pk]
        return answer

    @display(description="Webhook", ordering="url")
    def endpoint(self, webhook: Webhook) -> str:
        sub = webhook.description or f"since {moment(webhook.created_at, get_current_timezone())}"
        return format_html(
            '<span class="cp-name cp-webhook__url">{}</span><span class="cp-sub">{}</span>', webhook.url, sub
        )

    @display(description="State")
    def health(self, webhook: Webhook) -> str:
        return badge(shown(webhook))

    @display(description="Success, 24 h")
    def success(self, webhook: Webhook) -> str:
        health = shown(webhook)
        return format_html('{} <span class="cp-sub">of {}</span>', rate_words(health), count(health.attempts))

    @display(description="Waiting")
    def waiting(self, webhook: Webhook) -> str:
        return waiting_words(shown(webhook))

    @display(description="Last failure")
    def last_failure(self, webhook: Webhook) -> str:
        failure = shown(webhook).last_failure
        if failure is None:
            return "–"
        return format_html(
            '{} <span class="cp-sub">{}</span>', ago(failure.at, now=now()), failure.error[:60]
        )

    @display(description="Listens to")
    def listens_to(self, webhook: Webhook) -> str:
        if EVERYTHING in webhook.event_types:
            return "Every event"
        more = len(webhook.event_types) - 2
        return ", ".join(webhook.event_types[:2]) + (f" and {more} more" if more > 0 else "")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        webhook = context.get("original")
        if webhook is not None:
            context |= _head(webhook)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Switching on is offered for what is off; what needs one that is on, only then."""
        offered = super().get_actions_detail(request, object_id)
        webhook = self.get_object(request, str(object_id)) if object_id else None
        if webhook is None:
            return offered
        hidden = {"switch_on"} if webhook.is_enabled else {"send_test", "replay"}
        return [
            each
            for each in offered
            if getattr(each, "action_name", "").removeprefix("marketing_webhook_") not in hidden
        ]

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if change:
            saved = update_webhook(merchant_id=obj.merchant_id, webhook_id=obj.pk, changes=form.said())
        else:
            made = create_webhook(merchant_id=obj.merchant_id, **form.said())
            saved = made.webhook
            request._new_webhook = made  # type: ignore[attr-defined]
        obj.__dict__.update(saved.__dict__)

    def response_add(
        self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._secret_page(request, request._new_webhook, "Webhook made")  # type: ignore[attr-defined]

    def _secret_page(self, request: HttpRequest, made: NewWebhook, title: str) -> HttpResponse:
        """The page with the secret is this very answer: it is kept nowhere that it could be read from again."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": made.webhook,
            "webhook": made.webhook,
            "secret": made.secret,
            "title": title,
        }
        return TemplateResponse(
            request, "backoffice/webhook_secret.html", context, headers={"Cache-Control": "no-store"}
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # Its log goes with it; nobody could delete that alone.
        return [str(webhook) for webhook in objs], {"webhooks": len(objs)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        delete_webhook(merchant_id=obj.merchant_id, webhook_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for webhook in queryset:
            delete_webhook(merchant_id=webhook.merchant_id, webhook_id=webhook.pk)

    @action(description="Send a test", url_path="test", icon="send", permissions=["change"])
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operation(request, object_id, "test", "Send a test", _send_test)

    @action(description="Replay", url_path="replay", icon="replay", permissions=["change"])
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operation(request, object_id, "replay", "Replay", _replay)

    @action(description="Switch on", url_path="switch-on", icon="power_settings_new", permissions=["change"])
    def switch_on(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operation(request, object_id, "switch_on", "Switch on", _switch_on)

    @action(description="New secret", url_path="rotate", icon="key", permissions=["change"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        webhook = self.get_object(request, object_id)
        if request.method == "POST" and webhook is not None:
            made = rotate_secret(merchant_id=webhook.merchant_id, webhook_id=webhook.pk)
            return self._secret_page(request, made, "New secret")
        return self._operation(request, object_id, "rotate", "New secret", None)

    @action(description="All deliveries", url_path="deliveries", icon="outgoing_mail", permissions=["view"])
    def deliveries(self, request: HttpRequest, object_id: str) -> HttpResponse:
        webhook = self.get_object(request, object_id)
        if webhook is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        url = reverse("admin:marketing_webhookdelivery_changelist")
        return HttpResponseRedirect(f"{url}?webhook={webhook.pk}")

    @action(description="How to verify", url_path="verify", icon="verified_user", permissions=["view"])
    def verify(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if self.get_object(request, object_id) is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return HttpResponseRedirect(reverse("webhook-docs"))

    def _operation(
        self, request: HttpRequest, object_id: str, name: str, title: str, perform: Any
    ) -> HttpResponse:
        """A page that asks first; what it does, its POST does."""
        webhook = self.get_object(request, object_id)
        if webhook is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method == "POST" and perform is not None:
            try:
                messages.success(request, perform(request, webhook))
            except ApiError as refusal:
                messages.error(request, str(refusal.message))
            return HttpResponseRedirect(reverse("admin:marketing_webhook_change", args=[webhook.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": webhook,
            "webhook": webhook,
            "operation": name,
            "replays": REPLAYS,
            "title": title,
        }
        return TemplateResponse(request, "backoffice/webhook_operation.html", context)


def _send_test(request: HttpRequest, webhook: Webhook) -> str:
    merchant = Merchant.objects.get(pk=webhook.merchant_id)
    send_test_event(access=acting_for(request, merchant), webhook_id=webhook.pk)
    return "A test event is on its way. Its delivery appears in the log."


def _replay(request: HttpRequest, webhook: Webhook) -> str:
    hours = request.POST.get("hours", "")
    reach = timedelta(hours=int(hours if hours in REPLAYS else "24"))
    start_replay(
        merchant_id=webhook.merchant_id,
        webhook_id=webhook.pk,
        # A minute short of the limit: this takes a moment.
        since=now() - reach + timedelta(minutes=1 if hours == "720" else 0),
        only=Only.ALL if request.POST.get("only") == "all" else Only.UNDELIVERED,
        actor_id=request.user.pk,
    )
    return "The replay is under way. What it sends appears in the log."


def _switch_on(request: HttpRequest, webhook: Webhook) -> str:
    update_webhook(merchant_id=webhook.merchant_id, webhook_id=webhook.pk, changes={"is_enabled": True})
    return "The webhook is on again. What it missed can be sent with Replay."


def _head(webhook: Webhook) -> dict[str, Any]:
    """What stands above the form: how the endpoint is doing, and what was sent last."""
    health = health_of([webhook])[webhook.pk]
    recent = deliveries_of(merchant_id=webhook.merchant_id, webhook_id=webhook.pk)
    return {
        "health": health,
        "health_badge": badge(health),
        "rate": rate_words(health),
        "waiting": waiting_words(health),
        "recent": recent.select_related("event").order_by("-created_at")[:DELIVERIES_SHOWN],
        "now": now(),
    }
