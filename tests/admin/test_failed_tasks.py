"""What the background gave up: owners read why and let it try again."""

from django.test import Client
from django.urls import reverse

from cloudpos.models import EventTask
from cloudpos.outbox import sweep
from tests.admin.conftest import Regulars, make_regulars
from tests.fixtures import Shop, make_shop

LIST = "/admin/cloudpos/eventtask/"


def test_the_list_says_what_failed_for_whom_and_why(owner: Client, shop: Shop, regulars: Regulars) -> None:
    text = owner.get(LIST).content.decode()
    for shown in (
        "Work out the customer",
        "Purchase recorded",
        "Alice Ashford",
        "Error of corner-shop",
        "just now",
        "1\n    failed task",
    ):
        assert shown in text


def test_a_task_that_still_has_attempts_is_not_listed(owner: Client, shop: Shop, regulars: Regulars) -> None:
    EventTask.objects.update(next_attempt_at="2026-01-01T00:00:00Z")
    assert "Nothing failed" in owner.get(LIST).content.decode()


def test_selected_tasks_are_tried_again_and_done(owner: Client, shop: Shop, regulars: Regulars) -> None:
    task = EventTask.objects.get(next_attempt_at=None)
    answer = owner.post(
        LIST, {"action": "try_selected_again", "_selected_action": [str(task.pk)]}, follow=True
    )
    assert "1 task will be tried again" in answer.content.decode()
    task.refresh_from_db()
    assert (task.attempts, task.next_attempt_at is not None) == (0, True)
    sweep()
    assert not EventTask.objects.filter(pk=task.pk).exists()


def test_one_task_is_tried_again_only_when_confirmed(owner: Client, shop: Shop, regulars: Regulars) -> None:
    task = EventTask.objects.get(next_attempt_at=None)
    url = reverse("admin:cloudpos_eventtask_try_again", args=[task.pk])
    assert "tried 12 times" in owner.get(url).content.decode()
    task.refresh_from_db()
    assert task.next_attempt_at is None
    assert owner.post(url).headers["Location"] == LIST
    task.refresh_from_db()
    assert task.next_attempt_at is not None


def test_managers_and_other_merchants_reach_none(
    manager: Client, owner: Client, shop: Shop, regulars: Regulars
) -> None:
    mine = EventTask.objects.get(next_attempt_at=None)
    assert manager.get(LIST).status_code == 403
    assert manager.post(reverse("admin:cloudpos_eventtask_try_again", args=[mine.pk])).status_code == 403
    other = make_shop("Elsewhere")
    make_regulars(other)
    theirs = EventTask.objects.get(merchant=other.merchant, next_attempt_at=None)
    owner.post(reverse("admin:cloudpos_eventtask_try_again", args=[theirs.pk]))
    owner.post(LIST, {"action": "try_selected_again", "_selected_action": [str(theirs.pk)]})
    theirs.refresh_from_db()
    assert theirs.next_attempt_at is None
