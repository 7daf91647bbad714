"""What the background could not do: a person reads why, and lets it try again."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from cloudpos.models import EventTask
from cloudpos.outbox import retry_given_up
from cloudpos.tenancy.backoffice.pages import TenantModelAdmin
from cloudpos.tenancy.formats import ago, counted, moment
from cloudpos.tenancy.roles import Role
from customers.admin import customer_link, event_words, numbers

# What each task is for, to a person.
PURPOSES = {
    "analytics.tasks.refresh_customers_of": "Work out the customer's figures and segment",
    "marketing.tasks.queue_deliveries_of": "Tell the webhooks",
}


@admin.register(EventTask)
class EventTaskAdmin(TenantModelAdmin):
    list_title, noun, nouns = "Failed tasks", "failed task", "failed tasks"
    view_role = Role.OWNER
    list_display = ["purpose", "event_type", "customer", "tries", "last_error", "age"]
    list_display_links = ["purpose"]
    list_select_related = ["event__customer"]
    ordering = ["-created_at"]
    actions = ["try_selected_again"]
    actions_detail = ["try_again"]
    fields = [
        ("purpose", "event_type"),
        ("customer", "tries"),
        ("happened", "created"),
        "last_error",
        "handler",
    ]
    readonly_fields = ["purpose", "event_type", "customer", "tries", "happened", "created", "last_error"]
    empty_icon = "task_alt"
    empty_title = "Nothing failed"
    empty_text = "What follows from a sale in the background, and failed every time it was tried, would be listed here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(next_attempt_at=None)

    def row_title(self, row: EventTask) -> str:
        return PURPOSES.get(row.handler, row.handler)

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Role.OWNER, obj)

    @display(description="What should have happened", ordering="handler")
    def purpose(self, task: EventTask) -> str:
        return self.row_title(task)

    @display(description="After")
    def event_type(self, task: EventTask) -> str:
        return event_words(task.event.type)

    @display(description="Customer")
    def customer(self, task: EventTask) -> SafeString | str:
        return customer_link(task.event.customer)

    @display(description="Attempts", ordering="attempts")
    def tries(self, task: EventTask) -> str:
        return numbers(str(task.attempts))

    @display(description="Last error", ordering="error")
    def last_error(self, task: EventTask) -> SafeString | str:
        return format_html("<code>{}</code>", task.error) if task.error else "–"

    @display(description="Waiting since", ordering="created_at")
    def age(self, task: EventTask) -> SafeString:
        at = moment(task.created_at, timezone.get_current_timezone())
        return format_html('<span title="{}">{}</span>', at, ago(task.created_at, now=timezone.now()))

    @display(description="Happened")
    def happened(self, task: EventTask) -> str:
        return moment(task.event.occurred_at, timezone.get_current_timezone())

    @display(description="First tried")
    def created(self, task: EventTask) -> str:
        return moment(task.created_at, timezone.get_current_timezone())

    @admin.action(description="Try the selected tasks again", permissions=["retry"])
    def try_selected_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._retry(request, list(queryset.values_list("pk", flat=True)))

    @action(description="Try again", url_path="retry", icon="replay", permissions=["retry"])
    def try_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        task = self.get_object(request, object_id)
        if task is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_retry_permission(request, task):
            raise PermissionDenied
        if request.method == "POST":
            self._retry(request, [task.pk])
            return HttpResponseRedirect(reverse("admin:cloudpos_eventtask_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": task,
            "task": task,
            "purpose": self.row_title(task),
            "title": "Try again",
        }
        return TemplateResponse(request, "backoffice/retry_task.html", context)

    def _retry(self, request: HttpRequest, ids: list[Any]) -> None:
        n = retry_given_up(ids=ids)
        messages.success(request, f"{counted(n, 'task')} will be tried again within a minute.")
