"""Deny by default: a view that declares no least role for an action lets nobody in."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from cloudpos.api.errors import Forbidden
from cloudpos.tenancy.roles import at_least


class RoleTooLow(Forbidden):
    code = "role_too_low"
    message = "Your role does not allow this"


class RolePermission(BasePermission):
    """The view's `roles` maps its action (or HTTP method) to the least role."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method not in view.allowed_methods:
            return True  # the view answers 405 itself
        least = least_role(view, request.method or "")
        access = getattr(request, "access", None)
        if least is None or access is None or not at_least(access.role, least):
            raise RoleTooLow()
        return True


def least_role(view: Any, method: str) -> str | None:
    """The role that `view` declares for its current action or `method`, or None: nobody."""
    roles: dict[str, str] = getattr(view, "roles", {})
    action = getattr(view, "action", None)
    return roles.get(action) if action else roles.get(method.lower())
