"""What every test may rely on: a database of its own worker, an empty cache, and where Chromium is."""

import fcntl
import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import hypothesis
import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import TransactionTestCase

from tests import databases

pytest_plugins = ["tests.fixtures", "tests.worlds"]

# By default Python looks for garbage again and again among all of Django and of the tests: 7 % of their processor time.
gc.set_threshold(50_000, 20, 20)

# How long an example takes is the machine's affair. Fixtures of a function stay as they are from one example to the next.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("suite")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest, django_db_blocker) -> Iterator[None]:
    """Replaces pytest-django's: see tests/databases.py."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "master")
    TransactionTestCase._fixture_teardown = lambda _: databases.empty()
    with django_db_blocker.unblock(), databases.test_database(worker):
        yield


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """No test sees what another one cached, counted or limited."""
    cache.clear()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The system's Chromium, for Playwright's `executable_path`. Skips without one, but never on CI."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("no Chromium on CI: script/test installs it as root on Debian and Ubuntu")
    pytest.skip("no Chromium: install the package chromium to run the browser tests")


def pytest_sessionstart(session: pytest.Session) -> None:
    """A second run with the same database names waits for the first to end."""
    if hasattr(session.config, "workerinput"):
        return
    folder = Path(os.environ.get("DATA_DIR") or settings.BASE_DIR / ".data")
    folder.mkdir(parents=True, exist_ok=True)
    lock: IO[str] = open(folder / f"pytest-{settings.DATABASES['default']['NAME']}.lock", "a")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.write(2, b"waiting for another test run to end\n")
        fcntl.flock(lock, fcntl.LOCK_EX)
    session.config.add_cleanup(lock.close)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long the other parts of script/test took, above pytest's own closing line."""
    path = os.environ.get("TEST_PARTS_FILE")
    if not path or not Path(path).exists():
        return
    terminalreporter.section("parts of script/test")
    for line in Path(path).read_text().splitlines():
        seconds, outcome, name = line.split(" ", 2)
        markup = {"red": True} if outcome != "ok" else {"green": True}
        terminalreporter.write_line(f"{seconds:>5} s  {outcome:<6}  {name}", **markup)
