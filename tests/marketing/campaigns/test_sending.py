"""Who gets a message, who does not and why, and that nobody gets it twice."""

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
import redis
import time_machine
from django.conf import settings
from django.core import mail
from django.db import transaction
from django.test import override_settings
from django.utils.timezone import now

from cloudpos.lifecycle.erasing import erase_customer
from customers.models import Customer
from customers.services import change_preferences, lock_customer, update_customer
from loyalty.models import LedgerEntry
from loyalty.services import create_program
from marketing.campaigns import beginning, services
from marketing.campaigns.audience import prepare_chunk
from marketing.campaigns.claiming import LEASE_SECONDS, claim, end_leases
from marketing.campaigns.composing import Composer
from marketing.campaigns.sending import GROUP_FIRST
from marketing.channels import Outcome, Outgoing
from marketing.channels.email import SMTP_BACKEND
from marketing.channels.outgoing import NOT_BEGUN
from marketing.channels.suppressions import suppress
from marketing.models import Campaign, CampaignMessage, CampaignRun, MessagingSettings, Segment, SegmentMember
from marketing.tasks import run_campaigns
from tests.fixtures import Shop, meanwhile
from tests.marketing.campaigns.conftest import launch, messages_of, person, say, send, states, write
from tests.marketing.sink import mail_sink

pytestmark = pytest.mark.django_db


def test_everybody_who_agreed_gets_one_mail(shop: Shop, alice: Customer, bob: Customer) -> None:
    person(shop, "Carol", consent=False)
    campaign = launch(shop)
    assert send() == 2
    assert {one.to[0]: one.subject for one in mail.outbox} == {
        "alice@mail.example": "News for Alice",
        "bob@mail.example": "News for Bob",
    }
    assert states(campaign) == {"Alice": "sent", "Bob": "sent"}
    campaign.refresh_from_db()
    run = CampaignRun.objects.get()
    assert (campaign.state, run.state, run.looked_at, run.audience) == ("sent", "done", 3, 2)
    assert send() == 0


def test_segments_less_exclusions(shop: Shop, alice: Customer, bob: Customer) -> None:
    carol = person(shop, "Carol")
    one, two, not_these = (
        Segment.objects.create(merchant=shop.merchant, name=name, kind="list") for name in "123"
    )
    members = [(one, alice), (one, bob), (two, bob), (two, carol), (not_these, carol)]
    for segment, customer in members:
        SegmentMember.objects.create(merchant=shop.merchant, segment=segment, customer=customer)
    campaign = launch(shop, include_segments=[one.pk, two.pk], exclude_segments=[not_these.pk])
    assert send() == 2
    assert states(campaign) == {"Alice": "sent", "Bob": "sent"}


def test_more_recipients_than_a_chunk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketing.campaigns.audience.CHUNK", 2)
    for name in ("Alice", "Bob", "Carol", "Dave", "Erin"):
        person(shop, name)
    launch(shop)
    assert send() == 5
    assert len({one.to[0] for one in mail.outbox}) == 5


def test_the_control_group_gets_nothing(shop: Shop) -> None:
    names = [f"P{n}" for n in range(12)]
    for name in names:
        person(shop, name)
    campaign = launch(shop, control_percent=50)
    sent = send()
    found = states(campaign)
    control = [name for name, state in found.items() if state == "control"]
    assert 0 < len(control) < 12
    assert sent == 12 - len(control) == len(mail.outbox)
    assert set(found) == set(names)


# --- The last look ------------------------------------------------------------------------------------------


def prepared(shop: Shop, **fields: object) -> Campaign:
    """Recipients are found, and nothing has been sent."""
    campaign = launch(shop, **fields)
    assert send(seconds=0) == 0
    run = CampaignRun.objects.get(campaign=campaign)
    assert prepare_chunk(run=run, at=run.due_at)
    return campaign


def test_who_withdraws_meanwhile_gets_nothing(shop: Shop, alice: Customer, bob: Customer) -> None:
    campaign = prepared(shop)
    say(shop, alice, "withdrawn")
    assert send() == 1
    assert states(campaign) == {"Alice": "skipped: no_consent", "Bob": "sent"}


