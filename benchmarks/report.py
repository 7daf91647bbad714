"""The measurements as a table, on the terminal and in benchmarks/README.md."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Result
from benchmarks.scenarios import Scenario

README = Path(__file__).resolve().parent / "README.md"
BEGIN = "<!-- measured: written by python -m benchmarks.run --write -->"
END = "<!-- end of measured -->"
P99_MS_MAX = 60.0


@dataclass
class Measured:
    """One scenario at one merchant over all rounds."""

    scenario: Scenario
    label: str
    total: Result = field(default_factory=Result)
    # Per round: rate over the mean of the empty DRF view's rates just before and after.
    shares: list[float] = field(default_factory=list)
    web_cpu_seconds: float = 0.0
    database_cpu_seconds: float | None = None
    queries: int | None = None
    # What the scenario's check found missing in the books.
    wrong: str = ""

    @property
    def share(self) -> float:
        return statistics.median(self.shares) if self.shares else 0.0

    @property
    def errors(self) -> int:
        return self.total.errors(self.scenario.expected)

    @property
    def misses(self) -> list[str]:
        """What was promised and is not so."""
        found = [self.wrong] if self.wrong else []
        if self.errors:
            found.append(f"{self.errors} errors {dict(self.total.statuses)}")
        if self.scenario.goal is not None:
            if self.share < self.scenario.goal:
                found.append(f"share below {self.scenario.goal:.2f}")
            if self.total.percentile(99) > P99_MS_MAX:
                found.append(f"p99 above {P99_MS_MAX:.0f} ms")
        return found

    def cells(self) -> list[str]:
        answers = len(self.total.latencies) or 1
        database = self.database_cpu_seconds
        return [
            self.scenario.title,
            self.label,
            f"{self.total.per_second:.0f}",
            f"{self.share:.2f}",
            f"{self.scenario.goal:.2f}" if self.scenario.goal is not None else "",
            f"{self.total.percentile(50):.1f}",
            f"{self.total.percentile(99):.1f}",
            f"{1000 * self.web_cpu_seconds / answers:.2f}",
            f"{1000 * database / answers:.2f}" if database is not None else "",
            str(self.queries) if self.queries is not None else "",
            str(self.errors),
        ]


HEADINGS = [
    "",
    "Merchant",
    "req/s",
    "Share",
    "Goal",
    "p50 ms",
    "p99 ms",
    "CPU web ms",
    "CPU db ms",
    "Queries",
    "Errors",
]


def table(rows: Iterable[Sequence[str]], headings: Sequence[str] = HEADINGS) -> str:
    """A Markdown table whose columns line up; all but the first two columns to the right."""
    listed = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in listed) for column in range(len(headings))]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = (
        "|"
        + "|".join(
            "-" * (width + 2) if column < 2 else "-" * (width + 1) + ":"
            for column, width in enumerate(widths)
        )
        + "|"
    )
    return "\n".join([line(listed[0]), rule, *[line(row) for row in listed[1:]]])


def write(text: str, readme: Path = README, *, begin: str = BEGIN) -> None:
    """Put `text` between the marks of the README, in place of what the last run measured."""
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{begin}\n\n{text}\n\n{END}{after}")
