"""The Celery application: the doorbell of the background work, never its memory.

Every message may be lost or come twice: pending work is rows in PostgreSQL which a sweep finds (`manage.py sweep`, or beat).
So publishing gives up at once when the broker is gone, and after one failure doesn't even try for a few seconds.
"""

import logging
import os
import threading
import time
import warnings
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from celery import Celery, bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning
from celery.platforms import SecurityWarning  # type: ignore[attr-defined]  # missing in the stubs alone
from celery.result import AsyncResult
from kombu.exceptions import OperationalError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpos.settings")

# It warns of running as root because pickled messages could do anything; only JSON is accepted here.
warnings.filterwarnings("ignore", category=SecurityWarning)
# Whenever its broker goes, a worker explains at length what it may do with tasks under way. They end, and are done again.
warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)

CIRCUIT_OPEN_SECONDS = 5.0
BROKER_CONNECT_SECONDS_MAX = 0.3
BROKER_SOCKET_SECONDS_MAX = 0.5
TASK_SECONDS_MAX = 1_800
HEARTBEAT_SECONDS = 5.0


def broker_url(redis_url: str) -> str:
    """`redis_url` as kombu spells it: a unix socket is `redis+socket://`, its database the `virtual_host`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    credentials = f"{parts.netloc}" if "@" in parts.netloc else ""
    return f"redis+socket://{credentials}{parts.path}?virtual_host={quote(database)}"


class Circuit:
    """Open after a failure: for CIRCUIT_OPEN_SECONDS nobody in this process waits for the broker again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open_until = 0.0

    def allows(self) -> bool:
        """Whether to try now. When the pause is over one caller tries first, the others when it succeeded."""
        if self._open_until == 0.0:
            return True
        now = time.monotonic()
        with self._lock:
            if now < self._open_until:
                return False
            self._open_until = now + CIRCUIT_OPEN_SECONDS
            return True

    def failed(self) -> None:
        with self._lock:
            self._open_until = time.monotonic() + CIRCUIT_OPEN_SECONDS

    def succeeded(self) -> None:
        if self._open_until:
            with self._lock:
                self._open_until = 0.0


class CloudposCelery(Celery):
    """Celery whose publishing fails fast: kombu's OperationalError, within a second, then at once."""

    circuit = Circuit()

    def send_task(self, name: str, *args: Any, **kwargs: Any) -> AsyncResult:
        if not self.conf.broker_url:
            raise OperationalError("no broker: REDIS_URL is not set")
        if not self.circuit.allows():
            raise OperationalError("the broker did not answer a moment ago")
        try:
            result = super().send_task(name, *args, **kwargs)
        except OperationalError:
            self.circuit.failed()
            raise
        self.circuit.succeeded()
        return result


app = CloudposCelery("cloudpos")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    broker_url=broker_url(app.conf.broker_url) if app.conf.broker_url else None,
    broker_transport_options={
        "socket_connect_timeout": BROKER_CONNECT_SECONDS_MAX,
        "socket_timeout": BROKER_SOCKET_SECONDS_MAX,
        "global_keyprefix": "cloudpos:",
    },
    broker_connection_timeout=BROKER_CONNECT_SECONDS_MAX,
    # A worker waits for its broker as long as it takes.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # One retry: the pooled connection may be a leftover of a broker that has been restarted since.
    task_publish_retry_policy={
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.1,
    },
    task_reject_on_worker_lost=True,
    task_time_limit=TASK_SECONDS_MAX,
    task_soft_time_limit=TASK_SECONDS_MAX - 60,
)
app.autodiscover_tasks()


def enqueue(task_name: str, *args: Any) -> bool:
    """Ask for a task by its name. False, within a second, when it could not be asked for: a sweep will find the work."""
    task = app.tasks[task_name]
    try:
        task.apply_async(args)
    except OperationalError:
        return False
    return True


@signals.setup_logging.connect
def _keep_logging(loglevel: int | str = logging.WARNING, **_: Any) -> None:
    """Django has configured the logs already; connecting here keeps Celery from doing it over, but for its own level."""
    logging.getLogger("celery").setLevel(loglevel)
    logging.getLogger("celery.beat").addFilter(say_it_shortly)


def say_it_shortly(record: logging.LogRecord) -> bool:
    """What beat could not send, it sends again when it is next due: a line, where Celery adds its whole stack."""
    if isinstance(record.msg, str) and record.msg.startswith("Message Error") and record.args:
        problem = record.args[0] if isinstance(record.args, tuple) else record.args
        record.msg, record.args = "%s", (problem,)
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def beat_heart() -> None:
    """Tell /health that background work is being done. A cache that is gone is no reason to stop working."""
    from django.core.cache import cache

    from cloudpos.api.health import WORKER_HEARTBEAT_KEY, WORKER_SILENCE_SECONDS_MAX

    cache.set(WORKER_HEARTBEAT_KEY, time.time(), int(WORKER_SILENCE_SECONDS_MAX * 2))


class Heartbeat(bootsteps.StartStopStep):
    """The worker's main loop, not its tasks, says every few seconds that it turns.

    A worker of other queues alone, such as that of the webhooks, doesn't: it would speak for one that is gone.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **options: Any) -> None:
        self.timer_entry: Any = None
        super().__init__(parent, **options)

    def include_if(self, parent: Any) -> bool:
        return parent.app.conf.task_default_queue in parent.app.amqp.queues.consume_from

    def start(self, parent: Any) -> None:
        beat_heart()
        self.timer_entry = parent.timer.call_repeatedly(HEARTBEAT_SECONDS, beat_heart)

    def stop(self, parent: Any) -> None:
        if self.timer_entry is not None:
            self.timer_entry.cancel()


app.steps["worker"].add(Heartbeat)
