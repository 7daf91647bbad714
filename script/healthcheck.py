"""Exit 0 when the service on this machine's PORT answers /health. The container's HEALTHCHECK."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "3002")), timeout=4)
try:
    connection.request("GET", "/health")
    sys.exit(0 if connection.getresponse().status == http.client.OK else 1)
except OSError:
    sys.exit(1)
