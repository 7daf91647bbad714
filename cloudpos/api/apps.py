"""HTTP without any domain."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "cloudpos.api"
    label = "api"
    verbose_name = "HTTP API"
