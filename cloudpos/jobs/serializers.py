"""What a job looks like outside."""

from cloudpos.api.parameters import Choices, Text
from cloudpos.api.query import StrictFilterSet
from cloudpos.api.rendering import Column, RowShape
from cloudpos.jobs.models import Job

_COLUMNS: list[str | Column] = [
    "id",
    "kind",
    "key",
    "state",
    "done",
    Column("total", schema={"type": ["integer", "null"], "description": "Empty: not known yet"}),
    Column.json("counts", schema={"type": "object", "additionalProperties": {"type": "integer"}}),
    Column.json("parameters"),
    "error_code",
    "error",
    "cancel_requested",
    "actor_id",
    "created_at",
    "started_at",
    "finished_at",
]

JOB = RowShape("Job", _COLUMNS, model=Job, description="Long work, as it stands.")
JOB_WITH_RESULT = RowShape(
    "JobWithResult",
    [*_COLUMNS, Column.json("result", schema={"description": "What came out, when it is done"})],
    model=Job,
)


class JobFilters(StrictFilterSet):
    sortable = {"createdAt": "created_at"}
    default_sort = "createdAt"
    default_descending = True

    kind = Text("kind")
    state = Choices(Job.State.values)
