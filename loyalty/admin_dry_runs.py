"""The dry run beside the editors of promotions and of the program: its answer, or the job that works on it."""

import json
import uuid
from datetime import date, datetime
from typing import Any

from cloudpos.api.encoding import encode
from cloudpos.jobs.models import Job
from loyalty.dry_runs.jobs import try_out

TRIED_DAYS = 90


def tried_context(*, merchant_id: uuid.UUID, actor_id: Any, **change: Any) -> dict[str, Any]:
    """What backoffice/tried.html shows of a change on the last TRIED_DAYS days. Raises what `try_out` raises."""
    found = try_out(merchant_id=merchant_id, actor_id=actor_id, days=TRIED_DAYS, **change)
    return {"job": found} if isinstance(found, Job) else result_context(json.loads(encode(found)))


def result_context(result: dict[str, Any]) -> dict[str, Any]:
    """What backoffice/dry_run.html shows of a result; `share` is a week's part of the dearest week, in per cent."""
    weeks = result["weeks"]
    most = max((abs(week["pointsChange"]) for week in weeks), default=0)
    run = {
        **result,
        "firstDay": date.fromisoformat(result["firstDay"]),
        "lastDay": date.fromisoformat(result["lastDay"]),
        "asOf": datetime.fromisoformat(result["asOf"]),
        "weeks": [
            {
                **week,
                "week": date.fromisoformat(week["week"]),
                "share": round(100 * abs(week["pointsChange"]) / most) if most else 0,
            }
            for week in weeks
        ],
        "mostAffected": [
            {**row, "occurredAt": datetime.fromisoformat(row["occurredAt"])} for row in result["mostAffected"]
        ],
    }
    return {"run": run, "currency": result["currency"]}
