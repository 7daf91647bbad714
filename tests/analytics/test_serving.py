"""A process that serves requests answers everything of analytics without numpy: it costs 30 MB and start-up time in each."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from cloudpos.tenancy.tokens import mint_access_token
from tests.analytics.conftest import buy, new_customer, recalculate
from tests.fixtures import Shop, make_shop

SERVE = """
import io, sys
from cloudpos.wsgi import application

token, store, customer = sys.argv[1:]

def ask(method, path, body=b""):
    statuses = []
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "localhost", "SERVER_PORT": "80",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json", "HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_X_STORE_ID": store,
        "REMOTE_ADDR": "127.0.0.1",
    }
    body = b"".join(application(environ, lambda status, headers, *rest: statuses.append(status)))
    assert statuses[0][:3] in ("200", "202"), (method, path, statuses, body)

API = "/api/v1/analytics"
ask("GET", "/health")
ask("GET", "/api/schema")
for path in (
    "overview", "segments", "cohorts", "cohorts/2026-01-01/customers", "products", f"customers/{customer}", "models", "settings",
):
    ask("GET", f"{API}/{path}")
ask("POST", f"{API}/recalculate", b"{}")
print("numpy" in sys.modules, "analytics.tasks" in sys.modules)
"""


@pytest.mark.django_db(transaction=True)
def test_numpy_is_not_imported() -> None:
    shop: Shop = make_shop("Corner Shop")
    alice = new_customer(shop, "Alice")
    buy(shop, alice, "10.00", shop.merchant.created_at)
    recalculate(shop)
    url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    served = subprocess.run(
        [
            sys.executable,
            "-c",
            SERVE,
            mint_access_token(user_id=shop.owner.user_id),
            str(shop.store.pk),
            str(alice.pk),
        ],
        env={**os.environ, "DATABASE_URL": url, "REDIS_URL": "none", "ENVIRONMENT": "test"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert served.returncode == 0, served.stderr
    assert served.stdout.splitlines()[-1] == "False True"
