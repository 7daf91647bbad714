from django.apps import AppConfig


class CloudposConfig(AppConfig):
    name = "cloudpos"
    verbose_name = "CloudPOS"

    def ready(self) -> None:
        from cloudpos.celery import app

        # Every process knows every task: the web asks for them by name.
        app.autodiscover_tasks(force=True)
