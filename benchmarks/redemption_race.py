"""Two hundred redemptions of 10 points at once on an account of 1,000, over and over, through gunicorn and PostgreSQL.

    python -m benchmarks.redemption_race --rounds 20

makes a merchant of its own in DATABASE_URL, starts the server on a free port of the loopback interface, and ends with 1 unless in
every round exactly 100 succeed, the others are refused with 409, the balance is 0 and the ledger is sound.
"""

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.server import Server

POINTS_GIVEN = 1_000
POINTS_REDEEMED = 10
REDEMPTIONS = 200
CONNECTIONS = 50


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpos.settings")
    import django

    django.setup()
    headers, merchant_id = _merchant()
    environment = {**os.environ, "RATE_LIMIT_USER": str(10**9)}
    wrong = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(path="/health", log=Path(folder) / "web.log", environment=environment) as server,
    ):
        for number in range(1, options.rounds + 1):
            wrong += not _round(server.port, headers, number)
    from django.db import connection

    from loyalty.verification import verify

    with connection.cursor() as cursor:
        # A database with much in it takes longer than any request may.
        cursor.execute("SET statement_timeout = 0")
    findings = [found.says for _, found in verify(merchant_id=merchant_id) if found is not None]
    print(f"{options.rounds - wrong} of {options.rounds} rounds exact; verify_ledger: {findings or 'sound'}")
    return 1 if wrong or findings else 0


def _merchant() -> tuple[dict[str, str], uuid.UUID]:
    """The headers of an owner of a new merchant with a program, and its id."""
    from cloudpos.tenancy.models import Membership, Merchant, Role, Store, User
    from cloudpos.tenancy.tokens import mint_access_token
    from loyalty.services import create_program

    slug = f"race-{uuid.uuid4().hex[:12]}"
    merchant = Merchant.objects.create(name="Race", slug=slug)
    store = Store.objects.create(merchant=merchant, name="Race", code="RACE")
    owner = User.objects.create_user(f"owner@{slug}.example", name="Owner")
    Membership.objects.create(merchant=merchant, user=owner, role=Role.OWNER)
    create_program(merchant_id=merchant.pk)
    headers = {
        "Authorization": f"Bearer {mint_access_token(user_id=owner.pk)}",
        "X-Store-Id": str(store.pk),
        "Content-Type": "application/json",
    }
    return headers, merchant.pk


def _round(port: int, headers: dict[str, str], number: int) -> bool:
    customer = _ask(port, headers, "POST", "/customers", {"firstName": f"Alice {number}"})["data"]["id"]
    points = {"customerId": customer, "type": "earned", "points": POINTS_GIVEN}
    _ask(port, headers, "POST", "/customers/loyalty/points", points)
    statuses: Counter[int] = Counter()
    lock, start = threading.Lock(), threading.Barrier(CONNECTIONS)

    def till(which: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        start.wait()
        for step in range(REDEMPTIONS // CONNECTIONS):
            body = {
                "customerId": customer,
                "type": "redeemed",
                "points": POINTS_REDEEMED,
                "transactionId": f"R-{number}-{which}-{step}",
            }
            connection.request("POST", "/api/v1/customers/loyalty/points", json.dumps(body), headers)
            response = connection.getresponse()
            response.read()
            with lock:
                statuses[response.status] += 1
        connection.close()

    tills = [threading.Thread(target=till, args=(which,)) for which in range(CONNECTIONS)]
    started = time.monotonic()
    for each in tills:
        each.start()
    for each in tills:
        each.join()
    seconds = time.monotonic() - started
    balance = _ask(port, headers, "GET", f"/customers/{customer}/loyalty")["data"]["balance"]
    print(
        f"round {number:>2}: {dict(sorted(statuses.items()))}, balance {balance}, {seconds:.2f} s", flush=True
    )
    expected = POINTS_GIVEN // POINTS_REDEEMED
    return statuses == {201: expected, 409: REDEMPTIONS - expected} and balance == 0


def _ask(
    port: int, headers: dict[str, str], method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, f"/api/v1{path}", json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    found: dict[str, Any] = json.loads(response.read())
    connection.close()
    if response.status >= 400:
        raise SystemExit(f"{method} {path}: {response.status} {found}")
    return found


if __name__ == "__main__":
    sys.exit(main())
