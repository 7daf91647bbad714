"""Shades of a heat map: classes of the stylesheet, so that both of the theme's modes have their own colours."""

SHADES = 8


def shade(value: float | None, most: float) -> str:
    """The class of a cell whose value is between 0 and `most`; 0 and nothing are without colour."""
    if not value or value < 0 or most <= 0:
        return ""
    return f"cp-heat--{min(SHADES, 1 + int(SHADES * value / most))}"
