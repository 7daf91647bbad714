"""A WSGI application that answers with the length of the body, for a worker that is patient for a second only."""

from typing import Any

from cloudpos import worker

worker.REQUEST_SECONDS_MAX = 1.0
worker.LOOK_SECONDS = 0.1


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(body)).encode()]
