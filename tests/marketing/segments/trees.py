"""Random rules as a client would write them: every kind of condition, operator and value, nested."""

from dataclasses import dataclass
from random import Random
from typing import Any

from marketing.segments.fields import FIELDS, OPS, Field, Kind
from marketing.segments.language import DAY_OPS, DEPTH_MAX, METADATA_OPS, NUMBER_OPS, SET_OPS

TAGS = ["gift", "wholesale", "Münze", "vip club"]
CITIES = ["London", "york", "NEW YORK", "Leeds%"]
CATEGORIES = ["Fruit", "Gifts", "Tea"]
SKUS = ["A", "B", "C'; DROP TABLE customers"]
EVENT_TYPES = ["page.viewed", "cart.abandoned"]
TEXTS = ["ann", "Ann", "a%", "_", "\\", "@example.com", "Bo", "O'Neill", "en", "+44", "nobody"]
METADATA_TEXTS = ["dog", "DOG", "d%", "42", "red", "true", "2026-03-08"]
TIERS = ["bronze", "silver", "gold"]
COUNTRIES = ["GB", "US", "NZ"]
METADATA_KEYS = ["pet", "shoe size", "Ü'%s", "renewal", "wines"]
PREFIXES = ["N1", "n1 9", "10", "LS"]


@dataclass(frozen=True)
class Known:
    """Ids that a rule may name."""

    stores: list[str]
    segments: list[str]


