"""The log of what happened."""

import json
from decimal import Decimal

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.timezone import get_current_timezone
from unfold.decorators import display

from cloudpos.tenancy.backoffice.pages import StoreFilter, TenantModelAdmin
from cloudpos.tenancy.formats import counted, moment, money
from cloudpos.tenancy.models import User
from customers.admin.finding import CustomerFilter, SearchesByCustomer
from customers.admin.words import customer_link, event_words, in_words, value_in_words
from customers.models import Event


@admin.register(Event)
class EventAdmin(SearchesByCustomer, TenantModelAdmin):
    list_title, noun, nouns = "Activity", "entry", "entries"
    list_display = ["when", "what", "in_brief", "who", "store"]
    list_select_related = ["customer", "store"]
    list_filter = [StoreFilter, CustomerFilter]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-occurred_at"]
    fields = [("what", "who"), ("when", "recorded"), ("store", "by"), ("passed_on", "senders_id"), "facts"]
    readonly_fields = ["what", "who", "when", "recorded", "by", "passed_on", "senders_id", "facts"]
    empty_icon = "timeline"
    empty_title = "Nothing happened yet"
    empty_text = "What customers do and what changes about them is recorded here."

    def row_title(self, row: Event) -> str:
        return event_words(row.type)

    @display(description="In brief")
    def in_brief(self, event: Event) -> str:
        data = event.data if isinstance(event.data, dict) else {}
        if data.get("to") and "from" in data:
            return " → ".join(value_in_words(data[side] or "none") for side in ("from", "to"))
        if isinstance(data.get("points"), int):
            return counted(data["points"], "point")
        if data.get("amount") and data.get("currency"):
            return money(Decimal(str(data["amount"])), data["currency"])
        return ", ".join(text for _, text in in_words(data)[:3]) or "–"

    @display(description="Recorded")
    def recorded(self, event: Event) -> str:
        return moment(event.recorded_at, get_current_timezone())

    @display(description="Sender's own number")
    def senders_id(self, event: Event) -> str:
        return event.external_id or "–"

    @display(description="When", ordering="occurred_at")
    def when(self, event: Event) -> str:
        return moment(event.occurred_at, get_current_timezone())

    @display(description="What")
    def what(self, event: Event) -> str:
        return event_words(event.type)

    @display(description="Customer")
    def who(self, event: Event) -> str:
        return customer_link(event.customer)

    @display(description="Done by")
    def by(self, event: Event) -> str:
        user = User.objects.filter(pk=event.actor_id).first() if event.actor_id else None
        return user.name or user.email if user else "–"

    @display(description="Passed on")
    def passed_on(self, event: Event) -> str:
        return (
            "Waiting" if event.dispatched_at is None else moment(event.dispatched_at, get_current_timezone())
        )

    @display(description="Facts")
    def facts(self, event: Event) -> str:
        rows = format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", in_words(event.data))
        text = json.dumps(event.data, indent=2, ensure_ascii=False, sort_keys=True)
        return format_html(
            '<dl class="cp-facts">{}</dl><details><summary class="cp-sub">As systems read it</summary>'
            '<pre class="cp-json">{}</pre></details>',
            rows,
            text,
        )
