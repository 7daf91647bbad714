"""Webhooks: managers make and switch them; the secret is shown once. Deliveries are a log."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.timezone import get_current_timezone
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.access import acting_for
from cloudpos.tenancy.backoffice.pages import TenantForm, TenantModelAdmin, form_merchant_id
from cloudpos.tenancy.formats import moment
from cloudpos.tenancy.models import Merchant
from cloudpos.tenancy.roles import Role
from customers.admin import link
from customers.event_types import OUR_EVENTS
from marketing.models import Webhook, WebhookDelivery
from marketing.webhooks.services import create_webhook, delete_webhook, send_test_event, update_webhook
from marketing.webhooks.targets import UrlRefused, check_url

EVERYTHING = "*"
BODY_CHARS_SHOWN = 20_000


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
        known = [EVERYTHING, *sorted(OUR_EVENTS)]
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


@admin.register(Webhook)
class WebhookAdmin(TenantModelAdmin):
    add_role = edit_role = delete_role = Role.MANAGER
    form = WebhookForm
    list_display = ["url", "description", "listens_to", "is_enabled", "created_at"]
    ordering = ["-created_at"]
    fields = ["url", "description", "event_types", "is_enabled"]
    actions_detail = ["send_test", "deliveries"]
    empty_icon = "webhook"
    empty_title = "No webhooks yet"
    empty_text = (
        "A webhook tells another system of yours, such as accounting or a shop, the moment something happens."
    )

    @display(description="Listens to")
    def listens_to(self, webhook: Webhook) -> str:
        if EVERYTHING in webhook.event_types:
            return "Every event"
        more = len(webhook.event_types) - 2
        return ", ".join(webhook.event_types[:2]) + (f" and {more} more" if more > 0 else "")

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if change:
            saved = update_webhook(merchant_id=obj.merchant_id, webhook_id=obj.pk, changes=form.said())
        else:
            made = create_webhook(merchant_id=obj.merchant_id, **form.said())
            saved = made.webhook
            request._new_secret = made.secret  # type: ignore[attr-defined]
        obj.__dict__.update(saved.__dict__)

    def response_add(
        self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The page with the secret is this very answer: it is kept nowhere that it could be read from again."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": obj,
            "webhook": obj,
            "secret": request._new_secret,  # type: ignore[attr-defined]
            "title": "Webhook made",
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
        webhook = self.get_object(request, object_id)
        if webhook is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method == "POST":
            merchant = Merchant.objects.get(pk=webhook.merchant_id)
            try:
                send_test_event(access=acting_for(request, merchant), webhook_id=webhook.pk)
            except ApiError as refusal:
                messages.error(request, str(refusal.message))
            else:
                messages.success(request, "A test event is on its way. Its delivery appears in the log.")
            return HttpResponseRedirect(reverse("admin:marketing_webhook_change", args=[webhook.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": webhook,
            "title": "Send a test",
        }
        return TemplateResponse(request, "backoffice/webhook_test.html", {**context, "webhook": webhook})

    @action(description="Deliveries", url_path="deliveries", icon="outgoing_mail", permissions=["view"])
    def deliveries(self, request: HttpRequest, object_id: str) -> HttpResponse:
        webhook = self.get_object(request, object_id)
        if webhook is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        url = reverse("admin:marketing_webhookdelivery_changelist")
        return HttpResponseRedirect(f"{url}?webhook={webhook.pk}")


class WebhookFilter(admin.SimpleListFilter):
    title = "webhook"
    parameter_name = "webhook"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        merchant_id = form_merchant_id(request)
        rows = (
            Webhook.objects.for_merchant(merchant_id).order_by("url")
            if merchant_id
            else Webhook.objects.none()
        )
        return [(str(webhook.pk), webhook.url) for webhook in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = {key for key, _ in self.lookup_choices} & {self.value()}
        return queryset.filter(webhook__in=chosen) if chosen else queryset


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(TenantModelAdmin):
    list_title, noun, nouns = "Deliveries", "delivery", "deliveries"
    list_display = ["when", "event_type", "endpoint", "outcome", "attempts", "answer", "took"]
    list_select_related = ["webhook", "event"]
    list_filter = ["state", WebhookFilter]
    ordering = ["-pk"]
    fields = [
        ("event_type", "endpoint"),
        ("outcome", "attempts"),
        ("when", "sent_at"),
        ("answer", "took"),
        "error",
        "response_body",
        "sent",
    ]
    readonly_fields = ["event_type", "endpoint", "outcome", "when", "answer", "took", "sent"]
    empty_icon = "outgoing_mail"
    empty_title = "Nothing was sent yet"
    empty_text = (
        "Each event that a webhook listens to leaves one line here, with the answer of the other system."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("webhook__secret_encrypted")

    def row_title(self, row: WebhookDelivery) -> str:
        return f"{row.event.type}, {moment(row.created_at, get_current_timezone())}"

    @display(description="When", ordering="pk")
    def when(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.created_at, get_current_timezone())

    @display(description="Event")
    def event_type(self, delivery: WebhookDelivery) -> str:
        return delivery.event.type

    @display(description="Webhook")
    def endpoint(self, delivery: WebhookDelivery) -> str:
        return link("marketing_webhook", delivery.webhook)

    @display(
        description="State",
        label={"Delivered": "success", "Failed": "danger", "Pending": "warning", "Sending": "info"},
    )
    def outcome(self, delivery: WebhookDelivery) -> str:
        return delivery.get_state_display()

    @display(description="Answer")
    def answer(self, delivery: WebhookDelivery) -> str:
        return str(delivery.response_status or "–")

    @display(description="Took")
    def took(self, delivery: WebhookDelivery) -> str:
        return "–" if delivery.duration_ms is None else f"{delivery.duration_ms:,} ms"

    @display(description="What was sent")
    def sent(self, delivery: WebhookDelivery) -> str:
        text = bytes(delivery.body).decode("utf-8", "replace")[:BODY_CHARS_SHOWN]
        return format_html('<pre class="cp-json">{}</pre>', text)