class Trees:
    def __init__(self, random: Random, known: Known) -> None:
        self.random, self.known = random, known

    def tree(self, depth: int = 1) -> dict[str, Any]:
        if depth > DEPTH_MAX or self.random.random() < (0.15 if depth == 1 else 0.6):
            return self.condition()
        nodes = [self.tree(depth + 1) for _ in range(self.random.choice([1, 1, 2, 2, 3]))]
        return {self.random.choice(["all", "any", "none"]): nodes}

    def condition(self) -> dict[str, Any]:
        kind = self.random.choice(
            ["field"] * 6
            + [
                "metadata",
                "metadata",
                "consent",
                "address",
                "purchases",
                "purchases",
                "events",
                "expiringPoints",
                "segments",
                "bucket",
            ]
        )
        return {kind: getattr(self, kind)()}

    def field(self) -> dict[str, Any]:
        field = self.random.choice(list(FIELDS.values()))
        op = self.random.choice(OPS[field.kind])
        said: dict[str, Any] = {"name": field.name, "op": op}
        if op not in SET_OPS:
            said["value"] = self._field_value(field, op)
        return said

    def _field_value(self, field: Field, op: str) -> Any:
        if field.kind is Kind.TEXT:
            return self.some(TEXTS) if op in ("in", "not_in") else self.random.choice(TEXTS)
        if field.kind is Kind.CHOICE:
            return self.some([value for value, _ in field.choices] or TIERS)
        if field.kind is Kind.STORE:
            return self.some(self.known.stores)
        if field.kind is Kind.TAGS:
            return self.some(TAGS)
        if field.kind is Kind.BIRTHDAY:
            if op == "in_next":
                return {"days": self.random.choice([0, 1, 7, 30, 366])}
            return self.some(list(range(1, 13)))
        if field.kind in (Kind.INSTANT, Kind.DAY):
            return self.day_value(op)
        return self.number_value(field.kind.value, op)

    def metadata(self) -> dict[str, Any]:
        type_ = self.random.choice(list(METADATA_OPS))
        op = self.random.choice(METADATA_OPS[type_])
        said: dict[str, Any] = {"key": self.random.choice(METADATA_KEYS), "type": type_, "op": op}
        if op in SET_OPS:
            return said
        if type_ == "text":
            said["value"] = (
                self.some(METADATA_TEXTS) if op in ("in", "not_in") else self.random.choice(METADATA_TEXTS)
            )
        elif type_ == "list":
            said["value"] = self.some(METADATA_TEXTS)
        elif type_ == "boolean":
            said["value"] = self.random.random() < 0.5
        elif type_ == "day":
            said["value"] = self.day_value(op)
        else:
            low, high = sorted(self.random.choices([-1, 0, 0.1, 42, 42.5, 10**15], k=2))
            said["value"] = [low, high] if op == "between" else low
        return said

    def consent(self) -> dict[str, Any]:
        return {
            "channel": self.random.choice(["email", "sms", "mail"]),
            "purpose": self.random.choice(["marketing", "transactional", "analytics"]),
            "granted": self.random.random() < 0.5,
        }

    def address(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "countries": self.some(COUNTRIES),
            "cities": self.some(CITIES),
            "postalCodePrefixes": self.some(PREFIXES),
            "near": {
                "latitude": self.random.choice([51.5, 53.8, -36.8]),
                "longitude": self.random.choice([-0.1, 179.9, -74]),
                "radiusKm": self.random.choice([0.5, 20, 400, 5000]),
            },
        }
        names = self.some(list(said))
        return {name: said[name] for name in names[: self.random.choice([1, 1, 2, 4])]}

    def purchases(self) -> dict[str, Any]:
        said = self.measured(
            {"count": "whole", "sum": "money", "quantity": "whole", "first": "day", "last": "day"}
        )
        for name, values in (
            ("storeIds", self.known.stores),
            ("categories", CATEGORIES),
            ("skus", SKUS),
            ("channels", ["store", "online"]),
        ):
            if self.random.random() < 0.3:
                said[name] = self.some(values)
        if self.random.random() < 0.2:
            said["amountAtLeast"] = self.random.choice(["5", "20.00", "99.99"])
        return self.windowed(said)

    def events(self) -> dict[str, Any]:
        said = self.measured({"count": "whole", "first": "day", "last": "day"})
        said["type"] = self.random.choice(EVENT_TYPES)
        if self.random.random() < 0.3:
            said["data"] = self.random.choice([{"page": "home"}, {"n": 1}, {"ok": True, "page": "home"}])
        return self.windowed(said)

    def expiringPoints(self) -> dict[str, Any]:
        op = self.random.choice(NUMBER_OPS)
        return {
            "withinDays": self.random.choice([0, 7, 30, 400]),
            "op": op,
            "value": self.number_value("whole", op),
        }

    def segments(self) -> dict[str, Any]:
        return {"op": self.random.choice(["any_of", "none_of"]), "ids": self.some(self.known.segments)}

    def bucket(self) -> dict[str, Any]:
        start = self.random.randrange(0, 90)
        return {
            "salt": self.random.choice(["spring", "Ü'%s"]),
            "from": start,
            "to": self.random.randrange(start + 1, 101),
        }

    def measured(self, measures: dict[str, str]) -> dict[str, Any]:
        measure = self.random.choice(list(measures))
        kind = measures[measure]
        op = self.random.choice(DAY_OPS if kind == "day" else NUMBER_OPS)
        value = self.day_value(op) if kind == "day" else self.number_value(kind, op)
        return {"measure": measure, "op": op, "value": value}

    def windowed(self, said: dict[str, Any]) -> dict[str, Any]:
        choice = self.random.random()
        if choice < 0.4:
            said["window"] = {"last": self.span()}
        elif choice < 0.5:
            said["window"] = {"from": self.day()}
        elif choice < 0.6:
            said["window"] = {"to": self.day()}
        return said

    def number_value(self, kind: str, op: str) -> Any:
        values: list[Any] = {
            "whole": [-1, 0, 1, 2, 3, 5, 50],
            "money": ["-1", "0", "9.99", "20.00", "50", "120.5"],
            "cents": ["0", "9.99", "50", "120.50"],
            "share": [0, 0.25, 0.5, 1],
        }[kind]
        if op != "between":
            return self.random.choice(values)
        low, high = sorted(self.random.choices(range(len(values)), k=2))
        return [values[low], values[high]]

    def day_value(self, op: str) -> Any:
        if op in ("in_last", "not_in_last", "in_next"):
            return self.span()
        if op != "between":
            return self.day()
        return [{"ago": self.span()}, {"ahead": self.span()}]

    def day(self) -> Any:
        way = self.random.random()
        if way < 0.5:
            return self.random.choice(
                ["2026-03-08", "2026-03-07", "2026-02-28", "2026-03-29", "1990-02-28", "2025-12-31"]
            )
        return {self.random.choice(["ago", "ahead"]): self.span()}

    def span(self) -> dict[str, int]:
        return self.random.choice(
            [{"days": 0}, {"days": 1}, {"days": 7}, {"days": 90}, {"weeks": 2}, {"months": 1}, {"years": 1}]
        )

    def some(self, values: list[Any]) -> list[Any]:
        return self.random.sample(values, self.random.randint(1, min(3, len(values))))
