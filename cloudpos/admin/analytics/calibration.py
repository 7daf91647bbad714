"""Predicted against observed as a drawing: on the diagonal a model is exactly as sure as it should be.

Drawn on the server as SVG, so that it needs no script and follows the theme's colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analytics.models import ModelRun
from cloudpos.tenancy.formats import counted

# In units of the drawing: a square with room for the labels at the left and below.
SIDE = 260
LEFT, TOP = 52, 10
RADIUS_MIN, RADIUS_MAX = 3.0, 7.0
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    radius: float
    predicted: str
    observed: str
    customers: int

    @property
    def told(self) -> str:
        return f"Predicted {self.predicted}, observed {self.observed}, {counted(self.customers, 'customer')}"


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Everything in the drawing's units, y downwards."""

    dots: Sequence[Dot]
    across: Sequence[Tick]
    up: Sequence[Tick]
    left: int = LEFT
    top: int = TOP
    right: int = LEFT + SIDE
    bottom: int = TOP + SIDE
    width: int = LEFT + SIDE + 24
    height: int = TOP + SIDE + 46


def calibration_plot(run: ModelRun) -> Plot | None:
    """The run's bins of like probabilities; None without any."""
    bins = run.calibration
    if not bins:
        return None
    largest = max(each["customers"] for each in bins) or 1
    return Plot(
        dots=[
            Dot(
                x=_across(each["mean"]),
                y=_up(each["observed"]),
                # By area, as the eye compares.
                radius=round(
                    RADIUS_MIN + (RADIUS_MAX - RADIUS_MIN) * (each["customers"] / largest) ** 0.5, 1
                ),
                predicted=_percent(each["mean"]),
                observed=_percent(each["observed"]),
                customers=int(each["customers"]),
            )
            for each in bins
        ],
        across=[Tick(_across(share), f"{100 * share:.0f}%") for share in TICKS],
        up=[Tick(_up(share), f"{100 * share:.0f}%") for share in TICKS],
    )


def _across(share: float) -> float:
    return round(LEFT + SIDE * share, 1)


def _up(share: float) -> float:
    return round(TOP + SIDE * (1 - share), 1)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
