"""A customer's points as plain lists, folded from the beginning for every step, with fractions. No code of the service."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from tests.tills import MORNING, minutes

FOREVER = datetime.max.replace(tzinfo=UTC)
# Later than any minute of a sale.
BY_HAND = 10**6


@dataclass
class ModelSale:
    name: str
    cents: int
    minute: int
    returns: list[tuple[str, int, int]] = field(default_factory=list)
    """(name, cents, minute)"""
    recorded: int = 0
    """Points that the model has given for it, less those taken back."""
    short: int = 0
    """Points that should have been taken back and were spent."""
    forgiven: int = 0
    """Points that should have been taken back and had expired."""
    gone: int = 0
    """Points that have expired, without those forgiven."""


@dataclass
class ModelLot:
    """Points left, and where they came from: a sale, or a number of their own."""

    source: str
    points: int
    earned: tuple[int, int]
    """(minute, serial): what was given by hand was given after every sale."""
    ends: datetime = FOREVER

    @property
    def order(self) -> tuple[datetime, tuple[int, int]]:
        return (self.ends, self.earned)


@dataclass
class Moved:
    """A redemption or earning by hand, with what it took, for its reversal."""

    name: str
    points: int
    taken: list[tuple[ModelLot, int]] = field(default_factory=list)
    reversed: int = 0
    moved: bool = False
    """It happened on an account that was merged into this one: its lots are not here."""


@dataclass
class ModelHold:
    """Points reserved until an instant, for a reward perhaps; `state` as a till has left it."""

    name: str
    points: int
    ends: datetime
    is_reward: bool = False
    state: str = "held"


@dataclass
class World:
    """What the accounts of a program have in common."""

    expires: bool
    grace: timedelta
    stock: int
    now: datetime = MORNING + timedelta(days=1)
    serial: int = 0


def a_month_on(day: date) -> datetime:
    """The end of the same day of the next month, or of that month's last."""
    year, month = (day.year, day.month + 1) if day.month < 12 else (day.year + 1, 1)
    while True:
        try:
            last = date(year, month, day.day)
        except ValueError:
            day -= timedelta(days=1)
        else:
            return datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)


