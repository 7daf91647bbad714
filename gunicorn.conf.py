"""How the service is served; gunicorn reads this file by itself in the folder it starts in."""

import gc
import os
import tempfile
from pathlib import Path

# While the application is loaded everything that is made stays: looking for garbage in it takes an eighth of the start.
gc.disable()

# Metrics of all worker processes are added up through files in this folder. It must be known before the application is loaded,
# and must not hold files of an earlier run.
_metrics = Path(
    os.environ.setdefault(
        "PROMETHEUS_MULTIPROC_DIR",
        str(Path(tempfile.gettempdir()) / f"cloudpos-metrics-{os.getuid()}-{os.environ.get('PORT', '3002')}"),
    )
)

_production = os.environ.get("ENVIRONMENT") == "production"

wsgi_app = "cloudpos.wsgi:application"
bind = f"{os.environ.get('HOST', '0.0.0.0' if _production else '127.0.0.1')}:{os.environ.get('PORT', '3002')}"
# gthread, with an end to how long a slow client can hold a thread.
worker_class = "cloudpos.worker.DeadlineWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
# Loaded once and forked: the second worker costs neither start-up time nor another copy of the code in memory. Nothing opens a
# connection or starts a thread while loading; post_fork makes sure.
preload_app = True
backlog = 1024
timeout = 30
graceful_timeout = 20
# Longer than the 60 s after which common load balancers give up an idle connection: the side that reuses it must not be the
# last to learn that it is closed.
keepalive = 75
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
# Requests are logged by the application, as JSON with the request id.
accesslog = None
loglevel = "info" if _production else "warning"
# Workers show that they live by touching a file: in memory where there is such a place.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
control_socket_disable = True


def on_starting(server):
    _metrics.mkdir(mode=0o700, parents=True, exist_ok=True)
    for leftover in _metrics.glob("*.db"):
        leftover.unlink(missing_ok=True)


def when_ready(server):
    from django.urls import get_resolver

    # Loads every view: a broken one stops the start, not the first request.
    _ = get_resolver().url_patterns
    # What is loaded by now stays: the collector need not look at it again, and its pages stay shared with the workers.
    gc.collect()
    gc.freeze()
    gc.enable()


def post_fork(server, worker):
    # Also after a reload, which reads this file again and is not followed by when_ready.
    gc.enable()

    from django.core.cache import caches
    from django.db import connections

    # A connection may not be used on both sides of a fork.
    for connection in connections.all(initialized_only=True):
        connection.close()
    caches.close_all()


def child_exit(server, worker):
    from prometheus_client import multiprocess

    from cloudpos import fairness

    multiprocess.mark_process_dead(worker.pid)
    # Also of a worker that was killed: the others would wait for it at each connection.
    fairness.write_count(worker.age, fairness.ABSENT)
