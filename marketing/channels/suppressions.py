"""Addresses that nothing is sent to any more, of which only a keyed hash is kept."""

import hashlib
import hmac
import uuid
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.conf import settings

from cloudpos.api.errors import BadRequest, NotFound
from cloudpos.tenancy.models import Merchant
from customers.identity import NotAnEmail, NotAPhone, normal_email, normal_phone
from marketing.models_messaging import Channel, Suppression

HASH_BYTES = 16
# What has an address at all.
CHANNELS = (Channel.EMAIL.value, Channel.SMS.value)


class NoSuchAddress(BadRequest):
    code = "invalid_address"


class SuppressionNotFound(NotFound):
    code = "suppression_not_found"
    message = "There is no such suppression"


def suppress(*, merchant_id: uuid.UUID, channel: str, addresses: Iterable[str], reason: str) -> int:
    """Send nothing to these addresses any more. Returns how many of them are new; what is no address is passed over."""
    hashes = set(_hashes(merchant_id, channel, addresses))
    before = Suppression.objects.for_merchant(merchant_id).filter(
        channel=channel, address_hash__in=list(hashes)
    )
    hashes -= {bytes(each) for each in before.values_list("address_hash", flat=True)}
    rows = [
        Suppression(merchant_id=merchant_id, channel=channel, address_hash=each, reason=reason)
        for each in sorted(hashes)
    ]
    # Another process may have been quicker.
    Suppression.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def suppressed(merchant_id: uuid.UUID, channel: str, addresses: Iterable[str]) -> set[str]:
    """Those of the addresses that nothing is sent to. One query."""
    hashes = _hashes(merchant_id, channel, addresses)
    if not hashes:
        return set()
    found = (
        Suppression.objects.for_merchant(merchant_id)
        .filter(channel=channel, address_hash__in=list(hashes))
        .values_list("address_hash", flat=True)
    )
    return {address for each in found for address in hashes[bytes(each)]}


def _hashes(merchant_id: uuid.UUID, channel: str, addresses: Iterable[str]) -> dict[bytes, list[str]]:
    found: dict[bytes, list[str]] = {}
    for address in addresses:
        try:
            key = normal_address(channel, address)
        except NoSuchAddress:
            continue
        found.setdefault(address_hash(merchant_id, channel, key), []).append(address)
    return found


def add_suppression(*, merchant_id: uuid.UUID, channel: str, address: str) -> tuple[Suppression, bool]:
    """By hand: (the suppression, whether it is new). Raises NoSuchAddress."""
    key = normal_address(channel, address, country=_country(merchant_id))
    row, is_new = Suppression.objects.for_merchant(merchant_id).get_or_create(
        merchant_id=merchant_id,
        channel=channel,
        address_hash=address_hash(merchant_id, channel, key),
        defaults={"reason": Suppression.Reason.MANUAL},
    )
    return row, is_new


def delete_suppression(*, merchant_id: uuid.UUID, suppression_id: uuid.UUID) -> None:
    """Send to the address again. Raises SuppressionNotFound."""
    count, _ = Suppression.objects.for_merchant(merchant_id).filter(pk=suppression_id).delete()
    if not count:
        raise SuppressionNotFound()


def suppressions_of(merchant_id: uuid.UUID, *, channel: str | None = None, address: str | None = None) -> Any:
    """The rows; with an address those of it alone. Raises NoSuchAddress."""
    rows = Suppression.objects.for_merchant(merchant_id)
    if channel:
        rows = rows.filter(channel=channel)
    if address:
        hashes = []
        for each in (channel,) if channel in CHANNELS else CHANNELS:
            try:
                key = normal_address(each, address, country=_country(merchant_id))
            except NoSuchAddress:
                continue
            hashes.append(address_hash(merchant_id, each, key))
        if not hashes:
            raise NoSuchAddress("This is no e-mail address and no phone number.", field="address")
        rows = rows.filter(address_hash__in=hashes)
    return rows


def normal_address(channel: str, address: str, *, country: str = "") -> str:
    """What two spellings of an address have in common. Raises NoSuchAddress."""
    try:
        key = normal_email(address)[1] if channel == Channel.EMAIL else normal_phone(address, country=country)
    except (NotAnEmail, NotAPhone) as wrong:
        raise NoSuchAddress(str(wrong), field="address") from None
    if not key:
        raise NoSuchAddress("An address is missing.", field="address")
    return key


def address_hash(merchant_id: uuid.UUID, channel: str, key: str) -> bytes:
    """With the merchant in it: nobody can tell whether two merchants have the same customer."""
    said = merchant_id.bytes + channel.encode() + b":" + key.encode()
    return hmac.digest(_key(settings.SECRET_KEY), said, hashlib.sha256)[:HASH_BYTES]


@lru_cache(maxsize=4)
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"cloudpos suppressed addresses", hashlib.sha256)


def _country(merchant_id: uuid.UUID) -> str:
    return str(Merchant.objects.values_list("country", flat=True).get(pk=merchant_id))