def test_who_is_gone_or_not_reached_any_more(shop: Shop, alice: Customer, bob: Customer) -> None:
    carol = person(shop, "Carol")
    campaign = prepared(shop)
    erase_customer(access=shop.owner.access, customer_id=alice.pk)
    update_customer(access=shop.access, customer_id=bob.pk, data={"email": ""})
    update_customer(access=shop.access, customer_id=carol.pk, data={"status": "suspended"})
    assert send() == 0
    found = CampaignMessage.objects.filter(campaign=campaign).values_list("customer_id", "reason")
    assert dict(found) == {alice.pk: "gone", bob.pk: "no_address", carol.pk: "not_active"}


def test_a_new_address_is_the_one_that_is_written_to(shop: Shop, alice: Customer) -> None:
    prepared(shop)
    update_customer(access=shop.access, customer_id=alice.pk, data={"email": "new@mail.example"})
    send()
    assert [one.to for one in mail.outbox] == [["new@mail.example"]]


def test_suppressed_addresses(shop: Shop, alice: Customer, bob: Customer) -> None:
    campaign = prepared(shop)
    suppress(
        merchant_id=shop.merchant.pk, channel="email", addresses=["ALICE@mail.example"], reason="complaint"
    )
    assert send() == 1
    assert states(campaign) == {"Alice": "skipped: suppressed", "Bob": "sent"}
    again = launch(shop, name="Summer")
    send()
    assert states(again) == {"Bob": "sent"}


def test_quiet_hours_of_the_customer_and_of_the_merchant(shop: Shop, alice: Customer, bob: Customer) -> None:
    change_preferences(
        access=shop.access,
        customer_id=alice.pk,
        data={"quiet_hours_start": "08:00", "quiet_hours_end": "20:00"},
    )
    MessagingSettings.objects.create(merchant=shop.merchant, quiet_from="21:00", quiet_until="09:00")
    with time_machine.travel("2027-01-15T08:30:00Z", tick=False) as clock:
        campaign = launch(shop)
        assert send() == 0
        waiting = {one.customer_id: one.next_attempt_at for one in messages_of(campaign.pk)}
        assert {each.pk: f"{waiting[each.pk]:%H:%M}" for each in (alice, bob)} == {
            alice.pk: "20:00",
            bob.pk: "09:00",
        }
        clock.move_to("2027-01-15T09:00:00Z")
        assert send() == 1
        clock.move_to("2027-01-15T20:00:00Z")
        assert send() == 1
    assert [one.to[0] for one in mail.outbox] == ["bob@mail.example", "alice@mail.example"]


def test_what_would_come_too_late_is_left_out(shop: Shop, alice: Customer) -> None:
    MessagingSettings.objects.create(merchant=shop.merchant, quiet_from="21:00", quiet_until="09:00")
    with time_machine.travel("2027-01-15T21:30:00Z", tick=False):
        campaign = launch(shop, send_within_hours=3)
        assert send() == 0
    assert states(campaign) == {"Alice": "skipped: too_late"}


def test_what_was_paused_for_too_long_is_not_sent_any_more(shop: Shop, alice: Customer) -> None:
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        campaign = prepared(shop, send_within_hours=3)
        clock.move_to(start + timedelta(hours=3, seconds=1))
        assert send() == 0
    assert states(campaign) == {"Alice": "skipped: too_late"}


@pytest.mark.django_db(transaction=True)
def test_who_is_served_right_now_is_looked_at_again_a_moment_later(shop: Shop) -> None:
    alice, _ = person(shop, "Alice"), person(shop, "Bob")
    campaign = prepared(shop)
    with transaction.atomic():
        lock_customer(merchant_id=shop.merchant.pk, customer_id=alice.pk)
        # On another connection, as a worker: it does not wait for the till.
        assert meanwhile(lambda: send(seconds=5)) == 1
    assert states(campaign) == {"Alice": "pending", "Bob": "sent"}
    with time_machine.travel(now() + timedelta(seconds=beginning.BUSY_SECONDS)):
        assert send() == 1


