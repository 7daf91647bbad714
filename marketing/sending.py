"""One HTTP POST to a stranger's server: bounded in time and bytes, to the vetted address, no redirects, no proxies."""

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from cloudpos.api.errors import ApiError
from marketing.targets import Target, read_url, vet

CONNECT_SECONDS_MAX = 5.0
TOTAL_SECONDS_MAX = 15.0
RESPONSE_BYTES_MAX = 20_000
# Of the answer, what the delivery log keeps.
RESPONSE_CHARS_KEPT = 1_024

USER_AGENT = "CloudPOS-Webhooks/1.0"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `status` is None when no answer came; `error` then says why."""

    status: int | None
    body: str
    error: str
    duration_ms: int

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class _DeadlineStream(httpcore.NetworkStream):
    """Every read and write gets what is left of the total time: an answer that drips byte by byte ends too."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def _remaining(self, error: type[Exception]) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise error("out of time")
        return remaining

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._remaining(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._remaining(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        remaining = min(CONNECT_SECONDS_MAX, self._remaining(httpcore.ConnectTimeout))
        return _DeadlineStream(
            self._stream.start_tls(ssl_context, server_hostname, remaining), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _VettedBackend(httpcore.NetworkBackend):
    """Connects to one address, whatever the host's name resolves to by now."""

    def __init__(self, address: str, deadline: float) -> None:
        self._address = address
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        remaining = min(CONNECT_SECONDS_MAX, self._deadline - time.monotonic())
        if remaining <= 0:
            raise httpcore.ConnectTimeout("out of time")
        stream = self._backend.connect_tcp(self._address, port, remaining, local_address, socket_options)
        return _DeadlineStream(stream, self._deadline)


def post(*, url: str, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext | None = None) -> Outcome:
    """POST `body` as JSON. Never raises for anything the other side does, and returns within TOTAL_SECONDS_MAX."""
    started = time.monotonic()
    status: int | None = None
    text = error = ""
    try:
        target = read_url(url)
        address = vet(target)
        status, answer = _exchange(target, address, body, headers, started + TOTAL_SECONDS_MAX, tls)
        # NUL is the one character that the log's column cannot hold.
        text = answer.decode("utf-8", "replace").replace("\x00", "\ufffd")[:RESPONSE_CHARS_KEPT]
        if not 200 <= status < 300:
            error = "redirects are not followed" if 300 <= status < 400 else f"answered {status}"
    except ApiError as refused:
        error = refused.detail
    except httpcore.TimeoutException:
        error = "no answer in time"
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ssl.SSLError) as failed:
        error = f"{type(failed).__name__}: {failed}"[:300]
    return Outcome(status, text, error, round((time.monotonic() - started) * 1000))


def _exchange(
    target: Target,
    address: str,
    body: bytes,
    headers: Mapping[str, str],
    deadline: float,
    tls: ssl.SSLContext | None,
) -> tuple[int, bytes]:
    """(status, the first RESPONSE_BYTES_MAX bytes of the answer)"""
    sent: dict[bytes | str, bytes | str] = {
        "host": target.authority,
        "user-agent": USER_AGENT,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept": "*/*",
        "connection": "close",
    }
    sent.update(headers)
    backend = _VettedBackend(address, deadline)
    url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    with (
        httpcore.ConnectionPool(
            ssl_context=tls or ssl.create_default_context(), network_backend=backend
        ) as pool,
        pool.stream("POST", url, headers=sent, content=body) as response,
    ):
        answer = b""
        try:
            for chunk in response.iter_stream():
                answer += chunk
                if len(answer) >= RESPONSE_BYTES_MAX:
                    break
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            # The status has been given: the receiver has the event, however its page ends.
            pass
        return response.status, answer[:RESPONSE_BYTES_MAX]
