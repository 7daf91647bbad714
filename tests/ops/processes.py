"""Finding the processes of an installation under test."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every living process that was started, however indirectly, with DATA_DIR at or below `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            # Redis shows its socket's path where the environment was.
            if process.environ().get("DATA_DIR", "").startswith(str(folder)) or str(folder) in str(
                process.cmdline()
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def commands_of(folder: Path) -> dict[psutil.Process, str]:
    """The command line of each of them, for those that did not end meanwhile."""
    commands = {}
    for process in processes_of(folder):
        with suppress(psutil.Error):
            commands[process] = " ".join([process.name(), *process.cmdline()])
    return commands


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Return when `condition` holds; AssertionError when it does not for `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
