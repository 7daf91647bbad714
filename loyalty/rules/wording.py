"""A promotion in one sentence, for people who run it."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

from loyalty.rules.arithmetic import from_cents, plain
from loyalty.rules.promotions import PromotionRule

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TIMES = {2: "Double", 3: "Triple", 4: "Four times the", 5: "Five times the"}
NAMED_MAX = 4


def sentence(
    promotion: PromotionRule,
    *,
    zone: tzinfo,
    currency: str,
    stores: Mapping[uuid.UUID, str],
    tiers: Mapping[str, str],
    points: str = "points",
) -> str:
    """Double points on Tuesdays in all stores, until 24 Dec 2026. `stores` and `tiers` are their names."""
    parts = [_what(promotion, points)]
    items = promotion.items_named or [*sorted(promotion.categories), *sorted(promotion.skus)]
    if items:
        number = plain(promotion.min_quantity) if promotion.min_quantity is not None else ""
        parts.append(f"for {number + ' or more of ' if number else ''}{named(items)}")
    parts += _occasions(promotion, currency)
    when = _when(promotion)
    if when:
        parts.append(when)
    if promotion.tiers:
        parts.append(f"for {named([tiers.get(code, code) for code in sorted(promotion.tiers)])} members")
    if promotion.segments:
        kinds = [code.replace("_", " ") for code in sorted(promotion.segments)]
        parts.append(f"for {named(kinds)} customers")
    chosen = [name for store_id, name in stores.items() if store_id in promotion.stores]
    parts.append(f"in {named(chosen)}" if chosen else "in all stores")
    text = " ".join(parts)
    return "".join([text, _window(promotion, zone), _caps(promotion, points)])


def named(words: Sequence[str] | Collection[str]) -> str:
    """a, b and c; of many the first few."""
    listed = list(words)
    if len(listed) > NAMED_MAX:
        listed = [*listed[: NAMED_MAX - 1], f"{len(listed) - NAMED_MAX + 1} more"]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"


def _what(promotion: PromotionRule, points: str) -> str:
    if promotion.multiplier is None:
        return f"{promotion.points:,} extra {points}"
    whole = int(promotion.multiplier)
    if whole == promotion.multiplier and whole in TIMES:
        return f"{TIMES[whole]} {points}"
    return f"{plain(promotion.multiplier)} times the {points}"


def _occasions(promotion: PromotionRule, currency: str) -> list[str]:
    found = []
    if promotion.min_spend_cents is not None:
        found.append(f"from {from_cents(promotion.min_spend_cents)} {currency}")
    if promotion.first_purchase:
        found.append("on the first purchase")
    if promotion.every_visit is not None:
        found.append(f"on every {_ordinal(promotion.every_visit)} purchase")
    if promotion.birthday_days is not None:
        days = promotion.birthday_days
        around = f"within {days} {'day' if days == 1 else 'days'} of" if days else "on"
        found.append(f"{around} the customer's birthday")
    return found


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _when(promotion: PromotionRule) -> str:
    days = sorted(promotion.weekdays)
    text = ""
    if days == [6, 7]:
        text = "at weekends"
    elif days == [1, 2, 3, 4, 5]:
        text = "from Monday to Friday"
    elif days and len(days) < 7:
        text = (
            f"on {' and '.join(_days(days))}"
            if len(days) < 3
            else f"on {', '.join(_days(days[:-1]))} and {_days(days[-1:])[0]}"
        )
    if promotion.opens is not None and promotion.closes is not None:
        text = f"{text} between {promotion.opens:%H:%M} and {promotion.closes:%H:%M}".strip()
    return text


def _days(days: Sequence[int]) -> list[str]:
    return [f"{DAYS[day - 1]}s" for day in days]


def _window(promotion: PromotionRule, zone: tzinfo) -> str:
    said = []
    if promotion.starts_at is not None:
        said.append(f"from {_moment(promotion.starts_at.astimezone(zone))}")
    if promotion.ends_at is not None:
        end = promotion.ends_at.astimezone(zone)
        # A midnight ends the day before.
        said.append(f"until {_moment(end - timedelta(microseconds=1) if _is_midnight(end) else end)}")
    return f", {' '.join(said)}" if said else ""


def _is_midnight(at: datetime) -> bool:
    return (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0)


def _moment(at: datetime) -> str:
    whole = _is_midnight(at) or _is_midnight(at + timedelta(microseconds=1))
    return f"{at.day} {at:%b %Y}" if whole else f"{at.day} {at:%b %Y, %H:%M}"


def _caps(promotion: PromotionRule, points: str) -> str:
    caps = promotion.caps
    said = []
    if caps.member_times is not None:
        said.append(_times(caps.member_times))
    if caps.member_points is not None:
        said.append(f"{caps.member_points:,} {points}")
    text = ""
    if said:
        text = f"; at most {' and '.join(said)} for each customer{' and day' if caps.each_day else ''}"
    said = []
    if caps.total_times is not None:
        said.append(_times(caps.total_times))
    if caps.total_points is not None:
        said.append(f"{caps.total_points:,} {points}")
    return f"{text}; at most {' and '.join(said)} in all" if said else text


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
