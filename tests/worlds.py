"""One of everything for a merchant, made through the API as its people would."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils.timezone import now

from cloudpos.jobs.models import Job
from cloudpos.jobs.running import run_here
from customers.models import Customer, Event
from loyalty.models import Voucher
from loyalty.services import active_program, create_program
from loyalty.services.vouchers import give_voucher
from tests.fixtures import Shop, make_shop
from tests.routes import World


@pytest.fixture(scope="module")
def kept(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """What fixtures of a module write after this stays for all of its tests: for what takes longer to make than to look at.

    Each test takes back what it writes, as ever: its transaction is a savepoint of this one. Other connections do not see what
    is kept, so a test that commits cannot be in such a module.
    """
    for item in request.session.items:
        if item.path == request.path:
            mark = item.get_closest_marker("django_db")
            assert mark and not mark.kwargs.get("transaction"), (
                f"{item.nodeid} would not take back what it writes"
            )
    block: Any = transaction.atomic()
    # As Django's own test case says: use cases begin in it.
    block._from_testcase = True
    with django_db_blocker.unblock(), block:
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def kept_world(kept: None) -> tuple[Shop, World]:
    shop = make_shop("Corner Shop")
    return shop, make_world(shop, "Ourscorner")


def make_world(shop: Shop, word: str) -> World:
    """A merchant's objects. `word` is in every text of them: bytes that must not appear elsewhere."""
    if active_program(shop.merchant.pk) is None:
        create_program(merchant_id=shop.merchant.pk, name=f"{word} club")
    digits = f"{int.from_bytes(word.encode()[:4]) % 10**7:07d}"
    email = f"{word.lower()}@{word.lower()}.example"
    phone = f"+44207{digits}"
    customer = _made(
        shop.manager.post(
            "/customers",
            {
                "firstName": word,
                "lastName": f"{word}son",
                "email": email,
                "phone": phone,
                "dateOfBirth": "1990-02-03",
                "notes": f"{word} note",
                "tags": [f"{word}-tag"],
                "metadata": {"secret": word},
                "address": {"street1": f"{word} street", "city": f"{word}ton", "country": "GB"},
                "preferences": {"email": {"marketing": True}},
            },
        )
    )
    # Of one birth date and place: a pair for the search of duplicates.
    other, merged = (
        _made(
            shop.manager.post(
                "/customers",
                {
                    "firstName": word,
                    "lastName": f"{word}son",
                    "dateOfBirth": "1990-02-03",
                    "address": {"street1": f"{word} lane", "city": f"{word}ton", "country": "GB"},
                },
            )
        )
        for _ in range(2)
    )
    customer_id = uuid.UUID(customer["id"])
    transaction = f"{word}-T-1"
    sale = _made(
        shop.cashier.post(
            "/purchases",
            {
                "customerId": str(customer_id),
                "transactionId": transaction,
                "amount": "100.00",
                "items": [{"sku": f"{word}-1", "name": f"{word} lamp", "quantity": 2, "unitPrice": "50.00"}],
            },
        )
    )
    back = {"transactionId": f"{word}-R-1", "amount": "5.00", "reason": f"{word} broke"}
    _made(shop.cashier.post(f"/purchases/{transaction}/returns", back))
    gift = {"name": f"{word} gift", "kind": "free_item", "sku": f"{word}-gift", "points": 5}
    reward = _made(shop.manager.post("/loyalty/rewards", gift))
    redeemed = _made(
        shop.cashier.post(
            f"/customers/{customer_id}/loyalty/rewards/{reward['id']}/redeem",
            {"transactionId": f"{word}-G-1"},
        )
    )
    given = _given(customer_id, uuid.UUID(reward["id"]))
    doubled = {"name": f"{word} doubled", "kind": "multiplier", "multiplier": "2", "weekdays": [2]}
    promotion = _made(shop.manager.post("/loyalty/promotions", doubled))
    _made(
        shop.manager.post(
            f"/customers/{customer_id}/loyalty/tier-override",
            {"tier": "bronze", "reason": f"{word} complained"},
        )
    )
    reserved = {"transactionId": f"{word}-H-1", "points": 5}
    hold = _made(shop.cashier.post(f"/customers/{customer_id}/loyalty/holds", reserved))
    event_id = f"{word}-event"
    happened = {"type": "page.viewed", "eventId": event_id, "data": {"page": f"{word} page"}}
    _made(shop.cashier.post(f"/customers/{customer_id}/events", happened))
    hook = {"url": f"http://127.0.0.1:9/{word}", "eventTypes": ["*"], "description": f"{word} hook"}
    webhook = _made(shop.manager.post("/webhooks", hook))["webhook"]
    described = {"type": f"{word.lower()}.seen", "description": f"{word} says so"}
    event_type = _made(shop.manager.post("/events/types", described))
    tested = shop.manager.post(f"/webhooks/{webhook['id']}/test").json()["data"]
    chosen = {"name": f"{word} friends", "kind": "list", "description": f"{word} likes them"}
    segment = _made(shop.manager.post("/segments", chosen))
    _made(shop.manager.post(f"/segments/{segment['id']}/members", {"customerIds": [str(customer_id)]}))
    suppressed = {"channel": "email", "address": f"gone@{word.lower()}.example"}
    suppression = _made(shop.manager.post("/suppressions", suppressed))
    said = {"subject": f"{word} news", "html": f"<p>{word} sells</p>"}
    written = {
        "name": f"{word} campaign",
        "variants": [{"content": said}],
        "includeSegments": [segment["id"]],
    }
    campaign = _made(shop.manager.post("/campaigns", written))
    merge = _made(shop.manager.post(f"/customers/{customer_id}/merge", {"sourceId": merged["id"]}))
    upload = _uploaded(shop, f"{word}.csv", f"E-mail,Notes\r\n{email},{word} note\r\n")
    imported = _uploaded(shop, f"{word}-2.csv", f"E-mail,Notes\r\n{email},{word} note\r\n,{word} nobody\r\n")
    for step in ("check", "run"):
        waiting = _made(shop.manager.post(f"/imports/{imported}/{step}"))
        run_here(uuid.UUID(waiting["id"]))
    wanted = {"kind": "customers", "filters": {"query": word}}
    exported = _made(shop.manager.post("/exports", wanted))
    run_here(uuid.UUID(exported["jobId"]))
    asked = {"mode": "incremental", "secret": f"{word} job"}
    job = Job(merchant=shop.merchant, kind="analytics.recalculate", key=word, parameters=asked)
    job.save()
    assert Event.objects.for_merchant(shop.merchant).exists()
    addresses = shop.manager.get(f"/customers/{customer_id}/addresses").json()["data"]["addresses"]
    return World(
        store=shop.store.pk,
        customer=customer_id,
        other_customer=uuid.UUID(other["id"]),
        address=uuid.UUID(addresses[0]["id"]),
        merge=uuid.UUID(merge["mergeId"]),
        webhook=uuid.UUID(webhook["id"]),
        purchase=uuid.UUID(sale["purchase"]["id"]),
        hold=uuid.UUID(hold["id"]),
        reward=uuid.UUID(reward["id"]),
        redemption=uuid.UUID(redeemed["id"]),
        voucher=given.pk,
        voucher_code=given.code,
        promotion=uuid.UUID(promotion["id"]),
        job=job.pk,
        delivery=uuid.UUID(tested["id"]),
        event_type=uuid.UUID(event_type["id"]),
        segment=uuid.UUID(segment["id"]),
        suppression=uuid.UUID(suppression["id"]),
        campaign=uuid.UUID(campaign["id"]),
        imported=imported,
        upload=upload,
        exported=uuid.UUID(exported["id"]),
        transaction=transaction,
        customer_number=customer["customerNumber"],
        phone=phone,
        email=email,
        event_id=event_id,
    )


def _given(customer_id: uuid.UUID, reward_id: uuid.UUID) -> Voucher:
    """A voucher, as a campaign gives it."""
    at = now()
    with transaction.atomic():
        return give_voucher(
            customer=Customer.objects.select_for_update(no_key=True).get(pk=customer_id),
            reward_id=reward_id,
            cause="tests",
            expires_at=at + timedelta(days=30),
            at=at,
        )


def _uploaded(shop: Shop, name: str, text: str) -> uuid.UUID:
    """An import whose file is here."""
    begun = _made(shop.manager.post("/imports", {"fileName": name}))
    path = f"/imports/{begun['id']}"
    _made(shop.manager.put(f"{path}/parts/0", text.encode(), "application/octet-stream"))
    _made(shop.manager.post(f"{path}/uploaded"))
    return uuid.UUID(begun["id"])


def _made(response: Any) -> dict[str, Any]:
    assert response.status_code in (200, 201, 202), response.content
    data: dict[str, Any] = response.json()["data"]
    return data
