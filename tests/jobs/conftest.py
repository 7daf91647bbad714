"""A kind of job whose work the tests write themselves."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloudpos.jobs import services
from cloudpos.jobs.kinds import KINDS, Kind
from cloudpos.jobs.models import Job
from cloudpos.jobs.running import Work
from tests.fixtures import Shop

PROBE = "probe"


class Probe:
    """Calls `work`; each test says what that is."""

    def __init__(self) -> None:
        self.work: Callable[[Work], Any] = lambda work: None

    def __call__(self, work: Work) -> Any:
        return self.work(work)


@pytest.fixture
def probe() -> Iterator[Probe]:
    made = Probe()
    KINDS[PROBE] = Kind(PROBE, "Probe", made)
    yield made
    del KINDS[PROBE]


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that were sent, and lost."""
    messages: list[str] = []
    monkeypatch.setattr(services, "enqueue", lambda name: messages.append(name) or True)
    return messages


def start(shop: Shop, **more: Any) -> Job:
    return services.start_job(merchant_id=shop.merchant.pk, kind=PROBE, **more)


def state_of(job: Job) -> str:
    job.refresh_from_db()
    return job.state
