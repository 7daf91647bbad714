"""What became of a message, as its reader and its provider tell it: in any order, any number of times."""

import logging
import uuid
from datetime import datetime

from django.db.models import Q
from django.db.models.functions import Coalesce

from cloudpos.api.transactions import use_case
from marketing.models_messages import CampaignClick, CampaignMessage
from marketing.tracking.tokens import Followed

logger = logging.getLogger(__name__)

# Whoever fetches a picture a thousand times has opened it.
CLICKS_PER_MESSAGE_MAX = 50
State = CampaignMessage.State
# From where a report moves a message; anything else it leaves alone.
_BEFORE = {
    State.DELIVERED: (State.SENT, State.UNKNOWN),
    State.BOUNCED: (State.SENT, State.DELIVERED, State.UNKNOWN),
    State.FAILED: (State.SENT, State.UNKNOWN),
}
_TIME_OF = {State.DELIVERED: "delivered_at", State.BOUNCED: "bounced_at"}


@use_case
def note_followed(*, followed: Followed, kind: str, at: datetime) -> bool:
    """A link was followed or the picture fetched. Following counts as opening. Returns whether there is such a message."""
    mine = CampaignMessage.objects.for_merchant(followed.merchant_id).filter(pk=followed.message_id)
    row = mine.values_list("campaign_id", "opened_at", "clicked_at").first()
    if row is None:
        return False
    campaign_id, opened_at, clicked_at = row
    is_click = kind == CampaignClick.Kind.CLICK
    if opened_at is None or (is_click and clicked_at is None):
        times = {"opened_at": Coalesce("opened_at", at)}
        if is_click:
            times["clicked_at"] = Coalesce("clicked_at", at)
        mine.update(**times)
    noted = CampaignClick.objects.for_merchant(followed.merchant_id).filter(message_id=followed.message_id)
    if noted[:CLICKS_PER_MESSAGE_MAX].count() < CLICKS_PER_MESSAGE_MAX:
        CampaignClick.objects.create(
            merchant_id=followed.merchant_id,
            message_id=followed.message_id,
            campaign_id=campaign_id,
            kind=kind,
            link=followed.link,
            occurred_at=at,
        )
    return True


def note_time(*, merchant_id: uuid.UUID, message_id: uuid.UUID, column: str, at: datetime) -> bool:
    """When something first happened: opened_at, clicked_at, unsubscribed_at or complained_at. Returns whether it is new."""
    mine = CampaignMessage.objects.for_merchant(merchant_id).filter(pk=message_id)
    return bool(mine.filter(**{f"{column}__isnull": True}).update(**{column: at}))


def note_state(
    *,
    merchant_id: uuid.UUID,
    message_id: uuid.UUID,
    state: str,
    at: datetime,
    reason: str = "",
    error: str = "",
) -> bool:
    """A provider's report: delivered, bounced or failed. Forwards only. Returns whether it changed anything."""
    mine = CampaignMessage.objects.for_merchant(merchant_id).filter(pk=message_id)
    column = _TIME_OF.get(State(state))
    said: dict[str, object] = {"state": state}
    if column:
        said[column] = at
    if reason:
        said["reason"] = reason[:40]
    if error:
        said["error"] = error[:300]
    changed = mine.filter(state__in=_BEFORE[State(state)]).update(**said)
    if not changed and column:
        # Told sooner than its sender could write that it was sent, which then knows.
        mine.filter(Q(state=State.SENDING) & Q(**{f"{column}__isnull": True})).update(**{column: at})
    return bool(changed)