def test_no_more_a_week_than_the_customer_wants(shop: Shop, alice: Customer, bob: Customer) -> None:
    change_preferences(access=shop.access, customer_id=alice.pk, data={"max_messages_per_week": 1})
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        launch(shop)
        assert send() == 2
        second = launch(shop, name="Summer")
        assert send() == 1
        assert states(second) == {"Alice": "skipped: too_often", "Bob": "sent"}
        # What a sale needs is not advertising.
        third = launch(shop, name="Recall", purpose="transactional")
        send()
        assert states(third) == {"Alice": "sent", "Bob": "sent"}
        assert "List-Unsubscribe" in mail.outbox[0].extra_headers
        assert "List-Unsubscribe" not in mail.outbox[-1].extra_headers
        clock.move_to(start + timedelta(days=7, minutes=1))
        fourth = launch(shop, name="Autumn")
        send()
    assert states(fourth) == {"Alice": "sent", "Bob": "sent"}


def test_points_are_given_once_just_before(shop: Shop, alice: Customer) -> None:
    create_program(merchant_id=shop.merchant.pk)
    campaign = launch(shop, incentive_points=50)
    assert send() == 1
    entries = LedgerEntry.objects.filter(type="adjusted").values_list("points", "description")
    assert list(entries) == [(50, "Spring")]
    alice.refresh_from_db()
    assert alice.points == 50
    assert messages_of(campaign.pk)[0].incentive_given


# --- Stopping -----------------------------------------------------------------------------------------------


def test_nothing_is_begun_of_a_paused_campaign(shop: Shop, alice: Customer) -> None:
    campaign = prepared(shop)
    services.pause_campaign(access=shop.access, campaign_id=campaign.pk)
    assert send() == 0
    services.resume_campaign(access=shop.access, campaign_id=campaign.pk)
    assert send() == 1


def test_nor_of_one_that_is_paused_between_claim_and_beginning(shop: Shop, alice: Customer) -> None:
    campaign = prepared(shop)
    run = CampaignRun.objects.get()
    claim_id = run.pk
    held = claim(merchant_id=shop.merchant.pk, run_id=run.pk, claim_id=claim_id, at=now(), most=10)
    services.pause_campaign(access=shop.access, campaign_id=campaign.pk)
    begun = beginning.begin(campaign=campaign, settings=None, claimed=held, claim_id=claim_id, at=now())
    assert (len(held), begun) == (1, None)


