"""What can be a job. Each app names its kinds in its `tasks.py`, which every process reads when it starts.

@job_kind("analytics.recalculate", title="Recalculation of all figures")
def recalculate(work: Work) -> dict[str, Any] | None:
    for chunk in chunks(after=work.cursor):
        with transaction.atomic():
            ...
            work.checkpoint(cursor=last_id, done=len(chunk), changed=n)
    return {...}   # the job's result, JSON
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudpos.jobs.running import Work

Run = Callable[["Work"], Any]


@dataclass(frozen=True)
class Kind:
    """`run` does the work and returns the result; `title` is what a person calls it."""

    name: str
    title: str
    run: Run


KINDS: dict[str, Kind] = {}


def job_kind(name: str, *, title: str) -> Callable[[Run], Run]:
    """Registers a function as what runs jobs of this kind."""

    def register(run: Run) -> Run:
        known = KINDS.get(name)
        if known is not None and known.run is not run:
            raise ValueError(f"there are two kinds of job named {name}")
        KINDS[name] = Kind(name, title, run)
        return run

    return register


def title_of(kind: str) -> str:
    """A kind's title; its name when a later release has dropped it."""
    known = KINDS.get(kind)
    return known.title if known is not None else kind
