"""What stands around every page of the admin: the navigation, the merchant's name, our own style and script."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

from cloudpos.tenancy.backoffice.access import ALL_MERCHANTS, staff_access
from cloudpos.tenancy.roles import Role


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
        {"items": [_link("Overview", "space_dashboard", "index", Role.MANAGER)]},
        {
            "title": "Customers",
            "separator": True,
            "items": [
                _link("Customers", "group", "customers_customer_changelist", Role.MANAGER),
                _link("Purchases", "receipt_long", "customers_purchase_changelist", Role.MANAGER),
                _link("Returns", "assignment_return", "customers_purchasereturn_changelist", Role.MANAGER),
                _link("Consent log", "verified_user", "customers_consent_changelist", Role.MANAGER),
                _link("Activity", "timeline", "customers_event_changelist", Role.MANAGER),
            ],
        },
        {
            "title": "Loyalty",
            "separator": True,
            "items": [
                _link("Program and tiers", "loyalty", "loyalty_program_changelist", Role.MANAGER),
                _link("Points ledger", "toll", "loyalty_ledgerentry_changelist", Role.MANAGER),
                _link("Accounts", "badge", "loyalty_enrollment_changelist", Role.MANAGER),
            ],
        },
        {
            "title": "Marketing",
            "separator": True,
            "items": [
                _link("Webhooks", "webhook", "marketing_webhook_changelist", Role.MANAGER),
                _link("Deliveries", "outgoing_mail", "marketing_webhookdelivery_changelist", Role.MANAGER),
            ],
        },
        {
            "title": "Merchant",
            "separator": True,
            "items": [
                _link("Stores", "store", "tenancy_store_changelist", Role.MANAGER),
                _link("Team", "groups", "tenancy_membership_changelist", Role.OWNER),
                _link("Merchant details", "storefront", "tenancy_merchant_changelist", Role.OWNER),
                _link("User accounts", "manage_accounts", "tenancy_user_changelist", None),
            ],
        },
    ]


def _link(title: str, icon: str, name: str, least: Role | None) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}"), "permission": _may(least)}


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