def test_of_a_campaign_that_is_stopped_in_the_middle_nothing_more_is_claimed(
    shop: Shop, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = prepared(shop)
    claims = []

    def stopped(**named: object) -> list[object]:
        claims.append(1)
        Campaign.objects.filter(pk=campaign.pk).update(state="paused")
        return claim(**named)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr("marketing.campaigns.sending.claim", stopped)
    assert send(seconds=2) == 0
    assert len(claims) == 1
    assert states(campaign) == {"Alice": "pending"}


def test_what_waits_for_a_cancelled_campaign_never_leaves(shop: Shop, alice: Customer) -> None:
    campaign = prepared(shop)
    services.cancel_campaign(access=shop.access, campaign_id=campaign.pk)
    assert send() == 0
    assert states(campaign) == {"Alice": "cancelled"}
    assert mail.outbox == []


# --- What may go wrong --------------------------------------------------------------------------------------


def test_a_dead_workers_messages(shop: Shop, alice: Customer, bob: Customer) -> None:
    """What it had only claimed waits again; what it was sending is unknown, until a person sends it again."""
    campaign = prepared(shop)
    run = CampaignRun.objects.get()
    at = now()
    held = claim(merchant_id=shop.merchant.pk, run_id=run.pk, claim_id=run.pk, at=at, most=10)
    assert len(held) == 2
    mine = [message for message in held if message.customer_id == alice.pk]
    assert len(beginning.begin(campaign=campaign, settings=None, claimed=mine, claim_id=run.pk, at=at)) == 1
    assert end_leases(at=at + timedelta(seconds=LEASE_SECONDS - 1)) == 0
    assert end_leases(at=at + timedelta(seconds=LEASE_SECONDS + 1)) == 2
    with time_machine.travel(at + timedelta(seconds=LEASE_SECONDS + 2)):
        assert send() == 1
        assert states(campaign) == {"Alice": "unknown: worker_died", "Bob": "sent"}
        campaign.refresh_from_db()
        assert campaign.state == "sent"
        assert services.resend_unknown(access=shop.access, campaign_id=campaign.pk) == 1
        assert send() == 1
    assert states(campaign) == {"Alice": "sent", "Bob": "sent"}


def test_a_slow_worker_writes_nothing_over_its_successor(shop: Shop, alice: Customer) -> None:
    campaign = prepared(shop)
    run = CampaignRun.objects.get()
    at = now()
    held = claim(merchant_id=shop.merchant.pk, run_id=run.pk, claim_id=run.pk, at=at, most=10)
    end_leases(at=at + timedelta(seconds=LEASE_SECONDS + 1))
    with pytest.raises(beginning.ClaimLost):
        beginning.begin(campaign=campaign, settings=None, claimed=held, claim_id=run.pk, at=at)
    assert states(campaign) == {"Alice": "pending"}


def test_one_that_cannot_be_sent_holds_up_no_other(shop: Shop, foreign_shop: Shop, alice: Customer) -> None:
    broken = launch(foreign_shop, name="Broken")
    Campaign.objects.filter(pk=broken.pk).update(variants=[{"key": "A", "weight": 1, "content": {}}])
    launch(shop)
    assert send() == 1


def test_who_goes_after_it_was_begun_fails_alone(
    shop: Shop, alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: object, begun: list[beginning.Begun]) -> object:
        Customer.objects.filter(pk=alice.pk).update(deleted_at=now())
        return variables(self, begun)

    variables = Composer.variables
    monkeypatch.setattr(Composer, "variables", gone)
    campaign = launch(shop)
    assert send() == 1
    assert states(campaign) == {"Alice": "failed: refused", "Bob": "sent"}


class Provider:
    """A mail server that answers as it is told."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes, self.taken, self.seconds = list(outcomes), 0, 0.0
        self.groups: list[int] = []
        self.subjects: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def open(self) -> None: ...

    def close(self) -> None: ...

    def send(self, messages: list[Outgoing], *, until: float | None = None) -> list[Outcome]:
        self.subjects += [message.rendered.subject for message in messages]
        self.taken += len(messages)
        self.groups.append(len(messages))
        self.meanwhile()
        time.sleep(self.seconds * len(messages))
        return [self.outcomes.pop(0) for _ in messages]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    found = Provider()
    monkeypatch.setattr("marketing.campaigns.sending.sender_for", lambda *_: found)
    return found


def test_who_is_away_is_asked_again_for_a_while(shop: Shop, alice: Customer, provider: Provider) -> None:
    provider.outcomes = [Outcome("retry", error="busy")] * 5
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        campaign = launch(shop)
        send()
        for minutes in (1, 4, 16, 64):
            (message,) = messages_of(campaign.pk)
            assert message.next_attempt_at == now() + timedelta(minutes=minutes)
            assert send() == 0
            clock.move_to(message.next_attempt_at)
            send()
    assert states(campaign) == {"Alice": "failed: gave_up"}
    assert provider.taken == 5


def test_a_second_attempt_gives_no_points_again(shop: Shop, alice: Customer, provider: Provider) -> None:
    create_program(merchant_id=shop.merchant.pk)
    provider.outcomes = [Outcome("retry", error="busy"), Outcome("sent")]
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        launch(shop, incentive_points=50)
        assert send() == 0
        clock.move_to(start + timedelta(minutes=1))
        assert send() == 1
    assert LedgerEntry.objects.filter(type="adjusted").count() == 1


def test_what_is_refused_or_unknown_is_not_sent_again(
    shop: Shop, alice: Customer, bob: Customer, provider: Provider
) -> None:
    provider.outcomes = [
        Outcome("refused", error="550 5.1.1 no such mailbox", suppress=True),
        Outcome("unknown", error="connection lost"),
    ]
    campaign = launch(shop)
    send()
    send()
    assert provider.taken == 2
    assert sorted(states(campaign).values()) == ["failed: refused", "unknown: unknown"]
    # The mailbox that is not there is left out of the next one.
    provider.outcomes = [Outcome("sent", provider_id="1")]
    launch(shop, name="Summer")
    assert send() == 1


def test_a_slow_provider_gets_fewer_at_a_time(
    shop: Shop, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever withdraws is not written to because a group is still on its way."""
    monkeypatch.setattr("marketing.campaigns.sending.GROUP_SECONDS", 0.05)
    for number in range(12):
        person(shop, f"P{number}")
    provider.outcomes = [Outcome("sent")] * 12
    provider.seconds = 0.04
    launch(shop)
    assert send() == 12
    assert provider.groups[0] == 5
    assert set(provider.groups[1:]) == {1}


@pytest.mark.django_db(transaction=True)
def test_who_withdraws_while_the_server_hangs_is_not_written_to(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of a group is asked about anew; nobody's attempts are used up by waiting."""
    monkeypatch.setattr("marketing.campaigns.sending.BEGIN_SECONDS", 0.2)
    people = [person(shop, f"P{number}") for number in range(GROUP_FIRST)]
    campaign = prepared(shop)

    def withdraw() -> None:
        if not sink.received:
            meanwhile(lambda: [say(shop, each, "withdrawn") for each in people])

    with mail_sink(seconds_each=0.3) as sink:
        sink.meanwhile = withdraw
        server = {"EMAIL_BACKEND": SMTP_BACKEND, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": sink.port}
        with override_settings(**server):
            assert send() == 1
    assert len(sink.received) == 1
    assert sorted(states(campaign).values()) == ["sent"] + ["skipped: no_consent"] * (GROUP_FIRST - 1)
    told = CampaignMessage.objects.exclude(begun_at=None)
    assert [(one.state, one.attempts) for one in told] == [("sent", 1)]
    assert not CampaignMessage.objects.filter(state="skipped", attempts__gt=0).exists()


def test_what_was_not_begun_in_time_is_sent_next(shop: Shop, provider: Provider) -> None:
    for name in ("Alice", "Bob", "Carol"):
        person(shop, name)
    provider.outcomes = [Outcome("sent"), NOT_BEGUN, NOT_BEGUN, Outcome("sent"), Outcome("sent")]
    campaign = launch(shop)
    assert send() == 3
    assert set(states(campaign).values()) == {"sent"}
    assert set(CampaignMessage.objects.values_list("attempts", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_a_redis_that_is_emptied_in_the_middle_loses_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> None:
    """The rows say what is to be done: the next round of beat's finds it, and knows what was done before."""
    people = 7
    for number in range(people):
        person(shop, f"P{number}")
    MessagingSettings.objects.create(merchant=shop.merchant, per_second=Decimal(10_000))
    provider.outcomes = [Outcome("sent")] * people
    provider.meanwhile = redis.from_url(settings.REDIS_URL).flushdb
    campaign = launch(shop)
    while (
        states(campaign).keys() != {f"P{n}" for n in range(people)} or "pending" in states(campaign).values()
    ):
        assert run_campaigns() > 0
    assert set(states(campaign).values()) == {"sent"}
    assert provider.taken == people


# --- Over time ----------------------------------------------------------------------------------------------


def test_a_scheduled_campaign_waits_for_its_time(shop: Shop, alice: Customer) -> None:
    at = now() + timedelta(hours=5)
    campaign = launch(shop, send_at=at)
    assert (campaign.state, send()) == ("scheduled", 0)
    with time_machine.travel(at):
        assert send() == 1


def test_a_recurring_campaign_goes_out_again_and_ends(shop: Shop, alice: Customer) -> None:
    with time_machine.travel("2027-01-15T08:00:00Z", tick=False) as clock:
        campaign = launch(
            shop,
            kind="recurring",
            recurrence={"every": "day", "at": "09:00"},
            ends_at=now() + timedelta(days=2),
        )
        assert (campaign.state, send()) == ("scheduled", 0)
        for day, state in ((15, "scheduled"), (16, "sent")):
            clock.move_to(f"2027-01-{day}T09:00:00Z")
            assert send() == 1
            campaign.refresh_from_db()
            assert campaign.state == state
        clock.move_to("2027-01-20T09:00:00Z")
        assert send() == 0
    assert list(CampaignRun.objects.values_list("number", "state")) == [(1, "done"), (2, "done")]


def test_a_campaign_can_be_written_and_never_sent(shop: Shop, alice: Customer) -> None:
    write(shop)
    assert send() == 0
