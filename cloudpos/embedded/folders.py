"""Where the engines keep their files and sockets, and who may read them."""

import hashlib
import os
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[2]
# The kernel's limit for a unix socket's path is 108 bytes on Linux and 104 on macOS, the final NUL included.
SOCKET_PATH_BYTES_MAX = 100


class EngineError(RuntimeError):
    """An embedded engine could not be started; the message says what to do."""


def data_folder() -> Path:
    """Where the engines of this checkout keep their files."""
    return Path(os.environ.get("DATA_DIR") or BASE_DIR / ".data").resolve()


def package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            f"the package {package} is not installed: run script/setup, or set DATABASE_URL and REDIS_URL to engines of your own"
        )
    return Path(spec.submodule_search_locations[0])


def socket_folder(folder: Path, socket_name: str) -> Path:
    """`folder` itself, or a short private one in the temporary directory when the checkout's path is too long."""
    if len(os.fsencode(folder / socket_name)) <= SOCKET_PATH_BYTES_MAX:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):
        short = parent / f"cloudpos-{os.getuid()}-{digest}"
        if len(os.fsencode(short / socket_name)) <= SOCKET_PATH_BYTES_MAX:
            return short
    raise EngineError(f"no folder with a path short enough for a unix socket: set DATA_DIR (now {folder})")


def make_private(folder: Path, owner: int) -> None:
    """Make `folder` readable by `owner` (a user id) alone; refuse one that somebody else put there first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.getuid(), owner):
        raise EngineError(
            f"{folder} belongs to another user: remove it, or set DATA_DIR to a folder of your own"
        )
    if os.geteuid() == 0 and found.st_uid != owner:
        os.chown(folder, owner, -1)
    folder.chmod(0o700)
