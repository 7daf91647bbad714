"""Holds, rewards and redemptions."""

import uuid

from django.http import HttpResponse
from rest_framework.request import Request

from cloudpos.api import envelope
from cloudpos.api.etags import etag, expected_version
from cloudpos.api.query import NoParameters
from cloudpos.api.schema import Output, Paged, once
from cloudpos.api.views import ApiView
from cloudpos.tenancy.roles import Role
from loyalty import reading_rewards as reading
from loyalty.models import Reward
from loyalty.serializers_rewards import (
    CAPTURE,
    HOLD,
    OFFERS,
    OPEN_HOLD,
    REDEMPTION,
    REWARD,
    REWARDS,
    CaptureInput,
    HoldFilters,
    HoldInput,
    RewardFilters,
    RewardInput,
    RewardRedeemInput,
)
from loyalty.services.holds import capture_hold, hold_points, release_hold
from loyalty.services.redemptions import cancel_redemption, redeem_reward
from loyalty.services.rewards import archive_reward, create_reward, update_reward
from loyalty.services.stock import find_reward


class HoldsView(ApiView):
    """Points reserved while a sale is closed: for redemptions, other holds and offers they are spent already."""

    roles = {"get": Role.CASHIER, "post": Role.CASHIER}
    inputs = {"post": HoldInput}
    outputs = {
        "get": Paged("holds", OPEN_HOLD),
        "post": once(HOLD, "The same request again: the hold as it is by now."),
    }
    filters = {"get": HoldFilters}
    summaries = {
        "get": "A customer's open holds, the first to lapse first",
        "post": "Hold points or a reward, once per store and transactionId",
    }

    def get(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        filters = HoldFilters(self.request)
        rows = reading.open_holds_of(access=self.request.access, customer_id=customer_id)
        return filters.respond("holds", OPEN_HOLD, rows, total=rows.count)

    def post(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        answer = hold_points(access=self.request.access, customer_id=customer_id, **self.input(HoldInput))
        described = reading.describe_hold(answer.hold)
        location = f"/api/v1/loyalty/holds/{answer.hold.pk}"
        return envelope.once(described, location, is_new=answer.is_new)


class HoldView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": HOLD}
    filters = {"get": NoParameters}
    summaries = {"get": "Read a hold"}

    def get(self, request: Request, hold_id: uuid.UUID) -> HttpResponse:
        NoParameters(self.request)
        return envelope.success(reading.hold_of(access=self.request.access, hold_id=hold_id))


class HoldCaptureView(ApiView):
    """With an Idempotency-Key a repeated request gets the first answer; without, 409 `hold_closed`."""

    roles = {"post": Role.CASHIER}
    inputs = {"post": CaptureInput}
    outputs = {"post": CAPTURE}
    summaries = {"post": "Redeem what is held, or a part of it"}

    def post(self, request: Request, hold_id: uuid.UUID) -> HttpResponse:
        capture = capture_hold(access=self.request.access, hold_id=hold_id, **self.input(CaptureInput))
        return envelope.success(
            {
                "hold": reading.describe_hold(capture.hold),
                "redemption": reading.describe_redemption(capture),
            },
            "Redeemed",
        )


class HoldReleaseView(ApiView):
    roles = {"post": Role.CASHIER}
    outputs = {"post": HOLD}
    summaries = {"post": "Let go of what is held"}

    def post(self, request: Request, hold_id: uuid.UUID) -> HttpResponse:
        hold = release_hold(access=self.request.access, hold_id=hold_id)
        return envelope.success(reading.describe_hold(hold), "Released")


class RewardsView(ApiView):
    roles = {"get": Role.CASHIER, "post": Role.MANAGER}
    inputs = {"post": RewardInput}
    outputs = {"get": REWARDS, "post": Output(REWARD, status=201, etag=True)}
    filters = {"get": RewardFilters}
    summaries = {"get": "The catalogue of rewards, cheapest first", "post": "Add a reward"}

    def get(self, request: Request) -> HttpResponse:
        filters = RewardFilters(self.request)
        rewards = reading.catalogue_shown(access=self.request.access, kinds=filters.values.get("kind", ()))
        return envelope.success({"rewards": rewards})

    def post(self, request: Request) -> HttpResponse:
        reward = create_reward(merchant_id=self.request.access.merchant_id, values=self.input(RewardInput))
        return envelope.created(
            reading.describe_reward(reward, lapsed=0),
            f"/api/v1/loyalty/rewards/{reward.pk}",
            headers={"ETag": etag(reward.version)},
        )


class RewardView(ApiView):
    roles = {"get": Role.CASHIER, "patch": Role.MANAGER, "delete": Role.MANAGER}
    inputs = {"patch": RewardInput}
    outputs = {"get": Output(REWARD, etag=True), "patch": Output(REWARD, etag=True), "delete": None}
    filters = {"get": NoParameters}
    summaries = {
        "get": "Read a reward, also an archived one",
        "patch": "Change a reward; what was redeemed stays as it was",
        "delete": "Archive a reward",
    }

    def get(self, request: Request, reward_id: uuid.UUID) -> HttpResponse:
        NoParameters(self.request)
        reward = find_reward(merchant_id=self.request.access.merchant_id, reward_id=reward_id)
        return self._shown(reward)

    def patch(self, request: Request, reward_id: uuid.UUID) -> HttpResponse:
        reward = update_reward(
            merchant_id=self.request.access.merchant_id,
            reward_id=reward_id,
            changes=self.input(RewardInput, partial=True),
            expected_version=expected_version(self.request),
        )
        return self._shown(reward, "Reward changed")

    def delete(self, request: Request, reward_id: uuid.UUID) -> HttpResponse:
        archive_reward(
            merchant_id=self.request.access.merchant_id,
            reward_id=reward_id,
            expected_version=expected_version(self.request),
        )
        return envelope.success(None, "Reward archived")

    def _shown(self, reward: Reward, message: str = "") -> HttpResponse:
        return envelope.success(
            reading.describe_reward(reward), message, headers={"ETag": etag(reward.version)}
        )


class OffersView(ApiView):
    roles = {"get": Role.CASHIER}
    outputs = {"get": OFFERS}
    filters = {"get": NoParameters}
    summaries = {"get": "Which rewards a customer can have now, and why not the others"}

    def get(self, request: Request, customer_id: uuid.UUID) -> HttpResponse:
        NoParameters(self.request)
        found = reading.offers(access=self.request.access, customer_id=customer_id)
        return envelope.success({"rewards": found})


class RewardRedeemView(ApiView):
    roles = {"post": Role.CASHIER}
    inputs = {"post": RewardRedeemInput}
    outputs = {"post": once(REDEMPTION, "The same request again.")}
    summaries = {"post": "Redeem a reward, once per store and transactionId"}

    def post(self, request: Request, customer_id: uuid.UUID, reward_id: uuid.UUID) -> HttpResponse:
        answer = redeem_reward(
            access=self.request.access,
            customer_id=customer_id,
            reward_id=reward_id,
            **self.input(RewardRedeemInput),
        )
        described = reading.describe_redemption(answer)
        location = f"/api/v1/customers/{customer_id}/loyalty/transactions"
        return envelope.once(described, location, is_new=answer.is_new)


class RedemptionCancelView(ApiView):
    roles = {"post": Role.CASHIER}
    outputs = {"post": REDEMPTION}
    summaries = {"post": "Cancel a redemption: its points go back into their own lots, its reward into stock"}

    def post(self, request: Request, redemption_id: uuid.UUID) -> HttpResponse:
        answer = cancel_redemption(access=self.request.access, redemption_id=redemption_id)
        return envelope.success(reading.describe_redemption(answer), "Redemption cancelled")
