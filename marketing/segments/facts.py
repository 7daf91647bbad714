"""Which events can change the answer of which rules. Everything else leaves a rule alone until the next full build."""

from marketing.segments.fields import FIELDS, Fact
from marketing.segments.language import (
    Condition,
    ConsentIs,
    Events,
    ExpiringPoints,
    FieldIs,
    HasAddress,
    InSegments,
    MetadataIs,
    Node,
    Purchases,
    conditions,
)

# Who comes, goes, or becomes another: every rule is asked.
EVERYTHING = frozenset(
    {"customer.created", "customer.deleted", "customer.erased", "customer.merged", "customer.unmerged"}
)
_POINTS = frozenset({Fact.POINTS})
_SALE = frozenset({Fact.PURCHASES, Fact.POINTS, Fact.TIER, Fact.FIGURES})
TOUCHED: dict[str, frozenset[Fact]] = {
    "customer.updated": frozenset({Fact.PROFILE, Fact.CONSENT, Fact.ADDRESS}),
    "consent.changed": frozenset({Fact.CONSENT}),
    "address.changed": frozenset({Fact.ADDRESS}),
    "purchase.recorded": _SALE,
    "purchase.returned": _SALE,
    "tier.changed": frozenset({Fact.TIER}),
    "segment.changed": frozenset({Fact.FIGURES}),
    # Of lists; what speaks of rules has followed them already.
    "segment.entered": frozenset({Fact.SEGMENTS}),
    "segment.exited": frozenset({Fact.SEGMENTS}),
    **{
        f"points.{verb}": _POINTS
        for verb in ("earned", "bonus", "redeemed", "adjusted", "reversed", "transferred", "expired")
    },
}


def event_fact(type_: str) -> str:
    """That there is one more event of this type."""
    return f"event:{type_}"


def facts_of_event(type_: str) -> frozenset[str] | None:
    """What an event of this type may have changed; None is everything."""
    if type_ in EVERYTHING:
        return None
    return frozenset({*(str(fact) for fact in TOUCHED.get(type_, ())), event_fact(type_)})


def facts_of_rule(rule: Node) -> frozenset[str]:
    """What a rule asks for."""
    return frozenset(str(_fact(condition)) for _, condition in conditions(rule)) - {""}


def _fact(condition: Condition) -> str:
    if isinstance(condition, FieldIs):
        return FIELDS[condition.name].fact
    if isinstance(condition, Events):
        return event_fact(condition.type)
    for kind, fact in (
        (MetadataIs, Fact.PROFILE),
        (ConsentIs, Fact.CONSENT),
        (HasAddress, Fact.ADDRESS),
        (Purchases, Fact.PURCHASES),
        (ExpiringPoints, Fact.POINTS),
        (InSegments, Fact.SEGMENTS),
    ):
        if isinstance(condition, kind):
            return fact
    # A bucket is what it is.
    return ""
