from django.apps import AppConfig
from django.conf import settings


class CloudposConfig(AppConfig):
    name = "cloudpos"
    verbose_name = "CloudPOS"

    def ready(self) -> None:
        from cloudpos import outbox
        from cloudpos.celery import app, enqueue
        from cloudpos.doorbell import Doorbell
        from cloudpos.postgres import read_times_fast
        from customers.events import on_new_events

        read_times_fast()
        # Every process knows every task: the web asks for them by name.
        app.autodiscover_tasks(force=True)
        if settings.CELERY_BROKER_URL:
            on_new_events(Doorbell(lambda: app.conf.task_always_eager or enqueue(outbox.RELAY_TASK)).ring)
