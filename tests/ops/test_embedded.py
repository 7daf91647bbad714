"""cloudpos.embedded: one engine for any number of processes, gone with the last, whatever happened before."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from cloudpos import embedded
from tests.ops.processes import commands_of, processes_of, wait_for

SHOW = "import os, psycopg; print(psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT %s').fetchone()[0])"
SERVER_START = SHOW % "pg_postmaster_start_time()"
URLS = "import os; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL'])"


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a path that root alone may enter is a case of its own.
    made = Path(tempfile.mkdtemp(prefix="engines-"))
    made.chmod(0o755)
    yield made
    for process in processes_of(made):
        process.kill()
    shutil.rmtree(made)


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")
    }
    environment |= {"DATA_DIR": str(folder), "ENVIRONMENT": "development"}
    return subprocess.Popen(
        [sys.executable, "-m", "cloudpos.embedded", "run", *command],
        env=environment,
        cwd=embedded.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )


def sleeps(folder: Path) -> bool:
    """Whether the command that stands for a user of the engines runs."""
    return any(command.startswith("sleep") for command in commands_of(folder).values())


def output(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.strip()


def test_processes_that_start_together_share_one_server_and_the_last_stops_it(folder: Path) -> None:
    users = [
        start(folder, sys.executable, "-c", f"import time; {SERVER_START}; time.sleep(0.5)") for _ in range(4)
    ]
    started_at = {output(user) for user in users}
    assert len(started_at) == 1
    assert processes_of(folder) == []


def test_data_outlives_the_server(folder: Path) -> None:
    connect = "import os, psycopg; connection = psycopg.connect(os.environ['DATABASE_URL'], autocommit=True)"
    write = f"{connect}; connection.execute('CREATE TABLE kept (n int)')"
    output(start(folder, sys.executable, "-c", write))
    assert output(start(folder, sys.executable, "-c", SHOW % "count(*) FROM kept")) == "0"


def test_a_killed_owner_leaves_an_engine_that_the_next_user_takes_over(folder: Path) -> None:
    owner = start(folder, "sleep", "60")
    wait_for(lambda: (folder / "postgres" / "postmaster.pid").exists() and sleeps(folder))
    owner.kill()
    owner.wait()
    for process, command in commands_of(folder).items():
        if command.startswith("sleep"):
            process.kill()
    assert any(command.startswith("postgres") for command in commands_of(folder).values())
    output(start(folder, sys.executable, "-c", SERVER_START))
    assert processes_of(folder) == []


def test_a_stale_pid_file_that_names_a_living_process_is_no_obstacle(folder: Path) -> None:
    output(start(folder, "true"))
    # What a killed container leaves: the number is soon somebody else's.
    lines = [
        str(os.getpid()),
        str(folder / "postgres"),
        "1700000000",
        "5432",
        str(folder / "postgres"),
        "",
        "1 1",
        "ready",
    ]
    (folder / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert output(start(folder, sys.executable, "-c", SHOW % "1")) == "1"
    assert psutil.pid_exists(os.getpid())


def test_a_killed_server_is_started_again_in_spite_of_its_leftovers(folder: Path) -> None:
    user = start(folder, "sleep", "60")
    wait_for(lambda: sleeps(folder))
    for process in processes_of(folder):
        process.kill()
    user.wait()
    assert output(start(folder, sys.executable, "-c", SHOW % "1")) == "1"
    assert processes_of(folder) == []


def test_the_engines_listen_on_private_sockets_only(folder: Path) -> None:
    user = start(
        folder, sys.executable, "-c", f"{URLS}; import sys, time; sys.stdout.flush(); time.sleep(60)"
    )
    assert user.stdout is not None
    database, redis = user.stdout.readline().split()
    assert database == f"postgresql://postgres@/cloudpos?host={folder}/postgres"
    assert redis == f"unix://{folder}/redis/redis.sock?db=0"
    commands = commands_of(folder)
    engines = [
        process for process, command in commands.items() if command.startswith(("postgres", "redis-server"))
    ]
    assert {commands[process].split()[0] for process in engines} == {"postgres", "redis-server"}
    for process in engines:
        assert [each for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN] == []
    for private in (folder / "postgres", folder / "redis"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    with psycopg.connect(database) as connection:
        settings = dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())
    assert (settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"]) == (
        "on",
        "on",
        "on",
    )
    user.terminate()
    user.communicate(timeout=60)
    wait_for(lambda: processes_of(folder) == [])


def test_a_long_path_gets_a_short_private_folder_for_its_sockets(folder: Path) -> None:
    long = folder / ("long" * 30)
    database, redis = output(start(long, sys.executable, "-c", URLS)).split()
    for url in (database.partition("host=")[2], redis.removeprefix("unix://").partition("/redis.sock")[0]):
        socket_folder = Path(url)
        assert len(str(socket_folder)) < 60
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        socket_folder.rmdir() if not any(socket_folder.iterdir()) else shutil.rmtree(socket_folder)


def test_a_folder_that_somebody_else_put_there_is_refused(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (folder / "postgres").symlink_to(elsewhere)
    user = start(folder, "true")
    user.communicate(timeout=60)
    assert user.returncode == 1
    assert list(elsewhere.iterdir()) == []


def test_terminating_the_runner_ends_the_command_and_the_engines(folder: Path) -> None:
    user = start(folder, "sleep", "60")
    wait_for(lambda: sleeps(folder))
    user.terminate()
    user.communicate(timeout=60)
    assert user.returncode == 128 + signal.SIGTERM
    assert processes_of(folder) == []
