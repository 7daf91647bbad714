"""The benchmark asks what exists, is answered as it expects, and counts every answer."""

import http.server
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from benchmarks import load, population, report
from benchmarks.counterparties import counterparties, headers, sample
from benchmarks.load import Call
from benchmarks.report import Measured
from benchmarks.scenarios import SCENARIOS, Counterparty, Scenario


def test_merchants_sizes() -> None:
    counts = population.sizes(100_000)
    assert (len(counts), sum(counts), counts[-1]) == (50, 100_000, 200)
    assert counts == sorted(counts, reverse=True)
    assert 0.45 < counts[0] / sum(counts) < 0.55
    assert sum(population.sizes(1_000_000)) == 1_000_000
    assert population.sizes(1_000) == [800, 200]


@pytest.fixture
def merchant(db: None) -> Counterparty:
    """A merchant with 30 customers who bought, made the way the benchmark makes them."""
    (access,) = population.merchants(1)
    assert population.load_people([access], [30], random.Random(1)) == 30
    assert population.load_sales([access], [30], 60, random.Random(1)) == 60
    found = Counterparty("tests", access.merchant_id, access.store_id, access.user_id, 0)
    sample(found)
    return found


def ask(at: Counterparty, call: Call) -> tuple[int, dict]:
    lines = dict(line.split(": ", 1) for line in headers(at).decode().strip().split("\r\n"))
    answer = Client(headers=lines).generic(call.method, call.path, call.body, "application/json")
    return answer.status_code, answer.json()


@pytest.mark.urls("benchmarks.urls")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_is_answered_as_it_expects(scenario: Scenario, merchant: Counterparty) -> None:
    if scenario.name == "cursor":
        _, first = ask(merchant, Call("GET", "/api/v1/customers?limit=20"))
        merchant.cursors = [first["data"]["nextCursor"]]
    next_call = scenario.calls(merchant)
    for _ in range(3):
        status, body = ask(merchant, next_call())
        assert status == scenario.expected, body
        if scenario.rows:
            assert body["data"][scenario.rows]


def test_the_largest_and_the_smallest_merchant_are_found(db: None) -> None:
    found = population.merchants(3)
    population.load_people(found, [30, 20, 10], random.Random(1))
    assert [(at.label, at.customers) for at in counterparties()] == [("largest", 30), ("smallest", 10)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/broken":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
            self.close_connection = True
            return
        self.send_response(500 if self.path == "/error" else 200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
        else:
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "errors"), [("/length", False), ("/chunks", False), ("/error", True), ("/broken", True)]
)
def test_every_answer_is_counted(port: int, path: str, errors: bool) -> None:
    sent = []

    def next_request() -> bytes:
        sent.append(path)
        return load.prepared(Call("GET", path), b"")

    result = load.run(port=port, next_request=next_request, seconds=0.3, connections=2)
    # Each of the two connections prepares one request that it does not send any more.
    assert 0 <= len(sent) - len(result.latencies) - result.broken <= 2
    assert result.latencies or result.broken
    assert result.errors(expected=200) == (len(result.latencies) + result.broken if errors else 0)


def test_a_missed_goal_is_said() -> None:
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == "list")
    measured = Measured(scenario, "largest (10)")
    measured.total.statuses.update({200: 9, 500: 1})
    measured.total.latencies = [0.010] * 8 + [0.070] * 2
    measured.shares = [0.29, 0.10, 0.31]
    assert measured.misses == [
        "1 errors {200: 9, 500: 1}",
        "share below 0.30",
        "p99 above 60 ms",
    ]
    measured.shares, measured.total.latencies = [0.31, 0.30, 0.29], [0.010] * 10
    measured.total.statuses.clear()
    assert measured.misses == []


def test_the_table_replaces_what_stood_between_the_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(report.table([["Get", "largest", "7"]], ["", "Merchant", "req/s"]), readme)
    assert readme.read_text() == (
        f"before\n{report.BEGIN}\n\n"
        "|     | Merchant | req/s |\n"
        "|-----|----------|------:|\n"
        "| Get | largest  |     7 |\n\n"
        f"{report.END}\nafter\n"
    )
    assert report.BEGIN in report.README.read_text() and report.END in report.README.read_text()


def test_bodies_are_json() -> None:
    at = Counterparty("tests", *[population.SEED] * 3, 1, customer_ids=["1"], names=["alice", "bob"])  # type: ignore[arg-type]
    posts = [scenario for scenario in SCENARIOS if scenario.name in ("create", "purchase", "quote")]
    for scenario in posts:
        next_call = scenario.calls(at)
        bodies = [json.loads(next_call().body) for _ in range(2)]
        # What must be unique is; a quote is asked for as often as one likes.
        assert bodies[0] != bodies[1]
