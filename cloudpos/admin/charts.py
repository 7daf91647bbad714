"""How the pages' charts look. A canvas follows no theme: the colours are readable on white and on black."""

from typing import Any

TEXT = "#7c8798"
GRID = "rgba(124, 135, 152, .2)"


def chart_options(
    *, mark: tuple[int, int], gap: int, amounts: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Options for the theme's line and bar charts.

    `mark` is width and height of a series' mark in the legend, `gap` the least space between labels of days or months, in
    pixels; `amounts` is how numbers are written (Intl.NumberFormat).
    """
    width, height = mark
    numbers: dict[str, Any] = {"color": TEXT, "maxTicksLimit": 6}
    return {
        "animation": False,
        "interaction": {"mode": "index", "intersect": False},
        "maintainAspectRatio": False,
        "locale": "en-GB",
        "plugins": {
            "legend": {
                "align": "end",
                "display": True,
                "position": "top",
                "labels": {"boxHeight": height, "boxWidth": width, "color": TEXT},
            }
        },
        "scales": {
            "x": {
                "grid": {"display": False},
                "ticks": {"color": TEXT, "maxRotation": 0, "autoSkipPadding": gap},
            },
            "y": {
                "beginAtZero": True,
                "border": {"display": False},
                "grid": {"color": GRID},
                "ticks": numbers if amounts is None else {**numbers, "format": amounts},
            },
        },
    }
