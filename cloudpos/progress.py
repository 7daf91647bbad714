"""The progress bars of commands that load or send a history."""

from typing import IO, Any, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)


def bars_on(stdout: Any, *, time: type[ProgressColumn] = TimeElapsedColumn) -> Progress:
    """Bars that tell what, how many of how many, and the time, on a command's `stdout`: a context manager.

    Its `console` prints what is to be said beside them.
    """
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), time())
    return Progress(*columns, console=Console(file=cast(IO[str], stdout)))
