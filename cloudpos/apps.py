from django.apps import AppConfig
from django.conf import settings


class CloudposConfig(AppConfig):
    name = "cloudpos"
    verbose_name = "CloudPOS"

    def ready(self) -> None:
        from django.core.cache import close_caches
        from django.core.handlers.base import reset_urlconf
        from django.core.signals import request_finished, request_started
        from django.db import close_old_connections, reset_queries

        from cloudpos import outbox
        from cloudpos.celery import app, enqueue
        from cloudpos.doorbell import Doorbell
        from cloudpos.postgres import read_times_fast
        from customers.events import on_new_events

        read_times_fast()
        # At each request, for nothing: the caches keep their connections, the database's is looked at when the next request
        # begins, nobody chooses another URLconf, and queries are noted under DEBUG alone.
        request_finished.disconnect(reset_urlconf)
        request_finished.disconnect(close_caches)
        request_finished.disconnect(close_old_connections)
        if not settings.DEBUG:
            request_started.disconnect(reset_queries)
        # Every process knows every task: the web asks for them by name.
        app.autodiscover_tasks(force=True)
        if settings.CELERY_BROKER_URL:
            on_new_events(Doorbell(lambda: app.conf.task_always_eager or enqueue(outbox.RELAY_TASK)).ring)
