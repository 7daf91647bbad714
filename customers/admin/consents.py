"""The log of what customers agreed to."""

from django.contrib import admin
from django.utils.text import capfirst
from django.utils.timezone import get_current_timezone
from unfold.decorators import display

from cloudpos.tenancy.backoffice.pages import TenantModelAdmin
from cloudpos.tenancy.formats import moment
from customers.admin.finding import CustomerFilter, SearchesByCustomer
from customers.admin.words import customer_link
from customers.models import Consent


@admin.register(Consent)
class ConsentAdmin(SearchesByCustomer, TenantModelAdmin):
    list_title, noun, nouns = "Consent log", "statement", "statements"
    list_display = ["when", "who", "channel", "purpose", "said", "where"]
    list_select_related = ["customer"]
    list_filter = ["channel", "purpose", "state", CustomerFilter]
    search_fields = ["customer"]
    search_help_text = "The customer's name, e-mail, phone or number"
    ordering = ["-occurred_at"]
    fields = [
        ("who", "said"),
        ("channel", "purpose"),
        ("where", "wording"),
        ("when", "recorded"),
        "address",
    ]
    readonly_fields = ["who", "said", "where", "wording", "when", "recorded", "address"]
    empty_icon = "verified_user"
    empty_title = "Nobody said anything about consent yet"
    empty_text = "Until a customer agrees, marketing is off for them."

    def row_title(self, row: Consent) -> str:
        return (
            f"{row.get_purpose_display()} by {row.get_channel_display()}: {row.get_state_display().lower()}"
        )

    @display(description="Where")
    def where(self, consent: Consent) -> str:
        return capfirst(consent.source) or "–"

    @display(description="Version of the wording")
    def wording(self, consent: Consent) -> str:
        return consent.wording_version or "–"

    @display(description="Recorded")
    def recorded(self, consent: Consent) -> str:
        return moment(consent.recorded_at, get_current_timezone())

    @display(description="When", ordering="occurred_at")
    def when(self, consent: Consent) -> str:
        return moment(consent.occurred_at, get_current_timezone())

    @display(description="Customer")
    def who(self, consent: Consent) -> str:
        return customer_link(consent.customer)

    @display(description="IP address")
    def address(self, consent: Consent) -> str:
        return consent.ip or "–"

    @display(description="Said", label={"Granted": "success", "Withdrawn": "danger"})
    def said(self, consent: Consent) -> str:
        return consent.get_state_display()
