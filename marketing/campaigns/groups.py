"""Who is in which group of a campaign: by a hash, so that it is the same in every run and needs no list. Pure."""

import uuid
from collections.abc import Sequence
from hashlib import blake2b

CONTROL = ""
# Finer than any per cent or weight.
_PARTS = 1_000_000


def group_of(
    *,
    campaign_id: uuid.UUID,
    customer_id: uuid.UUID,
    control_percent: int,
    weights: Sequence[tuple[str, int]],
) -> str:
    """CONTROL, or the key of the variant; `weights` are (key, weight) in the order of the campaign's variants, of at least one.

    Two hashes: whoever changes the size of the control group does not shift the variants.
    """
    if _point(campaign_id, customer_id, b"control") < control_percent * _PARTS // 100:
        return CONTROL
    left = _point(campaign_id, customer_id, b"variant") * sum(weight for _, weight in weights)
    for key, weight in weights:
        left -= weight * _PARTS
        if left < 0:
            return key
    raise AssertionError("the weights add up to nothing")


def _point(campaign_id: uuid.UUID, customer_id: uuid.UUID, what: bytes) -> int:
    """0 to _PARTS - 1, evenly spread."""
    digest = blake2b(campaign_id.bytes + customer_id.bytes, digest_size=8, person=what).digest()
    return int.from_bytes(digest) % _PARTS
