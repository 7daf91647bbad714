"""What reasons speak of. Without numpy: serving code reads it too."""

from enum import IntEnum


class Theme(IntEnum):
    """What a reason speaks of. Features that tell one story hang together, so only their sum means something."""

    SILENCE = 0
    FREQUENCY = 1
    TENURE = 2
    RHYTHM = 3
    SPEND = 4
    BASKET = 5


def code_of(theme: Theme, *, raises: bool) -> int:
    """A reason as a number that is never 0: above for what raises the risk, below for what lowers it."""
    return theme + 1 if raises else -theme - 1


def of_code(code: int) -> tuple[Theme, bool]:
    """(theme, whether it raises the risk). Raises ValueError for what `code_of` never gives."""
    return Theme(abs(code) - 1), code > 0
