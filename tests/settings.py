"""The settings, with the environment of the tests: an engine that skips fsync, and one Redis database per pytest worker."""

import os
import re

os.environ["ENVIRONMENT"] = "test"

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
if _worker:
    from cloudpos import embedded

    # Tests empty "their" Redis: workers must not share one.
    _url = os.environ.get("REDIS_URL") or embedded.redis_url()
    os.environ["REDIS_URL"] = re.sub(r"db=(\d+)", lambda match: f"db={int(match[1]) + _worker}", _url)

from cloudpos.settings import *  # noqa: E402, F403
from cloudpos.settings import DATABASES, INSTALLED_APPS  # noqa: E402

# A command that looks for migrations which would break the release that is still running.
INSTALLED_APPS += ["django_migration_linter"]
# Real hashing is slow on purpose; tests log in often.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Static files are found when they are asked for: WhiteNoise would look through all of them for every test's client, and that
# was half of the suite's time.
WHITENOISE_AUTOREFRESH = True

# A test is one transaction, and how long a slow machine takes between two of its statements is not what it is about.
_options = DATABASES["default"]["OPTIONS"]
assert "idle_in_transaction_session_timeout=10000" in _options["options"]
_options["options"] = _options["options"].replace(
    "idle_in_transaction_session_timeout=10000", "idle_in_transaction_session_timeout=120000"
)
