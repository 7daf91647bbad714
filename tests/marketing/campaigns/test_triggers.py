"""Campaigns that something sets off."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import transaction
from django.utils.timezone import now

from cloudpos import outbox
from cloudpos.wiring import TRIGGER_CAMPAIGNS, tasks_for
from customers.events import EventRef, emit, event
from customers.models import Customer, Event
from marketing.campaigns import services
from marketing.campaigns.triggers import InvalidTrigger, read_trigger, trigger_campaigns
from marketing.models import Campaign, Segment
from marketing.segment_services import add_members
from tests.fixtures import Shop
from tests.marketing.campaigns.conftest import launch, messages_of, person, send, states

pytestmark = pytest.mark.django_db


def happen(shop: Shop, customer: Customer, type: str = "order.shipped", **data: Any) -> Event:
    found = event(merchant_id=shop.merchant.pk, type=type, data=data, customer_id=customer.pk)
    with transaction.atomic():
        emit(found)
    return found


def relay(shop: Shop, *events: Event) -> int:
    """What the outbox does with these events: the handlers that want them are called."""
    refs = [EventRef(each.merchant_id, each.pk, each.type) for each in events]
    wanted = [str(ref.id) for ref, handler in tasks_for(refs) if handler == TRIGGER_CAMPAIGNS]
    return trigger_campaigns(merchant_id=shop.merchant.pk, event_ids=wanted, at=now())


def listen(shop: Shop, **trigger: Any) -> Campaign:
    content = {"subject": "Parcel {{ trigger.parcel }}", "html": "<p>On its way</p>"}
    given = {"event": "order.shipped", **trigger}
    campaign = launch(shop, kind="triggered", trigger=given, variants=[{"content": content}])
    assert campaign.state == "sending"
    return campaign


def test_an_event_sets_a_mail_off(shop: Shop, alice: Customer, bob: Customer) -> None:
    campaign = listen(shop)
    assert relay(shop, happen(shop, alice, parcel="X1")) == 1
    assert send() == 1
    assert [(one.to, one.subject) for one in mail.outbox] == [(["alice@mail.example"], "Parcel X1")]
    assert states(campaign) == {"Alice": "sent"}
    campaign.refresh_from_db()
    assert campaign.state == "sending"


def test_the_relay_finds_its_way(
    shop: Shop, alice: Customer, django_capture_on_commit_callbacks: Any
) -> None:
    listen(shop)
    happen(shop, alice)
    happen(shop, alice, type="order.lost")
    tasks = []
    pending = Event.objects.filter(type__startswith="order.")
    refs = [EventRef(*row) for row in pending.values_list("merchant_id", "id", "type")]
    tasks = [ref.type for ref, handler in tasks_for(refs) if handler == TRIGGER_CAMPAIGNS]
    assert tasks == ["order.shipped"]
    outbox.relay()


def test_each_customer_once_ever(shop: Shop, alice: Customer, bob: Customer) -> None:
    campaign = listen(shop)
    assert relay(shop, happen(shop, alice), happen(shop, bob), happen(shop, alice)) == 2
    assert relay(shop, happen(shop, alice)) == 0
    assert len(messages_of(campaign.pk)) == 2


def test_each_time(shop: Shop, alice: Customer) -> None:
    campaign = listen(shop, againAfterDays=0)
    first = happen(shop, alice)
    assert relay(shop, first, happen(shop, alice)) == 2
    # The same event again, as the outbox may.
    assert relay(shop, first) == 0
    assert len(messages_of(campaign.pk)) == 2


def test_again_after_days(shop: Shop, alice: Customer) -> None:
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        campaign = listen(shop, againAfterDays=30)
        assert relay(shop, happen(shop, alice)) == 1
        clock.move_to(start + timedelta(days=29))
        assert relay(shop, happen(shop, alice)) == 0
        clock.move_to(start + timedelta(days=30))
        assert relay(shop, happen(shop, alice)) == 1
    assert len(messages_of(campaign.pk)) == 2


def test_after_a_while(shop: Shop, alice: Customer) -> None:
    listen(shop, delayMinutes=90)
    relay(shop, happen(shop, alice))
    assert send() == 0
    with time_machine.travel(now() + timedelta(minutes=91)):
        assert send() == 1


def test_coming_into_a_segment(shop: Shop, alice: Customer, bob: Customer) -> None:
    segment, other = (Segment.objects.create(merchant=shop.merchant, name=name, kind="list") for name in "12")
    campaign = launch(shop, kind="triggered", trigger={"segment": str(segment.pk)})
    add_members(access=shop.access, segment_id=other.pk, customer_ids=[bob.pk])
    add_members(access=shop.access, segment_id=segment.pk, customer_ids=[alice.pk])
    assert relay(shop, *Event.objects.filter(type="segment.entered")) == 1
    assert states(campaign) == {"Alice": "pending"}


def test_what_sets_nothing_off(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    before = happen(shop, alice)
    with time_machine.travel(now() + timedelta(seconds=1)):
        campaign = listen(shop)
        carol = person(shop, "Carol", consent=False)
        stranger = person(foreign_shop, "Stranger")
        assert relay(shop, before, happen(shop, alice, type="order.lost"), happen(shop, carol)) == 0
        assert relay(foreign_shop, happen(foreign_shop, stranger)) == 0
        Campaign.objects.update(started_at=now() - timedelta(days=3))
        late = happen(shop, alice)
        Event.objects.filter(pk=late.pk).update(occurred_at=now() - timedelta(days=2))
        assert relay(shop, late) == 0
        services.pause_campaign(access=shop.access, campaign_id=campaign.pk)
        assert relay(shop, happen(shop, alice)) == 0


def test_it_listens_until_its_end(shop: Shop, alice: Customer, bob: Customer) -> None:
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        campaign = launch(
            shop, kind="triggered", trigger={"event": "order.shipped"}, ends_at=start + timedelta(days=1)
        )
        assert relay(shop, happen(shop, alice)) == 1
        clock.move_to(start + timedelta(days=1))
        assert relay(shop, happen(shop, bob)) == 0
        # What was set off before is still sent.
        assert send() == 1
        campaign.refresh_from_db()
        assert campaign.state == "sent"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (None, "trigger"),
        ({}, "trigger"),
        ({"event": "a.b", "segment": "x"}, "trigger"),
        ({"event": 5}, "trigger.event"),
        ({"event": "purchase"}, "trigger.event"),
        ({"event": "a.b\x00"}, "trigger.event"),
        ({"event": "a." + "b" * 60}, "trigger.event"),
        ({"segment": "x"}, "trigger.segment"),
        ({"segment": 5}, "trigger.segment"),
        ({"event": "a.b", "delayMinutes": -1}, "trigger.delayMinutes"),
        ({"event": "a.b", "delayMinutes": True}, "trigger.delayMinutes"),
        ({"event": "a.b", "againAfterDays": 3_651}, "trigger.againAfterDays"),
        ({"event": "a.b", "when": 1}, "trigger.when"),
    ],
)
def test_what_is_refused(said: Any, field: str) -> None:
    with pytest.raises(InvalidTrigger) as refused:
        read_trigger(said)
    assert field in [error.field for error in refused.value.errors]
