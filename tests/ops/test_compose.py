"""compose.yaml: what README.md says can be set reaches the containers, and the image is built once."""

import re
from typing import Any

import pytest
import yaml
from django.conf import settings

# Said by the file itself or by the image; an embedded engine's folder and the demonstration have no place in production.
NOT_PASSED_ON = {"PORT", "HOST", "LOAD_DEMO", "DATA_DIR", "EMBEDDED_SHARED_BUFFERS"}
OURS = ("web", "worker", "webhooks", "beat")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((settings.BASE_DIR / "compose.yaml").read_text())["services"]
    return found


def documented() -> set[str]:
    """The variables of README.md's table, `RATE_LIMIT_ANONYMOUS`, `_LOGIN` as two of them."""
    text = (settings.BASE_DIR / "README.md").read_text()
    names: set[str] = set()
    for row in re.findall(r"^\| (`[A-Z].*?) \|", text, flags=re.M):
        first = ""
        for name in re.findall(r"`([A-Z_]+)`", row):
            first = first or name
            names.add(first.rpartition("_")[0] + name if name.startswith("_") else name)
    assert {"JWT_SECRET", "RATE_LIMIT_LOGIN", "WEB_THREADS"} <= names
    return names


@pytest.mark.parametrize("name", OURS)
def test_every_variable_reaches_the_service(services: dict[str, Any], name: str) -> None:
    passed = set(services[name]["environment"])
    assert documented() - passed == NOT_PASSED_ON
    assert passed <= documented()


def test_the_image_is_built_by_one_service(services: dict[str, Any]) -> None:
    """Bake builds the targets at once, and all but the first fail to export: the image "already exists"."""
    assert [name for name in OURS if "build" in services[name]] == ["web"]
    assert len({services[name]["image"] for name in OURS}) == 1


def test_each_service_runs_what_the_entry_point_knows(services: dict[str, Any]) -> None:
    entry = (settings.BASE_DIR / "script" / "start").read_text()
    for name in OURS:
        assert services[name]["command"] == [name]
        assert re.search(rf"^{name}\)", entry, flags=re.M), name


@pytest.mark.parametrize("name", OURS)
def test_nothing_may_be_written_but_what_is_thrown_away(services: dict[str, Any], name: str) -> None:
    assert services[name]["read_only"] is True
    assert services[name]["tmpfs"] == ["/tmp"]
