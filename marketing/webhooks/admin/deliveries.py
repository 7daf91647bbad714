"""The log of deliveries: what was sent, each attempt, and sending one again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.timezone import get_current_timezone
from unfold.decorators import action, display

from cloudpos.api.errors import ApiError
from cloudpos.tenancy.backoffice.pages import TenantModelAdmin, form_merchant_id
from cloudpos.tenancy.formats import moment
from cloudpos.tenancy.roles import Role
from customers.admin import link
from marketing.models import Webhook, WebhookDelivery
from marketing.webhooks.finding import attempts_of
from marketing.webhooks.services import resend_delivery

BODY_CHARS_SHOWN = 20_000


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
    actions_detail = ["resend"]
    change_form_outer_before_template = "backoffice/webhook_attempts.html"
    fields = [
        ("event_type", "endpoint"),
        ("outcome", "attempts"),
        ("when", "next_at"),
        "sent",
    ]
    readonly_fields = ["event_type", "endpoint", "outcome", "when", "next_at", "sent"]
    empty_icon = "outgoing_mail"
    empty_title = "Nothing was sent yet"
    empty_text = (
        "Each event that a webhook listens to leaves one line here, with the answer of the other system."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("webhook__secret_encrypted")

    def has_resend_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Role.MANAGER, obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        delivery = context.get("original")
        if delivery is not None:
            context["log"] = attempts_of(delivery)
            context["delivery"] = delivery
        return super().render_change_form(request, context, *args, **kwargs)

    @action(description="Send again", url_path="resend", icon="replay", permissions=["resend"])
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        delivery = self.get_object(request, object_id)
        if delivery is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method == "POST":
            try:
                resend_delivery(
                    merchant_id=delivery.merchant_id,
                    webhook_id=delivery.webhook_id,
                    delivery_id=delivery.pk,
                )
            except ApiError as refusal:
                messages.error(request, str(refusal.message))
            else:
                messages.success(request, "The delivery is on its way again.")
            return HttpResponseRedirect(reverse("admin:marketing_webhookdelivery_change", args=[delivery.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": delivery,
            "webhook": delivery.webhook,
            "delivery": delivery,
            "operation": "resend",
            "title": "Send again",
        }
        return TemplateResponse(request, "backoffice/webhook_operation.html", context)

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

    @display(description="Next attempt")
    def next_at(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.next_attempt_at, get_current_timezone())

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
