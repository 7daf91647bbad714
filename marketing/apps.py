from django.apps import AppConfig


class MarketingConfig(AppConfig):
    name = "marketing"
    verbose_name = "Marketing"

    def ready(self) -> None:
        from anymail.signals import tracking

        from marketing import checks  # noqa: F401  registers itself
        from marketing.tracking.reports import hear_email_service

        tracking.connect(hear_email_service, dispatch_uid="marketing.reports")
