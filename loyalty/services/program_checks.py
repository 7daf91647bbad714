"""Which settings of a program go together, in words for whoever sets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloudpos.api.errors import BadRequest
from cloudpos.tenancy.models import Store
from loyalty.models import Program
from loyalty.models_program import PENDING_DAYS_MAX
from loyalty.rules import TierRule, check_tiers

TIERS_MAX = 20


class InvalidTiers(BadRequest):
    code = "invalid_tiers"
    message = "Each tier needs a code and a threshold of its own"


class InvalidExpiry(BadRequest):
    code = "invalid_expiry"
    message = "Points that expire need a number of months, and others have none"


class InvalidPolicy(BadRequest):
    code = "invalid_policy"
    message = "These settings contradict each other"


class InvalidQualification(BadRequest):
    code = "invalid_qualification"
    message = "These ways to reach and keep a tier do not go together"


def follow_choices(fields: dict[str, Any]) -> None:
    """A choice leaves behind what only another one had."""
    if fields.get("expiry") == Program.Expiry.NONE:
        fields.setdefault("expiry_months", None)
    _follow_window(fields)


def check_program(program: Program) -> None:
    """Raises InvalidExpiry and InvalidPolicy for what does not go together."""
    if (program.expiry == Program.Expiry.NONE) != (program.expiry_months is None):
        raise InvalidExpiry(field="expiryMonths")
    # The shortest month, so that no points are over before they can be spent.
    if program.pending_days and program.pending_days >= 28 * (program.expiry_months or PENDING_DAYS_MAX):
        raise InvalidPolicy("Points would be over before they can be spent", field="pendingDays")
    for field, within, without in (
        ("categoriesOut", program.categories_in, program.categories_out),
        ("skusOut", program.skus_in, program.skus_out),
    ):
        if both := folded(within) & folded(without):
            raise InvalidPolicy(f"{min(both)!r} cannot both earn and not earn", field=field)
    _check_qualification(program)
    _check_stores(program)


def _check_stores(program: Program) -> None:
    program.store_ids = list(dict.fromkeys(program.store_ids))
    if not program.store_ids:
        return
    known = Store.objects.for_merchant(program.merchant_id).filter(pk__in=program.store_ids).count()
    if known != len(program.store_ids):
        raise InvalidPolicy("One of these stores is not yours", field="storeIds")


def folded(names: Sequence[str]) -> frozenset[str]:
    """Categories or article numbers as they are compared: their case counts not."""
    return frozenset(name.strip().casefold() for name in names)


def _follow_window(fields: dict[str, Any]) -> None:
    """Another window leaves behind what only the one before had."""
    window = fields.get("tier_window")
    if window is not None and window != Program.Window.ROLLING:
        fields.setdefault("tier_months", None)
    if window == Program.Window.LIFETIME:
        fields.setdefault("tier_downgrade", Program.Downgrade.IMMEDIATE)
    if window == Program.Window.LIFETIME or fields.get("tier_downgrade") == Program.Downgrade.NEVER:
        fields.setdefault("tier_grace_days", 0)


def _check_qualification(program: Program) -> None:
    """Raises InvalidQualification for what the constraints of the table refuse, in words."""
    window, months = program.tier_window, program.tier_months
    if window == Program.Window.ROLLING and months is None:
        raise InvalidQualification("Say for how many months a purchase counts", field="tierMonths")
    if window != Program.Window.ROLLING and months is not None:
        raise InvalidQualification("Only purchases of the last months have months", field="tierMonths")
    if window == Program.Window.LIFETIME and program.tier_downgrade != Program.Downgrade.IMMEDIATE:
        raise InvalidQualification(
            "Where all purchases count there is no period to keep a tier for", field="tierDowngrade"
        )
    if program.tier_grace_days and window == Program.Window.LIFETIME:
        raise InvalidQualification(
            "Where all purchases count a tier is not lost, so it has no days of grace", field="tierGraceDays"
        )
    if program.tier_grace_days and program.tier_downgrade == Program.Downgrade.NEVER:
        raise InvalidQualification("A tier that is never lost has no days of grace", field="tierGraceDays")


def check_ladder(tiers: Sequence[TierRule]) -> None:
    if len(tiers) > TIERS_MAX:
        raise InvalidTiers(f"A program has at most {TIERS_MAX} tiers", field="tiers")
    try:
        check_tiers(tiers)
    except ValueError as exc:
        raise InvalidTiers(
            f"Each tier needs a code and a threshold of its own: {exc}", field="tiers"
        ) from None