class Model:
    def __init__(self, world: World) -> None:
        self.world = world
        self.sales: dict[str, ModelSale] = {}
        self.lots: list[ModelLot] = []
        self.moves: dict[str, Moved] = {}
        self.holds: dict[str, ModelHold] = {}
        self.redemptions: dict[str, bool] = {}
        """By the name of the move: whether it had the reward. Cancelled ones are gone."""

    @property
    def now(self) -> datetime:
        return self.world.now

    @property
    def balance(self) -> int:
        return sum(lot.points for lot in self.lots)

    def open_holds(self) -> list[ModelHold]:
        return [hold for hold in self.holds.values() if hold.state == "held" and hold.ends > self.now]

    @property
    def held(self) -> int:
        return sum(hold.points for hold in self.open_holds())

    @property
    def available(self) -> int:
        return max(0, self.balance - self.held)

    @property
    def rewards_taken(self) -> int:
        return sum(self.redemptions.values()) + sum(hold.is_reward for hold in self.open_holds())

    @property
    def spend(self) -> int:
        return sum(sale.cents - sum(back[1] for back in sale.returns) for sale in self.sales.values())

    def rightful(self) -> dict[str, int]:
        """What each sale should have by now."""
        steps: list[tuple[int, int, str, ModelSale, int]] = []
        for sale in self.sales.values():
            steps.append((sale.minute, 0, sale.name, sale, sale.cents))
            steps += [
                (max(minute, sale.minute), 1, name, sale, cents) for name, cents, minute in sale.returns
            ]
        spend = Fraction(0)
        gross: dict[str, int] = {}
        for _, kind, _, sale, cents in sorted(steps, key=lambda step: step[:3]):
            if kind == 0:
                factor = Fraction(3, 2) if spend >= 60 else Fraction(1)
                gross[sale.name] = math.floor(Fraction(cents, 100) * factor)
                spend += Fraction(cents, 100)
            else:
                spend -= Fraction(cents, 100)
        points = {}
        for sale in self.sales.values():
            share = Fraction(sum(back[1] for back in sale.returns), sale.cents) if sale.cents else Fraction(0)
            points[sale.name] = gross[sale.name] - math.floor(gross[sale.name] * share)
        return points

    def give(self, source: str, points: int, minute: int | None = None) -> ModelLot:
        """By a sale of that minute, or by hand now."""
        self.world.serial += 1
        day = self.now if minute is None else minutes(minute)
        lot = ModelLot(
            source, points, (BY_HAND + self.world.serial if minute is None else minute, self.world.serial)
        )
        if self.world.expires:
            lot.ends = a_month_on(day.date())
        self.lots.append(lot)
        self.expire()
        return lot

    def undo(self, moved: Moved, points: int, name: str) -> None:
        """Reverse some points of a move under a name of its own: what was taken last goes back first."""
        moved.reversed += points
        if moved.points > 0:
            self.take(points, moved.name)
            return
        for place in range(len(moved.taken) - 1, -1, -1):
            lot, part = moved.taken[place]
            given = min(points, part)
            if given:
                self.give_back(lot, given, name, own=not moved.moved)
            points -= given
            moved.taken[place] = (lot, part - given)

    def give_back(self, lot: ModelLot, points: int, name: str, *, own: bool) -> None:
        """Into the lot it came from; when that is over, or on another account, into another one of the same kind."""
        if lot.ends > self.now and own:
            lot.points += points
            return
        self.world.serial += 1
        source = lot.source if lot.source in self.sales else name
        ends = self.now + self.world.grace if self.world.grace and lot.ends <= self.now else lot.ends
        self.lots.append(ModelLot(source, points, (lot.earned[0], self.world.serial), ends))
        self.expire()

    def expire(self) -> None:
        for lot in self.lots:
            if lot.ends <= self.now:
                if lot.source in self.sales:
                    self.sales[lot.source].gone += lot.points
                lot.points = 0

    def take(self, points: int, source: str | None = None) -> list[tuple[ModelLot, int]]:
        """From the lots of `source` first, then the earliest earned; as many as there are."""
        taken: list[tuple[ModelLot, int]] = []
        for lot in sorted(self.lots, key=lambda lot: (lot.source != source, lot.order)):
            part = min(points, lot.points)
            if part:
                lot.points -= part
                points -= part
                taken.append((lot, part))
        return taken

    def settle(self, new: str | None) -> None:
        """Gains of older sales, then the new sale or return, then losses of older sales."""
        due = {
            name: points - sale.recorded
            for (name, points), sale in zip(self.rightful().items(), self.sales.values(), strict=True)
        }
        for name, points in due.items():
            sale = self.sales[name]
            if points > 0 and name != new:
                sale.recorded += points
                forgiven = min(points, sale.forgiven)
                sale.forgiven -= forgiven
                sale.gone += forgiven
                points -= forgiven
                repaid = min(points, sale.short)
                sale.short -= repaid
                if points > repaid:
                    self.give(name, points - repaid, sale.minute)
        for name, points in due.items():
            if name == new:
                sale = self.sales[name]
                if points > 0:
                    self.give(name, points, sale.minute)
                elif points < 0:
                    self._take_back(sale, -points)
                sale.recorded += points
        for name, points in due.items():
            if points < 0 and name != new:
                self._take_back(self.sales[name], -points)
                self.sales[name].recorded += points

    def _take_back(self, sale: ModelSale, points: int) -> None:
        own = sum(lot.points for lot in self.lots if lot.source == sale.name)
        forgiven = min(max(points - own, 0), sale.gone)
        sale.gone -= forgiven
        sale.forgiven += forgiven
        points -= forgiven
        sale.short += points - sum(part for _, part in self.take(points, sale.name))

    def swallow(self, other: Model) -> None:
        """Everything of another customer's: their lots as new ones, their history into this one's, then settled."""
        for lot in sorted(other.lots, key=lambda lot: lot.order):
            if lot.points:
                self.world.serial += 1
                source = lot.source if lot.source in other.sales else ""
                self.lots.append(ModelLot(source, lot.points, (lot.earned[0], self.world.serial), lot.ends))
        self.sales |= other.sales
        for moved in other.moves.values():
            moved.moved = True
        self.moves |= other.moves
        self.holds |= other.holds
        self.redemptions |= other.redemptions
        self.settle(None)
        empty = Model(self.world)
        other.__dict__.update(empty.__dict__)
