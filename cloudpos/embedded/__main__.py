"""`python -m cloudpos.embedded run COMMAND...`"""

import os
import signal
import subprocess
import sys

from cloudpos.embedded import database_url, redis_url


def run(command: list[str]) -> int:
    """Run a command with both engines up; its exit status, 128 + the signal's number when a signal ended it."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    environment = dict(os.environ)
    environment.setdefault("DATABASE_URL", database_url())
    environment.setdefault("REDIS_URL", redis_url())
    child = subprocess.Popen(command, env=environment)
    # The terminal sends Ctrl-C to the command too, which decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = child.wait()
    except SystemExit:
        child.terminate()
        child.wait()
        raise
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "run":
        sys.exit("usage: python -m cloudpos.embedded run COMMAND...")
    sys.exit(run(sys.argv[2:]))
