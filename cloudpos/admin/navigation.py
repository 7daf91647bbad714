"""What stands around every page of the admin: the navigation, the merchant's name, our own style and script."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

from cloudpos.models import EventTask
from cloudpos.tenancy.backoffice.access import ALL_MERCHANTS, staff_access
from cloudpos.tenancy.models import Membership, Merchant, Store, User
from cloudpos.tenancy.roles import Role
from customers.models import Consent, Customer, Event, Purchase, PurchaseReturn
from loyalty.models import Enrollment, Hold, LedgerEntry, Program, Promotion, Redemption, Reward, Voucher
from marketing.models import Webhook, WebhookDelivery


def stylesheet(request: HttpRequest) -> str:
    return static("cloudpos/admin.css")


def script(request: HttpRequest) -> str:
    return static("cloudpos/admin.js")


def favicon(request: HttpRequest) -> str:
    return static("cloudpos/favicon.svg")


def merchant_name(request: HttpRequest) -> str:
    access = staff_access(request)
    if access.current is not None:
        return access.current.name
    return "All merchants" if access.is_superuser else "Customer Service"


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links, each for those who may open it."""
    return [
        {
            "items": [
                _link("Overview", "space_dashboard", "index", Role.MANAGER),
                _link("Products", "sell", "products_page", Role.MANAGER, site=""),
                _link("Cohorts", "calendar_view_month", "cohorts_page", Role.MANAGER, site=""),
                _link("At risk", "heart_broken", "at_risk_page", Role.MANAGER, site=""),
                _link("Segments", "donut_small", "segments_page", Role.MANAGER, site=""),
                _link("Predictions", "model_training", "predictions_page", Role.MANAGER, site=""),
            ]
        },
        {
            "title": "Customers",
            "separator": True,
            "items": [
                _list(Customer, "group", Role.MANAGER),
                _link("Imports", "upload_file", "imports_page", Role.MANAGER, site=""),
                _link("Exports", "download", "exports_page", Role.MANAGER, site=""),
                _list(Purchase, "receipt_long", Role.MANAGER),
                _list(PurchaseReturn, "assignment_return", Role.MANAGER),
                _list(Consent, "verified_user", Role.MANAGER),
                _list(Event, "timeline", Role.MANAGER),
            ],
        },
        {
            "title": "Loyalty",
            "separator": True,
            "items": [
                _list(Program, "loyalty", Role.MANAGER),
                _link("Liability", "account_balance", "liability", Role.MANAGER, site=""),
                _list(LedgerEntry, "toll", Role.MANAGER),
                _list(Enrollment, "badge", Role.MANAGER),
                _list(Promotion, "campaign", Role.MANAGER),
                _link("Promotion calendar", "calendar_month", "promotion_calendar", Role.MANAGER, site=""),
                _list(Reward, "redeem", Role.MANAGER),
                _list(Redemption, "shopping_bag", Role.MANAGER),
                _list(Hold, "lock_clock", Role.MANAGER),
                _list(Voucher, "confirmation_number", Role.MANAGER),
            ],
        },
        {
            "title": "Marketing",
            "separator": True,
            "items": [
                _link("Campaigns", "send", "campaigns_page", Role.MANAGER, site=""),
                _link("Customer groups", "group_work", "groups_page", Role.MANAGER, site=""),
                _link("Messaging", "settings_phone", "messaging_page", Role.MANAGER, site=""),
                _link("Event types", "bolt", "event_types_page", Role.MANAGER, site=""),
                _list(Webhook, "webhook", Role.MANAGER),
                _list(WebhookDelivery, "outgoing_mail", Role.MANAGER),
            ],
        },
        {
            "title": "Merchant",
            "separator": True,
            "items": [
                _list(Store, "store", Role.MANAGER),
                _list(Membership, "groups", Role.OWNER),
                _list(Merchant, "storefront", Role.OWNER),
                _link("Jobs", "hourglass_top", "jobs_page", Role.MANAGER, site=""),
                _list(EventTask, "sync_problem", Role.OWNER),
                _list(User, "manage_accounts", None),
            ],
        },
    ]


def _link(title: str, icon: str, name: str, least: Role | None, *, site: str = "admin:") -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"{site}{name}"), "permission": _may(least)}


def _list(model: type[Model], icon: str, least: Role | None) -> dict[str, Any]:
    """A link to the list of a model's rows, by the name that the list gives itself."""
    page: Any = admin.site.get_model_admin(model)
    return _link(page.list_title, icon, f"{model._meta.app_label}_{model._meta.model_name}_changelist", least)


def _may(least: Role | None) -> Callable[[HttpRequest], bool]:
    """For people with the role at the current merchant; None is for superusers."""

    def allowed(request: HttpRequest) -> bool:
        access = staff_access(request)
        return access.is_superuser or access.may(least)

    return allowed


def merchant_switch(request: HttpRequest) -> list[dict[str, Any]]:
    """What the name at the top offers to whoever has more than one merchant."""
    access = staff_access(request)
    if len(access.choices) < 2:
        return []
    current = access.current.pk if access.current else None
    choices = [
        {
            "title": merchant.name,
            "link": "",
            "icon": "storefront",
            "attrs": {"merchant": str(merchant.pk), "current": merchant.pk == current},
        }
        for merchant in access.choices
    ]
    if access.is_superuser:
        everything = {"merchant": ALL_MERCHANTS, "current": current is None}
        choices.append({"title": "All merchants", "link": "", "icon": "apps", "attrs": everything})
    return choices
