"""Response headers that this service makes itself."""

from collections.abc import Mapping

from django.http.response import HttpResponseBase


def put(response: HttpResponseBase, headers: Mapping[str, str]) -> None:
    """Set headers whose names and values are known to be printable ASCII on one line.

    Django checks and converts each of them, a microsecond at a time; an answer of this API has about fifteen. Values
    that hold anything from outside go through `response.headers[name] = value`.
    """
    store = response.headers._store
    for name, value in headers.items():
        store[name.lower()] = (name, value)
