"""Who may do what: roles of people at a merchant, in order of what they may do."""

from django.db import models


class Role(models.TextChoices):
    CASHIER = "cashier", "Cashier"
    SERVICE = "service", "Service"
    MANAGER = "manager", "Manager"
    OWNER = "owner", "Owner"


# A service (another machine, a till without a person) does what a manager does over the API, and has no admin.
_RANK = {Role.CASHIER: 1, Role.SERVICE: 2, Role.MANAGER: 2, Role.OWNER: 3}


def rank(role: str) -> int:
    """A role's place in the order; equal ranks may do the same over the API."""
    return _RANK[Role(role)]


def at_least(role: str, least: str) -> bool:
    """Whether `role` may do what `least` may."""
    return rank(role) >= rank(least)
