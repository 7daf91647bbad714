"""Whose rows a person sees in the admin: those of merchants where they are manager or owner."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from cloudpos.tenancy.access import Access
from cloudpos.tenancy.models import Membership, Merchant
from cloudpos.tenancy.roles import Role, at_least, rank

SESSION_KEY = "backoffice_merchant"
ALL_MERCHANTS = "all"
# What the switch in the navigation offers; a superuser reaches the others through the list of merchants.
SWITCH_CHOICES_MAX = 20
BACKOFFICE_ROLES = (Role.MANAGER, Role.OWNER)

Rows = TypeVar("Rows", bound=Model)


@dataclass(frozen=True, slots=True)
class StaffAccess:
    """One person's reach. Lists show the `current` merchant; None is a superuser looking at all of them."""

    roles: Mapping[uuid.UUID, str] = field(default_factory=dict)
    choices: tuple[Merchant, ...] = ()
    current: Merchant | None = None
    is_superuser: bool = False

    @property
    def allowed(self) -> bool:
        return self.is_superuser or bool(self.roles)

    def may(self, least: str | None, merchant_id: uuid.UUID | None = None) -> bool:
        """Whether the person has role `least` at the merchant (the current one if not given). None: nobody."""
        if least is None:
            return False
        if self.is_superuser:
            return True
        merchant_id = merchant_id or (self.current.pk if self.current else None)
        role = self.roles.get(merchant_id) if merchant_id else None
        return role is not None and at_least(role, least)

    def reachable(self, rows: "QuerySet[Rows]", merchant_path: str) -> "QuerySet[Rows]":
        """Rows that the person may open by id."""
        if self.is_superuser:
            return rows
        return rows.filter(**{f"{merchant_path}__in": list(self.roles)})

    def listed(self, rows: "QuerySet[Rows]", merchant_path: str) -> "QuerySet[Rows]":
        """Rows that belong on a list: the current merchant's."""
        if self.current is None:
            return rows if self.is_superuser else rows.none()
        return rows.filter(**{merchant_path: self.current.pk})


NOBODY = StaffAccess()


def staff_access(request: HttpRequest) -> StaffAccess:
    """The caller's reach, worked out once per request."""
    access: StaffAccess | None = getattr(request, "_staff_access", None)
    if access is None:
        access = _load(request)
        request._staff_access = access  # type: ignore[attr-defined]
    return access


def acting_for(request: HttpRequest, merchant: Merchant) -> Access:
    """The tenant context in which services run for a person in the admin: a merchant, at none of its stores."""
    return Access(
        user_id=request.user.pk,  # type: ignore[arg-type]  # the site lets nobody in who is not signed in
        merchant_id=merchant.pk,
        store_id=None,  # type: ignore[arg-type]  # what is done in the back office happened at no store
        role=staff_access(request).roles.get(merchant.pk, Role.OWNER),
        timezone=merchant.timezone,
        currency=merchant.currency,
        country=merchant.country,
        language=merchant.language,
        search_key=merchant.search_key,
    )


def choose_merchant(request: HttpRequest, choice: str) -> bool:
    """Show `choice` (a merchant's id, or ALL_MERCHANTS for superusers) from now on; False when it is not theirs."""
    access = staff_access(request)
    if choice == ALL_MERCHANTS:
        if not access.is_superuser:
            return False
    else:
        merchant = _merchant(choice)
        if merchant is None or not (access.is_superuser or merchant.pk in access.roles):
            return False
    request.session[SESSION_KEY] = choice
    return True


def _load(request: HttpRequest) -> StaffAccess:
    user = request.user
    if not (user.is_active and user.is_staff):
        return NOBODY
    roles: dict[uuid.UUID, str] = {}
    merchants: dict[uuid.UUID, Merchant] = {}
    mine = (
        Membership.objects.filter(user_id=user.pk, role__in=BACKOFFICE_ROLES, merchant__is_active=True)
        .select_related("merchant")
        .order_by("merchant__name")
    )
    for membership in mine:
        merchants[membership.merchant_id] = membership.merchant
        held = roles.get(membership.merchant_id)
        # Owner of one store of a chain does not own the chain.
        role = Role.MANAGER if membership.store_id else membership.role
        roles[membership.merchant_id] = max(held, role, key=rank) if held else role
    chosen = request.session.get(SESSION_KEY, "")
    if not user.is_superuser:
        current = next((m for m in merchants.values() if str(m.pk) == chosen), None)
        current = current or next(iter(merchants.values()), None)
        return StaffAccess(roles=roles, choices=tuple(merchants.values()), current=current)
    offered = tuple(Merchant.objects.filter(is_active=True).order_by("name")[:SWITCH_CHOICES_MAX])
    current = next((m for m in offered if str(m.pk) == chosen), None)
    if current is None and chosen and chosen != ALL_MERCHANTS:
        current = _merchant(chosen)
    if current is None and chosen != ALL_MERCHANTS:
        # One merchant, or one of their own: no need to choose first.
        current = offered[0] if len(offered) == 1 else next(iter(merchants.values()), None)
    return StaffAccess(roles=roles, choices=offered, current=current, is_superuser=True)


def _merchant(choice: str) -> Merchant | None:
    try:
        return Merchant.objects.filter(pk=choice, is_active=True).first()
    except (ValidationError, ValueError):
        return None
