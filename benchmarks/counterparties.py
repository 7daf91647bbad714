"""Who asks: merchants of the population, with samples of their customers; and single requests of theirs, checked."""

import contextlib
import http.client
import json

from benchmarks import load
from benchmarks.scenarios import Counterparty, Scenario, any_page

SAMPLE_ROWS = 5_000
CURSORS = 30


def counterparties() -> list[Counterparty]:
    """The largest and the smallest merchant of the population, with samples of their customers."""
    from cloudpos.tenancy.models import Membership

    ranked = []
    for membership in Membership.objects.filter(merchant__slug__startswith="benchmark-").select_related(
        "merchant"
    ):
        store_id = membership.store_id
        ranked.append((membership.merchant.slug, membership.merchant_id, store_id, membership.user_id))
    ranked.sort()
    found = []
    for label, (_, merchant_id, store_id, user_id) in (("largest", ranked[0]), ("smallest", ranked[-1])):
        at = Counterparty(label, merchant_id, store_id, user_id, 0)
        sample(at)
        found.append(at)
    return found


def sample(at: Counterparty) -> None:
    from customers.models import Customer

    own = Customer.objects.for_merchant(at.merchant_id).visible()
    at.customers = own.count()
    rows = list(own.values_list("id", "first_name", "last_name", "phone", "tier")[: 20 * SAMPLE_ROWS])
    rows = at.chance.sample(rows, min(SAMPLE_ROWS, len(rows)))
    at.customer_ids = [str(row[0]) for row in rows]
    at.names = [word for row in rows for word in row[1:3] if len(word) >= 3]
    at.phones = [row[3] for row in rows if row[3]]
    at.tiers = sorted({row[4] for row in rows if row[4]})


def headers(at: Counterparty) -> bytes:
    """Fresh: an access token lives for minutes, a run may last longer."""
    from cloudpos.tenancy.tokens import mint_access_token

    token = mint_access_token(user_id=at.user_id)
    return f"Authorization: Bearer {token}\r\nX-Store-Id: {at.store_id}\r\n".encode()


def ask(port: int, at: Counterparty, call: load.Call) -> tuple[int, bytes]:
    lines = dict(line.split(": ", 1) for line in headers(at).decode().strip().split("\r\n"))
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(
            call.method, call.path, call.body or None, lines | {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, answer.read()


def collect_cursors(port: int, at: Counterparty) -> None:
    """Positions of the list, as the list itself gives them. The last page has none after it."""
    found = []
    for _ in range(CURSORS):
        status, body = ask(port, at, load.Call("GET", f"/api/v1/customers?page={any_page(at)}"))
        if status != http.client.OK:
            raise SystemExit(f"a page of the list answered {status}: {body[:300]!r}")
        found.append(json.loads(body)["data"]["nextCursor"])
    at.cursors = [cursor for cursor in found if cursor]


def refuse_wrong_answers(port: int, scenario: Scenario, at: Counterparty) -> None:
    """A benchmark of errors or of empty pages would measure nothing."""
    call = scenario.calls(at)()
    status, body = ask(port, at, call)
    if status != scenario.expected:
        raise SystemExit(f"{scenario.name}: {call.method} {call.path} answered {status}: {body[:500]!r}")
    if scenario.rows and not json.loads(body)["data"][scenario.rows]:
        raise SystemExit(f"{scenario.name}: {call.path} found nobody")
