"""Rewards that come with a campaign: a voucher for each recipient, once, however often the message is tried."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.utils.timezone import now

from customers.models import Customer
from loyalty.models import Program, Reward, Voucher
from loyalty.services import create_program
from loyalty.services.rewards import archive_reward, create_reward
from loyalty.services.vouchers import shown_code, use_voucher
from marketing.campaigns import beginning, previews, results
from marketing.campaigns.claiming import LEASE_SECONDS, claim, end_leases
from marketing.channels import Outcome
from marketing.models import Campaign, CampaignMessage, CampaignRun
from tests.fixtures import Shop
from tests.marketing.campaigns.conftest import launch, person, say, send, states, write
from tests.marketing.campaigns.test_sending import Provider, prepared, provider

__all__ = ["provider"]
pytestmark = pytest.mark.django_db

TEXT = "{{ reward.name }}: {{ reward.code }} until {{ reward.expires_on | date: '%d %B %Y' }}"
VARIANTS = [{"content": {"subject": TEXT, "html": "<p>Hello</p>"}}]


@pytest.fixture
def program(shop: Shop) -> Program:
    return create_program(merchant_id=shop.merchant.pk)


def offer(shop: Shop, **more: Any) -> Reward:
    values = {"name": "Five off", "kind": "fixed", "value": Decimal("5.00"), "points": 500, **more}
    return create_reward(merchant_id=shop.merchant.pk, values=values)


def giving(shop: Shop, reward: Reward, **more: Any) -> Campaign:
    return launch(shop, variants=VARIANTS, incentive_reward_id=reward.pk, **more)


def test_each_recipient_gets_a_voucher_of_their_own(
    shop: Shop, program: Program, alice: Customer, bob: Customer
) -> None:
    reward = offer(shop)
    with time_machine.travel("2027-01-15T23:30:00Z", tick=False):
        campaign = giving(shop, reward, incentive_days=10)
        assert send() == 2
    vouchers = {voucher.customer_id: voucher for voucher in Voucher.objects.all()}
    assert {one.to[0]: one.subject for one in mail.outbox} == {
        each.email: f"Five off: {shown_code(vouchers[each.pk].code)} until 25 January 2027"
        for each in (alice, bob)
    }
    assert {f"{voucher.expires_at:%Y-%m-%d %H:%M}" for voucher in vouchers.values()} == {"2027-01-26 00:00"}
    reward.refresh_from_db()
    alice.refresh_from_db()
    assert (reward.taken, alice.points) == (2, 0)
    with time_machine.travel("2027-01-16T12:00:00Z", tick=False):
        use_voucher(access=shop.access, code=vouchers[alice.pk].code, transaction_id="S-1")
        found = results.results_of(
            merchant_id=shop.merchant.pk, campaign_id=campaign.pk, zone=shop.merchant.tz, at=now()
        )
    given = found.given
    assert (given.messages, given.points, given.vouchers, given.used, str(given.discount)) == (
        2, 0, 2, 1, "5.00",
    )  # fmt: skip


def test_a_second_attempt_speaks_of_the_same_voucher(
    shop: Shop, program: Program, alice: Customer, provider: Provider
) -> None:
    provider.outcomes = [Outcome("retry", error="busy"), Outcome("sent")]
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        giving(shop, offer(shop))
        assert send() == 0
        clock.move_to(start + timedelta(minutes=1))
        assert send() == 1
    voucher = Voucher.objects.get()
    assert provider.subjects == [provider.subjects[0]] * 2
    assert shown_code(voucher.code) in provider.subjects[0]


def test_a_worker_dies_between_the_voucher_and_the_mail(
    shop: Shop, program: Program, alice: Customer
) -> None:
    """Begun and given in one transaction: sent again by hand, it is the same voucher."""
    reward = offer(shop, stock=1)
    campaign = prepared(shop, variants=VARIANTS, incentive_reward_id=reward.pk)
    run, at = CampaignRun.objects.get(), now()
    held = claim(merchant_id=shop.merchant.pk, run_id=run.pk, claim_id=run.pk, at=at, most=10)
    assert beginning.begin(campaign=campaign, settings=None, claimed=held, claim_id=run.pk, at=at)
    with time_machine.travel(at + timedelta(seconds=LEASE_SECONDS + 1)):
        assert end_leases(at=now()) == 1
        assert states(campaign) == {"Alice": "unknown: worker_died"}
        CampaignMessage.objects.update(state="pending", next_attempt_at=now(), claim=None)
        assert send() == 1
    assert shown_code(Voucher.objects.get().code) in mail.outbox[0].subject
    reward.refresh_from_db()
    assert reward.taken == 1


def test_nothing_is_given_where_the_beginning_fails(shop: Shop, program: Program, alice: Customer) -> None:
    reward = offer(shop)
    campaign = prepared(shop, variants=VARIANTS, incentive_reward_id=reward.pk)
    run, at = CampaignRun.objects.get(), now()
    held = claim(merchant_id=shop.merchant.pk, run_id=run.pk, claim_id=run.pk, at=at, most=10)
    end_leases(at=at + timedelta(seconds=LEASE_SECONDS + 1))
    with pytest.raises(beginning.ClaimLost):
        beginning.begin(campaign=campaign, settings=None, claimed=held, claim_id=run.pk, at=at)
    reward.refresh_from_db()
    assert (Voucher.objects.count(), reward.taken) == (0, 0)


def test_one_is_left_for_two(shop: Shop, program: Program, alice: Customer, bob: Customer) -> None:
    """Who comes too late gets no mail: it would speak of what they cannot have."""
    campaign = giving(shop, offer(shop, stock=1))
    assert send() == 1
    assert sorted(states(campaign).values()) == ["sent", "skipped: reward_out_of_stock"]
    assert (Voucher.objects.count(), len(mail.outbox)) == (1, 1)
    assert Voucher.objects.get().customer.email == mail.outbox[0].to[0]


def test_the_limits_of_the_reward_hold_over_campaigns(shop: Shop, program: Program, alice: Customer) -> None:
    reward = offer(shop, limit_per_member=1)
    giving(shop, reward)
    assert send() == 1
    second = giving(shop, reward, name="Summer")
    assert send() == 0
    assert states(second) == {"Alice": "skipped: reward_limit_reached"}


def test_who_withdraws_gets_neither(shop: Shop, program: Program, alice: Customer) -> None:
    prepared(shop, variants=VARIANTS, incentive_reward_id=offer(shop).pk)
    say(shop, alice, "withdrawn")
    assert (send(), Voucher.objects.count()) == (0, 0)


def refused(response: Any) -> tuple[int, str, list[str]]:
    body = response.json()
    return response.status_code, body["code"], [error["field"] for error in body["errors"]]


def test_what_cannot_be_given_is_refused(shop: Shop, foreign_shop: Shop, program: Program) -> None:
    reward, theirs = offer(shop), offer(foreign_shop)
    body = {"name": "Spring", "variants": VARIANTS}
    made = shop.manager.post("/campaigns", {**body, "incentiveRewardId": str(reward.pk), "incentiveDays": 5})
    found = made.json()["data"]
    assert (found["incentiveRewardId"], found["incentiveDays"]) == (str(reward.pk), 5)
    field = ["incentiveRewardId"]
    for wrong in (
        {"incentiveRewardId": str(theirs.pk)},
        {"incentiveRewardId": str(reward.pk), "incentivePoints": 5},
    ):
        assert refused(shop.manager.post("/campaigns", {**body, **wrong})) == (400, "invalid_campaign", field)
    empty = write(shop, variants=VARIANTS)
    archive_reward(merchant_id=shop.merchant.pk, reward_id=reward.pk)
    for each in (found["id"], empty.pk):
        answer = shop.manager.post(f"/campaigns/{each}/schedule")
        assert refused(answer) == (409, "campaign_not_ready", field)


def test_a_preview_shows_a_code_that_nobody_has(shop: Shop, program: Program) -> None:
    person(shop, "Alice")
    campaign = write(shop, variants=VARIANTS, incentive_reward_id=offer(shop).pk)
    with time_machine.travel("2027-01-15T12:00:00Z", tick=False):
        shown = previews.preview(campaign=campaign)
    assert shown["subject"] == "Five off: ABCDE-12345 until 14 February 2027"
    assert Voucher.objects.count() == 0
