"""Commands for people: the shell of the database, and where everything is."""

import json
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from cloudpos import demonstration
from cloudpos.management.commands.welcome import manage
from cloudpos.tenancy.models import Membership, Role
from tests.fixtures import Shop


def test_dbshell_reaches_the_database_where_no_psql_is_installed(
    db: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    call_command("dbshell", "--", "-Atc", "SELECT count(*) > 0 FROM django_migrations")
    assert capfd.readouterr().out == "t\n"


def test_the_line_that_welcome_prints_can_be_pasted(
    db: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("PORT", "3999")
    monkeypatch.setenv("DATA_DIR", "/srv/a b")
    monkeypatch.chdir(settings.BASE_DIR)
    assert manage("welcome").startswith("DATA_DIR='/srv/a b' PORT=3999 ")
    out = StringIO()
    call_command("welcome", stdout=out)
    assert manage("createsuperuser") in out.getvalue()
    # Running it starts no engines.
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("REDIS_URL", "none")
    for folder in (settings.BASE_DIR, tmp_path_factory.getbasetemp()):
        monkeypatch.chdir(folder)
        pasted = subprocess.run(
            manage("version"), shell=True, check=True, capture_output=True, text=True, cwd=folder
        )
        assert pasted.stdout.startswith("5.")


def test_a_merchant_opened_for_a_replay_has_an_owner_who_can_log_in(db: None) -> None:
    access = demonstration.open_without_sales(slug="corner-shop", at=now())
    owner = Membership.objects.for_merchant(access.merchant_id).get(role=Role.OWNER).user
    assert owner.email == demonstration.owner_email("corner-shop") == "owner@corner-shop.example"
    assert owner.check_password(demonstration.PASSWORD)
    assert owner.is_staff


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:3002"])
def test_a_replay_to_nowhere_says_so_at_once(shop: Shop, tmp_path: Path, url: str) -> None:
    history = tmp_path / "history.jsonl"
    history.write_text(json.dumps({"store": "HIGH", "transactionId": "T-1", "amount": "1"}))
    with pytest.raises(CommandError, match=f"Nothing answers at {url}: "):
        call_command("replay_purchases", str(history), "--url", url, "--merchant", shop.merchant.slug)


def test_the_readme_names_every_command_of_ours() -> None:
    ours = {
        path.stem
        for path in settings.BASE_DIR.glob("**/management/commands/*.py")
        if path.stem != "__init__" and ".venv" not in path.parts
    }
    assert "sweep" in ours
    readme = (settings.BASE_DIR / "README.md").read_text()
    assert {name for name in ours if f"| `{name}" not in readme} == set()
