"""manage.py retry_event_tasks: what was given up is listed, and tried again all or one by one."""

import io
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from cloudpos import outbox
from cloudpos.models import EventTask
from tests.fixtures import Shop
from tests.outbox.conftest import Probe, send

pytestmark = pytest.mark.django_db


def say(*arguments: Any) -> str:
    out = io.StringIO()
    call_command("retry_event_tasks", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def given_up(shop: Shop, probe: Probe, rung: list[Any]) -> list[EventTask]:
    """Three tasks that failed at every attempt, and could succeed now."""
    for bad in send(shop, count=3):
        probe.poisoned[bad.pk] = ValueError("poison")
    outbox.sweep()
    EventTask.objects.update(attempts=outbox.ATTEMPTS_MAX - 1, next_attempt_at=now())
    outbox.sweep()
    probe.poisoned.clear()
    return list(EventTask.objects.filter(next_attempt_at=None).order_by("created_at", "pk"))


def test_they_are_listed_with_age_type_and_error(given_up: list[EventTask]) -> None:
    oldest = given_up[0]
    created_at = now() - timedelta(days=2, hours=3, minutes=1)
    EventTask.objects.filter(pk=oldest.pk).update(created_at=created_at)
    first, *_, last = say().splitlines()
    assert first.split() == [
        str(oldest.pk),
        "2d",
        "3h",
        oldest.merchant.slug,
        oldest.event.type,
        oldest.handler,
        "ValueError",
    ]
    assert last == "Given up: 3 tasks"
    assert EventTask.objects.filter(next_attempt_at=None).count() == 3


def test_one_is_tried_again_by_its_id(given_up: list[EventTask], probe: Probe) -> None:
    assert say(str(given_up[1].pk)) == "1 task will be tried again\n"
    outbox.sweep()
    assert probe.seen == {given_up[1].event_id: 1}
    assert say().endswith("Given up: 2 tasks\n")


def test_all_are_tried_again(given_up: list[EventTask], probe: Probe) -> None:
    assert say("--all") == "3 tasks will be tried again\n"
    outbox.sweep()
    assert probe.seen == {task.event_id: 1 for task in given_up}
    assert say() == "Given up: 0 tasks\n"


def test_an_id_of_no_such_task_is_an_error_and_the_others_are_tried(given_up: list[EventTask]) -> None:
    with pytest.raises(CommandError, match="1 of the ids"):
        say(str(given_up[0].pk), str(uuid4()))
    assert EventTask.objects.filter(next_attempt_at=None).count() == 2


def test_ids_and_all_together_are_refused(given_up: list[EventTask]) -> None:
    with pytest.raises(CommandError, match="not both"):
        say(str(given_up[0].pk), "--all")
    assert EventTask.objects.filter(next_attempt_at=None).count() == 3
