"""Deny by default: a view that declares no least role for an action lets nobody in."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from cloudpos.api.errors import Forbidden
from cloudpos.api.roles import PUBLIC, SIGNED_IN
from cloudpos.tenancy.roles import at_least


class RoleTooLow(Forbidden):
    code = "role_too_low"
    message = "Your role does not allow this"


class RolePermission(BasePermission):
    """The view's `roles` maps its operation (action or lower-case method) to the least role, to SIGNED_IN or to PUBLIC."""

    def has_permission(self, request: Request, view: Any) -> bool:
        least = view.least_role
        if least == PUBLIC:
            return True
        if least == SIGNED_IN:
            # A view that forgot to ask for a token has nobody here.
            return request.user is not None
        access = getattr(request, "access", None)
        if least is None or access is None or not at_least(access.role, least):
            raise RoleTooLow()
        return True
